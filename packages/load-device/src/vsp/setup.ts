// What a guest asks for in SETUP, checked. Everything that a run relies on later is decided here.

import {
  LOAD_BATCH_MAX,
  LOAD_PAYLOAD_MIN_BYTES,
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

function isLoadMode(mode: number): mode is LoadMode {
  return mode >= LoadMode.SINK && mode <= LoadMode.RELAY_RECEIVER
}
