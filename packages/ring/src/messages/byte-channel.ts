import type { ChannelPort } from '../channel-pair.ts'
import { Channel } from './channel.ts'
import { type OpenOptions, openLink } from './channel-link.ts'
import { BytesCodec } from './codec.ts'

/** A channel whose messages are bytes. What is received is a copy of its own. */
export type ByteChannel = Channel<Uint8Array, Uint8Array>

/**
 * Opens an end for bytes on this thread. Message boundaries are kept; empty messages too.
 * Throws a ChannelError `already-open` when the end was opened before.
 */
export function openBytes(port: ChannelPort, options: OpenOptions = {}): ByteChannel {
  return new Channel(openLink(port, new BytesCodec(), options))
}
