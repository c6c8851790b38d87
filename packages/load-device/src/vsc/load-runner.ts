// HOT
// Runs one channel's part of a load: the guest's end of sink, source, duplex and echo.
//
//   setting-up ─▶ warming-up ─▶ measuring ─▶ ending ─▶ over
//        └──────────┴─────────────┴────────────┴────▶ over (failed)
//
//   setting-up   SETUP is out, its answer awaited
//   warming-up   as measuring, but nothing is recorded; ends with RESET_STATISTICS
//   measuring    counts, and records latencies
//   ending       END_OF_STREAM or STOP is out; what is under way still comes; then STATISTICS
//
// An open loop sends packet k at start + k / rate, whatever the answers do, and counts its latency from that
// moment: a packet that could not go in time shows the whole delay (no coordinated omission).

import type { Channel } from '@guestyard/vmbus'
import { PacketChecker } from '../checker.ts'
import { byteUnits } from '../poll-units.ts'
import { PacketProducer } from '../producer.ts'
import {
  LOAD_KIND_END_OF_STREAM,
  LOAD_KIND_STATISTICS,
  LoadEndOfStream,
  LoadMode,
  LoadStatistics,
} from '../protocol.ts'
import type { ChannelLoadResult, ChannelLoadSpec, LoadDirection, LoadExtent } from '../protocol.ts'
import { LoadEnd } from './load-end.ts'
import { LoadTally } from './load-tally.ts'
import type { LoadCounts, RootStatistics } from './load-tally.ts'
import { endOfStream, resetStatistics, setup, stop } from './requests.ts'

/** Where latencies go, in nanoseconds; a histogram of hdr-histogram-js fits. */
export interface LatencyRecorder {
  recordValue(nanoseconds: number): void
}

export type LoadOutcome =
  | { readonly ok: true; readonly result: ChannelLoadResult }
  | { readonly ok: false; readonly reason: string }

export interface LoadRunnerOptions {
  /** Checked by the caller with `checkChannelLoadSpec`. */
  readonly spec: ChannelLoadSpec
  /** Nanoseconds on any clock that only moves forward; whole or not. */
  nowNs(): number
  /** Null when nobody wants latencies. */
  readonly latency: LatencyRecorder | null
  /** Called once, when the run is over; the channel may then run something else. */
  onDone(outcome: LoadOutcome): void
}

export type LoadRunnerState = 'setting-up' | 'warming-up' | 'measuring' | 'ending' | 'over'

const UNLIMITED = Number.MAX_SAFE_INTEGER
/** Polls to one reading of the clock where only the run's extent hangs on it: a reading costs as much as a poll. */
const POLLS_PER_CLOCK = 8

const MODES: Readonly<Record<LoadDirection, LoadMode>> = {
  'guest-to-root': LoadMode.SINK,
  'root-to-guest': LoadMode.SOURCE,
  both: LoadMode.DUPLEX,
  echo: LoadMode.ECHO,
}

export class LoadRunner extends LoadEnd {
  readonly #options: LoadRunnerOptions
  readonly #spec: ChannelLoadSpec
  readonly #checker: PacketChecker
  readonly #producer: PacketProducer
  readonly #tally: LoadTally
  readonly #latency: LatencyRecorder | null
  readonly #isSender: boolean
  readonly #isEcho: boolean
  readonly #batch: number
  readonly #wakeBytes: number
  /** Each publication needs the time of its own: an open loop, or latencies. Reading a clock can cost more than a packet. */
  readonly #needsClock: boolean
  /** The latest reading, and the polls that use it. */
  #nowNs: number
  #pollsToClock: number
  /** Nanoseconds between two packets of an open loop; 0 in a closed loop. */
  readonly #intervalNs: number
  /** Closed echo loop: packets under way at most. */
  readonly #window: number
  /** Closed echo loop: when packet k was sent, at k modulo the size, which is a power of two. */
  readonly #sentAt: Float64Array
  readonly #sentMask: number
  #state: LoadRunnerState
  /** When the warm-up began: packet 0 of an open loop is due then. */
  #startNs: number
  /** When the current state began. */
  #stateNs: number
  /** Packets moved in the measured direction when the current state began. */
  #stateMoved: number
  /** Packets from this one on are recorded. */
  #recordFrom: number
  #isFull: boolean
  #fullRingWaits: number
  #latencies: number
  /** What the root says it sent; 0 until its END_OF_STREAM. */
  #endPackets: number

  constructor(channel: Channel, options: LoadRunnerOptions) {
    super(channel)
    const { spec } = options
    const { loop } = spec
    this.#options = options
    this.#spec = spec
    this.#checker = new PacketChecker(this.incoming, spec.payloadBytes, true)
    this.#producer = new PacketProducer(this.outgoing, spec.payloadBytes)
    this.#tally = new LoadTally(spec)
    this.#latency = options.latency
    this.#isSender = spec.direction !== 'root-to-guest'
    this.#isEcho = spec.direction === 'echo'
    this.#batch = spec.batch
    this.#wakeBytes = this.#producer.wakeBytes(spec.batch)
    this.#nowNs = 0
    this.#pollsToClock = 0
    this.#intervalNs = loop.kind === 'open' ? 1e9 / loop.packetsPerSecond : 0
    this.#needsClock = loop.kind === 'open' || (this.#isEcho && options.latency !== null)
    this.#window = this.#isEcho && loop.kind === 'closed' ? loop.window : UNLIMITED
    const places = this.#isEcho && loop.kind === 'closed' ? nextPowerOfTwo(loop.window) : 1
    this.#sentAt = new Float64Array(places)
    this.#sentMask = places - 1
    this.#state = 'setting-up'
    this.#startNs = 0
    this.#stateNs = 0
    this.#stateMoved = 0
    this.#recordFrom = UNLIMITED
    this.#isFull = false
    this.#fullRingWaits = 0
    this.#latencies = 0
    this.#endPackets = 0
    const { payloadBytes, batch } = spec
    const mode = MODES[spec.direction]
    this.requests.owe(setup({ mode, payloadBytes, batch, streamId: 0 }))
    // The SETUP goes out before anybody polls, when there is room.
    this.payNow()
  }

  get state(): LoadRunnerState {
    return this.isOver() ? 'over' : this.#state
  }

  protected get holdsPackets(): boolean {
    return false
  }

  protected onAccepted(): void {
    this.#startNs = this.#options.nowNs()
    this.#enter('warming-up', this.#startNs)
    // Without a warm-up the root's counters are fresh anyway.
    if (this.#hasReached(this.#spec.warmUp, this.#startNs)) this.#measure(this.#startNs, false)
  }

  protected onData(first: number, end: number): number {
    const checker = this.#checker
    const index = checker.packets
    const errors = checker.errors
    const next = checker.check(first, end)
    const isInOrder = checker.errors === errors
    if (this.#isEcho && isInOrder && index + (next - first) > this.#recordFrom) {
      this.#recordEchoes(index, next - first)
    }
    return next
  }

  protected send(budget: number): number {
    if (this.life !== 'active') return 0
    const now = this.#pollTime()
    this.#advance(now)
    if (!this.#isSender || this.requests.owes) return 0
    if (this.#state !== 'warming-up' && this.#state !== 'measuring') return 0
    let done = 0
    let clock = now
    let allowed = this.#allowed(now)
    while (done < budget && allowed > 0) {
      const wanted = allowed < this.#batch ? allowed : this.#batch
      const written = this.#write(wanted, clock)
      done += written + byteUnits(written * this.#spec.payloadBytes)
      allowed -= written
      if (written > 0) this.#isFull = false
      if (written < wanted) {
        this.#onFull()
        break
      }
      if (this.#needsClock) {
        clock = this.#options.nowNs()
        if (this.#intervalNs > 0) allowed = this.#allowed(clock)
      }
    }
    return done
  }

  protected onControl(kind: number, view: DataView, at: number, length: number): boolean {
    if (kind === LOAD_KIND_END_OF_STREAM && length >= LoadEndOfStream.size) {
      const { sequence, packets } = LoadEndOfStream.decode(view, at)
      this.#endPackets = Number(packets)
      this.#checker.checkEnd(sequence, this.#endPackets)
      return this.#state === 'ending'
    }
    if (kind === LOAD_KIND_STATISTICS && length >= LoadStatistics.size) {
      if (this.#state !== 'ending') return false
      this.#onStatistics(LoadStatistics.decode(view, at))
      return true
    }
    return false
  }

  protected armSend(): boolean {
    if (this.life !== 'active' || !this.#isSender) return false
    if (this.#state !== 'warming-up' && this.#state !== 'measuring') return false
    if (this.#isFull) return this.outgoing.setPendingSendSize(this.#wakeBytes)
    // An open loop has its next packet to send at its moment: it sleeps when the last one is out.
    if (this.#intervalNs > 0) return this.#left() > 0
    return this.#allowed(this.#stateNs) > 0
  }

  protected tellFailed(reason: string): void {
    this.#options.onDone({ ok: false, reason })
  }

  /** Packets of the measured direction so far, warm-up included. */
  #moved(): number {
    const sent = this.#producer.packets
    const received = this.#checker.packets
    if (this.#isEcho) return received
    return this.#isSender ? sent + received : received
  }

  #enter(state: LoadRunnerState, now: number): void {
    this.#state = state
    this.#stateNs = now
    this.#stateMoved = this.#moved()
  }

  /** The time of this poll, near enough for what it is used for. */
  #pollTime(): number {
    this.#pollsToClock -= 1
    if (this.#pollsToClock <= 0 || this.#needsClock) {
      this.#pollsToClock = POLLS_PER_CLOCK
      this.#nowNs = this.#options.nowNs()
    }
    return this.#nowNs
  }

  /** Ends the warm-up and the measured stretch when their extent is reached: at the moment it is, not at the poll's. */
  #advance(now: number): void {
    if (this.#state === 'warming-up' && this.#hasReached(this.#spec.warmUp, now)) {
      this.#measure(this.#options.nowNs(), true)
    } else if (this.#state === 'measuring' && this.#hasReached(this.#spec.measure, now)) {
      this.#end(this.#options.nowNs())
    }
  }

  #hasReached(extent: LoadExtent, now: number): boolean {
    if (extent.kind === 'duration') return now - this.#stateNs >= extent.durationMs * 1e6
    return this.#moved() - this.#stateMoved >= extent.packets
  }

  #measure(now: number, isWarm: boolean): void {
    this.#enter('measuring', now)
    this.#recordFrom = this.#producer.packets
    this.#tally.begin(now, this.#counts())
    if (isWarm) this.requests.owe(resetStatistics())
  }

  #end(now: number): void {
    this.#tally.end(now, this.#counts())
    this.#enter('ending', now)
    this.#recordFrom = UNLIMITED
    const { direction } = this.#spec
    if (direction === 'root-to-guest' || direction === 'both') this.requests.owe(stop())
    if (direction !== 'root-to-guest') this.requests.owe(endOfStream(this.#producer.packets))
  }

  #counts(): LoadCounts {
    return {
      sent: this.#producer.packets,
      received: this.#checker.packets,
      signals: this.signals,
      fullRingWaits: this.#fullRingWaits,
      wakes: this.wakes,
    }
  }

  #onStatistics(root: RootStatistics): void {
    const result = this.#tally.result({
      finishedNs: this.#options.nowNs(),
      sequenceErrors: this.#checker.errors,
      latencies: this.#latencies,
      totalSent: this.#producer.packets,
      totalReceived: this.#checker.packets,
      endPackets: this.#endPackets,
      root,
    })
    this.finish(() => this.#options.onDone({ ok: true, result }))
  }

  #onFull(): void {
    if (!this.#isFull) this.#fullRingWaits += 1
    this.#isFull = true
  }

  /** Packets that may go out at `now`, in whole batches as far as there is a choice. */
  #allowed(now: number): number {
    const sent = this.#producer.packets
    const left = this.#left()
    if (this.#intervalNs > 0) {
      const due = Math.floor((now - this.#startNs) / this.#intervalNs) + 1 - sent
      return due < 0 ? 0 : due < left ? due : left
    }
    if (!this.#isEcho) return left
    const underWay = sent - this.#checker.packets
    const open = this.#window - (underWay > 0 ? underWay : 0)
    if (open >= left) return left
    // For the rest of a batch it waits: with something under way, answers will come. A window smaller than
    // a batch is used as a whole.
    return open === this.#window && open < this.#batch ? open : open - (open % this.#batch)
  }

  /** Packets that the current stretch still has to send, when it is limited by their number. */
  #left(): number {
    const isWarmUp = this.#state === 'warming-up'
    const extent = isWarmUp ? this.#spec.warmUp : this.#spec.measure
    if (extent.kind === 'duration' || this.#spec.direction === 'both') return UNLIMITED
    return extent.packets - (this.#producer.packets - (isWarmUp ? 0 : this.#recordFrom))
  }

  #write(count: number, now: number): number {
    const producer = this.#producer
    const index = producer.packets
    if (count === 1) {
      const status = producer.send()
      if (status < 0) return 0
      if (status === 1) this.signal()
      this.#onSent(index, 1, now)
      return 1
    }
    const written = producer.write(count)
    if (written > 0) {
      this.#onSent(index, written, now)
      if (this.outgoing.commit()) this.signal()
    }
    return written
  }

  #onSent(index: number, count: number, now: number): void {
    if (this.#latency === null) return
    if (this.#isEcho) {
      // An open loop knows the moments without looking them up.
      if (this.#intervalNs > 0) return
      const mask = this.#sentMask
      const sentAt = this.#sentAt
      for (let packet = 0; packet < count; packet += 1) sentAt[(index + packet) & mask] = now
    } else if (this.#intervalNs > 0 && index >= this.#recordFrom) {
      this.#recordSinceDue(index, count, this.#options.nowNs())
    }
  }

  #recordEchoes(index: number, count: number): void {
    const latency = this.#latency
    if (latency === null) return
    const now = this.#options.nowNs()
    if (this.#intervalNs > 0) return this.#recordSinceDue(index, count, now)
    const sentAt = this.#sentAt
    const mask = this.#sentMask
    const from = this.#recordFrom > index ? this.#recordFrom : index
    for (let packet = from; packet < index + count; packet += 1) {
      latency.recordValue(now - sentAt[packet & mask]!)
      this.#latencies += 1
    }
  }

  /** Open loop: each packet's latency counts from the moment it was due. */
  #recordSinceDue(index: number, count: number, now: number): void {
    const latency = this.#latency
    if (latency === null) return
    const from = this.#recordFrom > index ? this.#recordFrom : index
    for (let packet = from; packet < index + count; packet += 1) {
      latency.recordValue(now - (this.#startNs + packet * this.#intervalNs))
      this.#latencies += 1
    }
  }
}

function nextPowerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(value))
}
