// The control messages that the guest sends, composed.

import {
  LOAD_VERSION,
  LoadEndOfStream,
  LoadHeader,
  LoadKind,
  LoadSetup,
  LoadSubChannelRequest,
} from '../protocol.ts'
import type { LoadMode } from '../protocol.ts'

export interface SetupRequest {
  readonly mode: LoadMode
  readonly payloadBytes: number
  readonly batch: number
  /** Relay modes only; a safe integer, else 0. */
  readonly streamId: number
}

export function setup(request: SetupRequest): Uint8Array {
  return LoadSetup.pack({
    sequence: 0,
    kind: LoadKind.SETUP,
    version: LOAD_VERSION,
    mode: request.mode,
    payloadBytes: request.payloadBytes,
    batch: request.batch,
    streamId: BigInt(request.streamId),
  })
}

/** `packets`: DATA packets sent in this run. */
export function endOfStream(packets: number): Uint8Array {
  return LoadEndOfStream.pack({
    sequence: packets % 0x1_0000_0000,
    kind: LoadKind.END_OF_STREAM,
    packets: BigInt(packets),
  })
}

export function stop(): Uint8Array {
  return LoadHeader.pack({ sequence: 0, kind: LoadKind.STOP, unusedBytes: 0 })
}

export function resetStatistics(): Uint8Array {
  return LoadHeader.pack({ sequence: 0, kind: LoadKind.RESET_STATISTICS, unusedBytes: 0 })
}

export function subChannelRequest(count: number): Uint8Array {
  return LoadSubChannelRequest.pack({ sequence: 0, kind: LoadKind.SUB_CHANNEL_REQUEST, count })
}
