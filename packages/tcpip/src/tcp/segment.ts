// TCP's header and the options that are spoken here: segment size, window scale, timestamps (RFC 9293 section 3.1, RFC 7323).

import { putU16, putU32, u16, u32 } from '../bytes.ts'

export const TcpFlag = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const
export const TCP_BYTES = 20
/** Timestamps and what aligns them. */
export const TIMESTAMP_BYTES = 12
const SYN_OPTION_BYTES = 20

const Option = { END: 0, NOTHING: 1, SEGMENT_SIZE: 2, WINDOW_SCALE: 3, TIMESTAMPS: 8 } as const
/** RFC 7323 section 2.3: more is taken for this. */
const SCALE_MAX = 14

/** A segment that arrived; one for all of them, valid while it is served. */
export interface Segment {
  frame: Uint8Array
  sourcePort: number
  targetPort: number
  sequence: number
  acknowledgement: number
  flags: number
  /** As it was sent: not scaled. */
  window: number
  /** Where its data begins, and how much it is. */
  dataAt: number
  dataBytes: number
  /** -1: not said. */
  segmentSize: number
  windowScale: number
  hasTimestamps: boolean
  timestamp: number
  timestampEcho: number
}

export function newSegment(): Segment {
  const ports = { sourcePort: 0, targetPort: 0 }
  const numbers = { sequence: 0, acknowledgement: 0, flags: 0, window: 0, dataAt: 0, dataBytes: 0 }
  const times = { hasTimestamps: false, timestamp: 0, timestampEcho: 0 }
  const options = { segmentSize: -1, windowScale: -1, ...times }
  return { frame: new Uint8Array(0), ...ports, ...numbers, ...options }
}

/** What it takes of the sequence numbers: data, SYN and FIN. */
export function sequenceBytes({ dataBytes, flags }: Segment): number {
  return dataBytes + ((flags & TcpFlag.SYN) === 0 ? 0 : 1) + (flags & TcpFlag.FIN)
}

/** Reads a header whose bytes are `at` to `end` with its data. False: it contradicts itself. */
export function parseSegment(
  segment: Segment,
  frame: Uint8Array,
  at: number,
  end: number,
): boolean {
  const headerBytes = (frame[at + 12]! >>> 4) * 4
  if (headerBytes < TCP_BYTES || at + headerBytes > end) return false
  segment.frame = frame
  segment.sourcePort = u16(frame, at)
  segment.targetPort = u16(frame, at + 2)
  segment.sequence = u32(frame, at + 4)
  segment.acknowledgement = u32(frame, at + 8)
  segment.flags = frame[at + 13]!
  segment.window = u16(frame, at + 14)
  segment.dataAt = at + headerBytes
  segment.dataBytes = end - segment.dataAt
  segment.segmentSize = -1
  segment.windowScale = -1
  segment.hasTimestamps = false
  return parseOptions(segment, frame, at + TCP_BYTES, segment.dataAt)
}

function parseOptions(segment: Segment, frame: Uint8Array, from: number, end: number): boolean {
  let at = from
  while (at < end && frame[at] !== Option.END) {
    if (frame[at] === Option.NOTHING) {
      at += 1
      continue
    }
    const bytes = at + 1 < end ? frame[at + 1]! : 0
    if (bytes < 2 || at + bytes > end) return false
    if (frame[at] === Option.SEGMENT_SIZE && bytes === 4) {
      segment.segmentSize = u16(frame, at + 2)
    } else if (frame[at] === Option.WINDOW_SCALE && bytes === 3) {
      segment.windowScale = Math.min(SCALE_MAX, frame[at + 2]!)
    } else if (frame[at] === Option.TIMESTAMPS && bytes === 10) {
      segment.hasTimestamps = true
      segment.timestamp = u32(frame, at + 2)
      segment.timestampEcho = u32(frame, at + 6)
    }
    at += bytes
  }
  return true
}

/** What the header of a segment that leaves says. */
export interface Outgoing {
  sourcePort: number
  targetPort: number
  sequence: number
  acknowledgement: number
  flags: number
  window: number
  /** Said in a SYN: segment size; window scale, -1 for none. */
  segmentSize: number
  windowScale: number
  /** -1: no timestamps. */
  timestamp: number
  timestampEcho: number
}

/** Writes a header with the checksum's field 0; gives its length. */
export function composeSegment(out: Outgoing, frame: Uint8Array, at: number): number {
  putU16(frame, at, out.sourcePort)
  putU16(frame, at + 2, out.targetPort)
  putU32(frame, at + 4, out.sequence)
  putU32(frame, at + 8, out.acknowledgement)
  frame[at + 13] = out.flags
  putU16(frame, at + 14, out.window)
  putU32(frame, at + 16, 0)
  let end = at + TCP_BYTES
  if ((out.flags & TcpFlag.SYN) !== 0) {
    frame.fill(Option.NOTHING, end, end + SYN_OPTION_BYTES)
    frame[end] = Option.SEGMENT_SIZE
    frame[end + 1] = 4
    putU16(frame, end + 2, out.segmentSize)
    if (out.windowScale >= 0) {
      frame[end + 5] = Option.WINDOW_SCALE
      frame[end + 6] = 3
      frame[end + 7] = out.windowScale
    }
    end += 8
  }
  if (out.timestamp >= 0) {
    frame[end] = Option.NOTHING
    frame[end + 1] = Option.NOTHING
    frame[end + 2] = Option.TIMESTAMPS
    frame[end + 3] = 10
    putU32(frame, end + 4, out.timestamp)
    putU32(frame, end + 8, out.timestampEcho)
    end += TIMESTAMP_BYTES
  }
  frame[at + 12] = ((end - at) >>> 2) << 4
  return end - at
}
