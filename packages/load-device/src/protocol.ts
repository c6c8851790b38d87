// The load device's wire: a device class of our own, no other system offers it. Raw DATA_INBAND packets, no
// pipe header, no completion flag, transaction id 0. Every packet begins with the same 8 bytes, so that a data
// packet costs one header and both ends can check its place in the sequence:
//
//   0          4      6        8
//   | sequence | kind | unused | body ...
//
// A ring rounds payloads up to 8 bytes; `unused` says how many of a DATA packet's last bytes are that padding.
// `sequence` counts the DATA packets and the END_OF_STREAM packet of one direction of one run: 0, 1, 2 ...
// modulo 2^32. Every other message carries 0 there.
//
//   guest                                   root
//   SETUP             ->                         one run begins; a channel may have many, one after the other
//                     <-    SETUP_RESPONSE
//   DATA ...          ->    (sink, duplex, echo, relay sender)
//                     <-    DATA ...             (source, duplex, echo, relay receiver)
//   RESET_STATISTICS  ->                         the warm-up is over: the root's counters start again
//   STOP              ->    (source, duplex)     produce no more; without a run it means nothing
//   END_OF_STREAM     ->    (sink, duplex, echo, relay sender)
//                     <-    END_OF_STREAM        (source, duplex, echo, relay receiver)
//                     <-    STATISTICS           the run is over; another SETUP may follow
//                     <-    ERROR                at any time: the run is over, everything is ignored until close

import { struct, u16, u32, u64 } from '@guestyard/hvdef'
import type { Guid, VmbusClass } from '@guestyard/hvdef'

export {
  LOAD_BATCH_MAX,
  LOAD_CHANNELS_MAX,
  LOAD_PAYLOAD_MAX_BYTES,
  LOAD_PAYLOAD_MIN_BYTES,
  LOAD_STREAMS_MAX,
  LOAD_STREAMS_PER_PARTITION_MAX,
  LOAD_SUB_CHANNELS_MAX,
  LOAD_WINDOW_MAX,
} from './limits.ts'
export { checkChannelLoadSpec, checkLoadSpec, sumChannelResults } from './load-spec.ts'
export type {
  ChannelLoadResult,
  ChannelLoadSpec,
  EncodedLatency,
  LoadCpuTime,
  LoadDirection,
  LoadExtent,
  LoadLoop,
  LoadResult,
  LoadSpec,
  LoadSpecProblem,
  LoadWaiting,
} from './load-spec.ts'

/** Class (interface) GUID of the load device. */
export const LOAD_CLASS_ID: Guid = '07703e82-6e76-4330-ae48-91cbb5c3c50f'
/** Instance GUID of the one load device that a partition is offered. */
export const LOAD_INSTANCE_ID: Guid = 'd1c3a439-b73f-4d4b-87cf-6ce8881a9106'
/** The class in the form of hvdef's table. */
export const LoadClass: VmbusClass = {
  interfaceId: LOAD_CLASS_ID,
  instanceId: LOAD_INSTANCE_ID,
  framing: 'raw',
}

/** Version 1.0: major in the high half. */
export const LOAD_VERSION = 0x0001_0000

export const LOAD_KIND_SETUP = 1
export const LOAD_KIND_SETUP_RESPONSE = 2
export const LOAD_KIND_DATA = 3
export const LOAD_KIND_END_OF_STREAM = 4
export const LOAD_KIND_STATISTICS = 5
export const LOAD_KIND_ERROR = 6
export const LOAD_KIND_STOP = 7
export const LOAD_KIND_RESET_STATISTICS = 8
export const LOAD_KIND_SUB_CHANNEL_REQUEST = 9
export const LOAD_KIND_SUB_CHANNEL_RESPONSE = 10

/** Packet kinds. G from the guest, H from the root. */
export const LoadKind = {
  SETUP: LOAD_KIND_SETUP, //                               G
  SETUP_RESPONSE: LOAD_KIND_SETUP_RESPONSE, //             H
  DATA: LOAD_KIND_DATA, //                                 both
  END_OF_STREAM: LOAD_KIND_END_OF_STREAM, //               both
  STATISTICS: LOAD_KIND_STATISTICS, //                     H
  ERROR: LOAD_KIND_ERROR, //                               H
  STOP: LOAD_KIND_STOP, //                                 G
  RESET_STATISTICS: LOAD_KIND_RESET_STATISTICS, //         G
  SUB_CHANNEL_REQUEST: LOAD_KIND_SUB_CHANNEL_REQUEST, //   G, primary channel, no run under way
  SUB_CHANNEL_RESPONSE: LOAD_KIND_SUB_CHANNEL_RESPONSE, // H
} as const
export type LoadKind = (typeof LoadKind)[keyof typeof LoadKind]

/** What a channel does during a run. */
export const LoadMode = {
  SINK: 1, //           guest produces, root checks
  SOURCE: 2, //         root produces, guest checks
  DUPLEX: 3, //         both of these at once
  ECHO: 4, //           root returns each packet as it came
  RELAY_SENDER: 5, //   packets go on to the relay receiver of the same stream id, in another partition
  RELAY_RECEIVER: 6,
} as const
export type LoadMode = (typeof LoadMode)[keyof typeof LoadMode]

/** Answers to SETUP and SUB_CHANNEL_REQUEST. */
export const LoadStatus = {
  ACCEPTED: 0,
  UNSUPPORTED_VERSION: 1, // the guest may ask again with another
  BAD_PARAMETER: 2,
  STREAM_TAKEN: 3, //        this end of the relay stream is held by another channel
  TOO_MANY_STREAMS: 4, //    of this partition, or of all
  TOO_MANY_SUB_CHANNELS: 5,
  STREAM_DENIED: 6, //       the host does not let this partition join the stream
} as const
export type LoadStatus = (typeof LoadStatus)[keyof typeof LoadStatus]

/** Reasons in an ERROR packet. */
export const LoadError = {
  MALFORMED: 1, //    a packet too short for its kind, of a wrong packet type, or longer than allowed
  UNKNOWN_KIND: 2,
  OUT_OF_ORDER: 3, // a kind that the state of the run does not allow
  PEER_GONE: 4, //    relay: the other end closed or failed before the end of the stream
  TOO_LARGE: 5, //    relay: the sender's packets may be larger than the receiver takes
} as const
export type LoadError = (typeof LoadError)[keyof typeof LoadError]

/** Head of every packet. 8 bytes. STOP and RESET_STATISTICS are this and nothing else. */
export const LoadHeader = struct('LOAD_HEADER', 8, {
  sequence: u32(0),
  kind: u16(4), //        LoadKind
  unusedBytes: u16(6), // DATA: bytes at the end of the ring's payload that are padding, 0..7; else 0
})

/** SETUP. 32 bytes. */
export const LoadSetup = struct('LOAD_SETUP', 32, {
  sequence: u32(0),
  kind: u16(4),
  reservedHeader: u16(6),
  version: u32(8), //      LOAD_VERSION
  mode: u32(12), //        LoadMode
  payloadBytes: u32(16), // of every DATA packet; relay: the most one has
  batch: u32(20), //       packets the root publishes at once, 1..LOAD_BATCH_MAX; at most 256 KiB of them
  streamId: u64(24), //    relay: joins sender and receiver; else 0
})

/** SETUP_RESPONSE. 24 bytes. */
export const LoadSetupResponse = struct('LOAD_SETUP_RESPONSE', 24, {
  sequence: u32(0),
  kind: u16(4),
  reservedHeader: u16(6),
  version: u32(8), //          LOAD_VERSION, whatever was asked for
  status: u32(12), //          LoadStatus
  maxPayloadBytes: u32(16), // the largest payload that fits this channel's rings and the limits
  reserved: u32(20),
})

/** END_OF_STREAM. 16 bytes. Its sequence is the one after the last DATA packet's. */
export const LoadEndOfStream = struct('LOAD_END_OF_STREAM', 16, {
  sequence: u32(0),
  kind: u16(4),
  reservedHeader: u16(6),
  packets: u64(8), // DATA packets sent in this direction since SETUP
})

/** STATISTICS. 80 bytes: the root's counters since SETUP or the last RESET_STATISTICS, but for the last. */
export const LoadStatistics = struct('LOAD_STATISTICS', 80, {
  sequence: u32(0),
  kind: u16(4),
  reservedHeader: u16(6),
  packetsReceived: u64(8),
  bytesReceived: u64(16),
  packetsSent: u64(24),
  bytesSent: u64(32),
  signalsSent: u64(40), //       commits for which the ring rule asked for a signal
  fullRingWaits: u64(48), //     times the guest-bound ring was too full for the next packet
  wakes: u64(56), //             times the channel's program woke after it had gone to sleep
  sequenceErrors: u64(64), //    since SETUP: RESET_STATISTICS leaves it alone
  totalReceived: u64(72), //     DATA packets received since SETUP: likewise
})

/** ERROR. 16 bytes. */
export const LoadErrorPacket = struct('LOAD_ERROR', 16, {
  sequence: u32(0),
  kind: u16(4),
  reservedHeader: u16(6),
  error: u32(8), //  LoadError
  reserved: u32(12),
})

/** SUB_CHANNEL_REQUEST. 16 bytes. */
export const LoadSubChannelRequest = struct('LOAD_SUB_CHANNEL_REQUEST', 16, {
  sequence: u32(0),
  kind: u16(4),
  reservedHeader: u16(6),
  count: u32(8), //    sub-channels wanted beside the primary, 1..LOAD_CHANNELS_MAX - 1
  reserved: u32(12),
})

/** SUB_CHANNEL_RESPONSE. 16 bytes. Their offers follow on the bus, on this or a later poll. */
export const LoadSubChannelResponse = struct('LOAD_SUB_CHANNEL_RESPONSE', 16, {
  sequence: u32(0),
  kind: u16(4),
  reservedHeader: u16(6),
  status: u32(8), //   LoadStatus
  count: u32(12), //   sub-channels that this request added
})

/** Text of a LoadError, for logs; unknown values are shown as numbers. */
export function loadErrorName(error: number): string {
  switch (error) {
    case LoadError.MALFORMED:
      return 'malformed packet'
    case LoadError.UNKNOWN_KIND:
      return 'unknown packet kind'
    case LoadError.OUT_OF_ORDER:
      return 'packet out of order'
    case LoadError.PEER_GONE:
      return 'the other end of the stream is gone'
    case LoadError.TOO_LARGE:
      return "packets larger than the stream's receiver takes"
    default:
      return `error ${error}`
  }
}

/** Text of a LoadStatus, for logs; unknown values are shown as numbers. */
export function loadStatusName(status: number): string {
  switch (status) {
    case LoadStatus.ACCEPTED:
      return 'accepted'
    case LoadStatus.UNSUPPORTED_VERSION:
      return 'unsupported version'
    case LoadStatus.BAD_PARAMETER:
      return 'bad parameter'
    case LoadStatus.STREAM_TAKEN:
      return 'this end of the stream is taken'
    case LoadStatus.TOO_MANY_STREAMS:
      return 'too many streams'
    case LoadStatus.TOO_MANY_SUB_CHANNELS:
      return 'too many sub-channels'
    case LoadStatus.STREAM_DENIED:
      return 'the host does not let this partition join the stream'
    default:
      return `status ${status}`
  }
}
