import type { ChannelPort } from '../channel-pair.ts'
import { Channel } from './channel.ts'
import { type OpenOptions, openLink } from './channel-link.ts'
import { ObjectsCodec } from './objects-codec.ts'

/** A channel of typed objects. */
export type TypedChannel<Sent, Received> = Channel<Sent, Received>

export interface MessageChannelOptions extends OpenOptions {
  /**
   * Keep shared and cyclic references, as structured clone does. Without it an object met twice arrives as two,
   * and a cycle is refused. Both ends may differ. False when left out, which is faster.
   */
  readonly references?: boolean
}

/**
 * Opens an end for typed objects on this thread, by msgpackr: plain objects, arrays, strings, numbers, bigints,
 * booleans, null, Date, Map, Set, RegExp, Error, ArrayBuffer and typed arrays, nested at will. Instances of other
 * classes arrive as plain objects (or as what their `toJSON` gives); functions and symbols are refused.
 * Throws a ChannelError `already-open` when the end was opened before.
 */
export function openMessages<Sent = unknown, Received = Sent>(
  port: ChannelPort,
  options: MessageChannelOptions = {},
): TypedChannel<Sent, Received> {
  const codec = new ObjectsCodec<Sent, Received>({ references: options.references ?? false })
  return new Channel(openLink(port, codec, options))
}
