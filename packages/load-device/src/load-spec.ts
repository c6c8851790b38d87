// What a load run is asked to do and what it found: plain, structured-cloneable data, the same for whoever
// plans runs (scenario), carries them (control plane) and runs them (the guest). No code of either family.

import {
  LOAD_BATCH_MAX,
  LOAD_CHANNELS_MAX,
  LOAD_PAYLOAD_MAX_BYTES,
  LOAD_PAYLOAD_MIN_BYTES,
  LOAD_WINDOW_MAX,
} from './limits.ts'

/** Who produces packets. `both`: each side produces and checks at once. `echo`: the root returns each packet. */
export type LoadDirection = 'guest-to-root' | 'root-to-guest' | 'both' | 'echo'

/** How the guest waits for its channel when nothing is left to do; see `@guestyard/engine`. */
export type LoadWaiting = 'busy' | 'adaptive' | 'block' | 'event-loop'

/**
 * When the guest sends. `closed`: as soon as flow control and, for `echo`, the window allow.
 * `open`: at moments fixed beforehand, whatever the answers do; latency counts from those moments.
 */
export type LoadLoop =
  | {
      readonly kind: 'closed'
      /** Echo packets under way at most, 1..LOAD_WINDOW_MAX. Other directions are limited by the ring alone. */
      readonly window: number
    }
  | {
      readonly kind: 'open'
      /** Packets a second on each channel, more than 0. Not for `root-to-guest` and `both`. */
      readonly packetsPerSecond: number
    }

/** A stretch of a run, ended by time or by count. */
export type LoadExtent =
  | {
      readonly kind: 'duration'
      /** Milliseconds, more than 0 (warm-up: 0 or more). */ readonly durationMs: number
    }
  | {
      readonly kind: 'packets'
      /** Packets the channel moves in the measured direction, 1 or more (warm-up: 0 or more). */
      readonly packets: number
    }

/** One channel's part in a run. */
export interface ChannelLoadSpec {
  readonly direction: LoadDirection
  /** Bytes of one packet's payload, LOAD_PAYLOAD_MIN_BYTES..LOAD_PAYLOAD_MAX_BYTES; its 8-byte header counts. */
  readonly payloadBytes: number
  /** Packets written before they are published and, if the rule says so, signalled: 1..LOAD_BATCH_MAX. */
  readonly batch: number
  readonly loop: LoadLoop
  /** Runs first and is left out of every figure but `sequenceErrors`. */
  readonly warmUp: LoadExtent
  readonly measure: LoadExtent
}

/** A whole run in one guest. */
export interface LoadSpec extends ChannelLoadSpec {
  /** Channels driven at once, 1..LOAD_CHANNELS_MAX: the primary and its sub-channels. */
  readonly channels: number
  /** Bytes of the guest-to-root ring of each channel, its control page included: whole pages, room for two packets. */
  readonly sendRingBytes: number
  /** Bytes of the root-to-guest ring of each channel, likewise. */
  readonly receiveRingBytes: number
  readonly waiting: LoadWaiting
  /** For `adaptive` and `event-loop`: microseconds of polling with nothing to do before sleeping, 0 or more. */
  readonly spinMicroseconds: number
}

/** What one channel's guest end counted, with what the root end reported. The measured stretch, unless said. */
export interface ChannelLoadResult {
  /** Packets moved in the measured direction; `echo` counts round trips, `both` counts both ways. */
  readonly packets: number
  /** Payload bytes of those packets (one way for `echo`). */
  readonly bytes: number
  readonly packetsSent: number
  readonly packetsReceived: number
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Nanoseconds from the end of the warm-up until the last measured packet was known to have arrived. */
  readonly elapsedNs: number
  /** Packets out of sequence or of a wrong length at the guest, over the whole run, warm-up included. */
  readonly sequenceErrors: number
  /** The same, counted by the root. */
  readonly peerSequenceErrors: number
  /** Packets lost: what one end says it sent less what the other says it received, over the whole run. */
  readonly packetsMissing: number
  /** Signals the guest sent, that is commits for which the ring rule asked for one. */
  readonly signalsSent: number
  /** Signals the root sent for this channel. */
  readonly signalsReceived: number
  /** Times the guest found the root-bound ring too full for its next packet. */
  readonly fullRingWaits: number
  /** Times the root found the guest-bound ring too full for its next packet. */
  readonly peerFullRingWaits: number
  /** Times the guest's end woke after it had gone to sleep. */
  readonly wakes: number
  /** Times the root's end woke after it had gone to sleep. */
  readonly peerWakes: number
  /** Latencies recorded: round trips for `echo`, intended moment to acceptance by the ring for an open loop. */
  readonly latencies: number
}

/** A latency distribution as it crosses threads. */
export interface EncodedLatency {
  /** HdrHistogram V2 encoding, compressed, base64; values in nanoseconds. */
  readonly histogram: string
  /** Values in it. */
  readonly count: number
  readonly minNs: number
  readonly meanNs: number
  readonly p50Ns: number
  readonly p99Ns: number
  readonly maxNs: number
}

/** CPU time in microseconds. */
export interface LoadCpuTime {
  readonly userMicroseconds: number
  readonly systemMicroseconds: number
}

/** The result of a `LoadSpec`: sums over its channels, and each channel by itself. */
export interface LoadResult {
  readonly spec: LoadSpec
  readonly packets: number
  readonly bytes: number
  /** The longest channel's, nanoseconds. */
  readonly elapsedNs: number
  readonly sequenceErrors: number
  readonly peerSequenceErrors: number
  readonly packetsMissing: number
  readonly signalsSent: number
  readonly signalsReceived: number
  readonly fullRingWaits: number
  readonly peerFullRingWaits: number
  readonly wakes: number
  readonly peerWakes: number
  /** All channels' latencies in one; null when none was recorded. */
  readonly latency: EncodedLatency | null
  /** Used by the guest's thread during the whole run; null where the platform does not tell. */
  readonly guestCpu: LoadCpuTime | null
  /** Growth of the guest thread's heap over the whole run divided by packets; negative after a collection. */
  readonly heapBytesPerPacket: number | null
  readonly channels: readonly ChannelLoadResult[]
}

/** The first field of a spec that cannot be run, and why. */
export interface LoadSpecProblem {
  /** Path of the field, as `loop.window`. */
  readonly field: string
  /** One line without the field's name, as `must be a whole number from 1 to 1024, got 0`. */
  readonly problem: string
}

/** Checks every field of a channel's part; `undefined` means it can be run. */
export function checkChannelLoadSpec(spec: ChannelLoadSpec): LoadSpecProblem | undefined {
  return (
    oneOf('direction', spec.direction, ['guest-to-root', 'root-to-guest', 'both', 'echo']) ??
    wholeNumber(
      'payloadBytes',
      spec.payloadBytes,
      LOAD_PAYLOAD_MIN_BYTES,
      LOAD_PAYLOAD_MAX_BYTES,
    ) ??
    wholeNumber('batch', spec.batch, 1, LOAD_BATCH_MAX) ??
    checkLoop(spec) ??
    checkExtent('warmUp', spec.warmUp, 0) ??
    checkExtent('measure', spec.measure, 1)
  )
}

/** Checks every field of a run; `undefined` means it can be run. */
export function checkLoadSpec(spec: LoadSpec): LoadSpecProblem | undefined {
  return (
    checkChannelLoadSpec(spec) ??
    wholeNumber('channels', spec.channels, 1, LOAD_CHANNELS_MAX) ??
    checkRing('sendRingBytes', spec.sendRingBytes, spec.payloadBytes) ??
    checkRing('receiveRingBytes', spec.receiveRingBytes, spec.payloadBytes) ??
    oneOf('waiting', spec.waiting, ['busy', 'adaptive', 'block', 'event-loop']) ??
    atLeast('spinMicroseconds', spec.spinMicroseconds, 0)
  )
}

/** Sums over channels what a `LoadResult` sums; the rest is the caller's to add. */
export function sumChannelResults(
  channels: readonly ChannelLoadResult[],
): Omit<LoadResult, 'spec' | 'latency' | 'guestCpu' | 'heapBytesPerPacket'> {
  const sum = (pick: (channel: ChannelLoadResult) => number): number => {
    let total = 0
    for (const channel of channels) total += pick(channel)
    return total
  }
  let elapsedNs = 0
  for (const channel of channels) elapsedNs = Math.max(elapsedNs, channel.elapsedNs)
  return {
    packets: sum((c) => c.packets),
    bytes: sum((c) => c.bytes),
    elapsedNs,
    sequenceErrors: sum((c) => c.sequenceErrors),
    peerSequenceErrors: sum((c) => c.peerSequenceErrors),
    packetsMissing: sum((c) => c.packetsMissing),
    signalsSent: sum((c) => c.signalsSent),
    signalsReceived: sum((c) => c.signalsReceived),
    fullRingWaits: sum((c) => c.fullRingWaits),
    peerFullRingWaits: sum((c) => c.peerFullRingWaits),
    wakes: sum((c) => c.wakes),
    peerWakes: sum((c) => c.peerWakes),
    channels,
  }
}

/** Descriptor and trailer. */
const PACKET_OVERHEAD_BYTES = 16 + 8
/** A ring never gives its last bytes away. */
const RING_SLACK_BYTES = 16
const PAGE_BYTES = 4096
const CONTROL_PAGES = 1

function checkRing(
  field: string,
  bytes: number,
  payloadBytes: number,
): LoadSpecProblem | undefined {
  const padded = Math.ceil(payloadBytes / 8) * 8
  // Room for two packets, so that one can be read while the next is written.
  const needed = 2 * (padded + PACKET_OVERHEAD_BYTES) + RING_SLACK_BYTES
  const least = (Math.ceil(needed / PAGE_BYTES) + CONTROL_PAGES) * PAGE_BYTES
  if (Number.isSafeInteger(bytes) && bytes % PAGE_BYTES === 0 && bytes >= least) return undefined
  return { field, problem: `must be a multiple of 4096 of at least ${least}, got ${bytes}` }
}

function checkLoop(spec: ChannelLoadSpec): LoadSpecProblem | undefined {
  const { loop } = spec
  switch (loop.kind) {
    case 'closed':
      return wholeNumber('loop.window', loop.window, 1, LOAD_WINDOW_MAX)
    case 'open':
      if (!(loop.packetsPerSecond > 0) || !Number.isFinite(loop.packetsPerSecond)) {
        return {
          field: 'loop.packetsPerSecond',
          problem: `must be a number above 0, got ${loop.packetsPerSecond}`,
        }
      }
      if (spec.direction === 'root-to-guest' || spec.direction === 'both') {
        return {
          field: 'loop.kind',
          problem: `must be closed for direction ${spec.direction}: the root sends without a rate`,
        }
      }
      return undefined
    default:
      return oneOf('loop.kind', (loop as LoadLoop).kind, ['closed', 'open'])
  }
}

function checkExtent(
  field: string,
  extent: LoadExtent,
  least: number,
): LoadSpecProblem | undefined {
  switch (extent.kind) {
    case 'duration':
      if (least > 0 && extent.durationMs === 0) {
        return { field: `${field}.durationMs`, problem: 'must be a number above 0, got 0' }
      }
      return atLeast(`${field}.durationMs`, extent.durationMs, 0)
    case 'packets':
      return wholeNumber(`${field}.packets`, extent.packets, least, Number.MAX_SAFE_INTEGER)
    default:
      return oneOf(`${field}.kind`, (extent as LoadExtent).kind, ['duration', 'packets'])
  }
}

function wholeNumber(
  field: string,
  value: number,
  least: number,
  most: number,
): LoadSpecProblem | undefined {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return undefined
  const range =
    most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
  return { field, problem: `must be a whole number ${range}, got ${value}` }
}

function atLeast(field: string, value: number, least: number): LoadSpecProblem | undefined {
  if (Number.isFinite(value) && value >= least) return undefined
  return { field, problem: `must be a number of at least ${least}, got ${value}` }
}

function oneOf(
  field: string,
  value: string,
  allowed: readonly string[],
): LoadSpecProblem | undefined {
  if (allowed.includes(value)) return undefined
  return { field, problem: `must be one of ${allowed.join(', ')}, got ${value}` }
}
