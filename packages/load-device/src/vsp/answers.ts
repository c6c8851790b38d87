// The control messages that the host sends, composed.

import {
  LOAD_VERSION,
  LoadEndOfStream,
  LoadErrorPacket,
  LoadKind,
  LoadSetupResponse,
  LoadStatistics,
  LoadSubChannelResponse,
} from '../protocol.ts'
import type { LoadError, LoadStatus } from '../protocol.ts'

/** What a run came to; counts are whole numbers. See `LoadStatistics`. */
export interface RunStatistics {
  readonly packetsReceived: number
  readonly bytesReceived: number
  readonly packetsSent: number
  readonly bytesSent: number
  readonly signalsSent: number
  readonly fullRingWaits: number
  readonly wakes: number
  readonly sequenceErrors: number
  readonly totalReceived: number
}

export function setupResponse(status: LoadStatus, maxPayloadBytes: number): Uint8Array {
  return LoadSetupResponse.pack({
    sequence: 0,
    kind: LoadKind.SETUP_RESPONSE,
    version: LOAD_VERSION,
    status,
    maxPayloadBytes,
  })
}

export function subChannelResponse(status: LoadStatus, count: number): Uint8Array {
  const kind = LoadKind.SUB_CHANNEL_RESPONSE
  return LoadSubChannelResponse.pack({ sequence: 0, kind, status, count })
}

/** `packets`: DATA packets sent in this run and direction. */
export function endOfStream(packets: number): Uint8Array {
  return LoadEndOfStream.pack({
    sequence: packets % 0x1_0000_0000,
    kind: LoadKind.END_OF_STREAM,
    packets: BigInt(packets),
  })
}

export function errorPacket(error: LoadError): Uint8Array {
  return LoadErrorPacket.pack({ sequence: 0, kind: LoadKind.ERROR, error })
}

export function statisticsPacket(statistics: RunStatistics): Uint8Array {
  return LoadStatistics.pack({
    sequence: 0,
    kind: LoadKind.STATISTICS,
    packetsReceived: BigInt(statistics.packetsReceived),
    bytesReceived: BigInt(statistics.bytesReceived),
    packetsSent: BigInt(statistics.packetsSent),
    bytesSent: BigInt(statistics.bytesSent),
    signalsSent: BigInt(statistics.signalsSent),
    fullRingWaits: BigInt(statistics.fullRingWaits),
    wakes: BigInt(statistics.wakes),
    sequenceErrors: BigInt(statistics.sequenceErrors),
    totalReceived: BigInt(statistics.totalReceived),
  })
}
