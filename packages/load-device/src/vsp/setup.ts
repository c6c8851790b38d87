// What a guest asks for in SETUP and SUB_CHANNEL_REQUEST, checked. Everything that a run relies on later is decided here.

import type { ServerChannel } from '@guestyard/vmbus/server'
import {
  LOAD_BATCH_MAX,
  LOAD_CHANNELS_MAX,
  LOAD_PAYLOAD_MIN_BYTES,
  LOAD_SUB_CHANNELS_MAX,
  LOAD_VERSION,
  LoadMode,
  LoadSetup,
  LoadStatus,
} from '../protocol.ts'

/** A SETUP that can be carried out. */
export interface Setup {
  readonly mode: LoadMode
  readonly payloadBytes: number
  readonly batch: number
  readonly streamId: bigint
}

/** Reads a SETUP message of at least `LoadSetup.size` bytes; a LoadStatus when it cannot be carried out. */
export function readSetup(view: DataView, at: number, maxBytes: number): Setup | LoadStatus {
  const { version, mode, payloadBytes, batch, streamId } = LoadSetup.decode(view, at)
  if (version !== LOAD_VERSION) return LoadStatus.UNSUPPORTED_VERSION
  if (!isLoadMode(mode)) return LoadStatus.BAD_PARAMETER
  if (payloadBytes < LOAD_PAYLOAD_MIN_BYTES || payloadBytes > maxBytes) {
    return LoadStatus.BAD_PARAMETER
  }
  if (batch < 1 || batch > LOAD_BATCH_MAX) return LoadStatus.BAD_PARAMETER
  return { mode, payloadBytes, batch, streamId }
}

/** Whether `channel` may get `count` more sub-channels: all that were asked for, or none. */
export function subChannelStatus(channel: ServerChannel, count: number): LoadStatus {
  if (channel.subChannelIndex !== 0) return LoadStatus.BAD_PARAMETER
  if (count < 1 || count >= LOAD_CHANNELS_MAX) return LoadStatus.BAD_PARAMETER
  if (count > LOAD_SUB_CHANNELS_MAX - channel.subChannelCount) {
    return LoadStatus.TOO_MANY_SUB_CHANNELS
  }
  return LoadStatus.ACCEPTED
}

function isLoadMode(mode: number): mode is LoadMode {
  return mode >= LoadMode.SINK && mode <= LoadMode.RELAY_RECEIVER
}
