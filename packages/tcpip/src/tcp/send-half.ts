// What a connection sends: bytes in order from the application, kept until they are acknowledged (RFC 9293 section 3.8). It knows windows, losses
// and when to try again; a connection hands it a way to emit a segment, the time, and what came back.

import { ByteRing } from './byte-ring.ts'
import { Congestion } from './congestion.ts'
import { RoundTrip } from './round-trip.ts'
import { TcpFlag } from './segment.ts'
import { advance, distance, isAfter, isBefore } from './sequence.ts'

/** Duplicates that show a loss (RFC 5681 section 3.2). */
const DUPLICATES = 3
/** Timeouts in a row for the same data before a connection counts as dead: some 15 minutes. */
const TIMEOUTS_MAX = 15

/**
 * Emits data of the buffer, `bytes` of them from `offset` on, at a sequence number. False: the link has no room, and nothing was sent.
 */
export type Emit = (sequence: number, flags: number, offset: number, bytes: number) => boolean

export class SendHalf {
  readonly buffer: ByteRing
  readonly congestion: Congestion
  readonly roundTrip: RoundTrip = new RoundTrip()
  readonly #emit: Emit
  readonly #isPatient: boolean
  /** The most data of a segment. */
  #segment: number
  /** SND.UNA, SND.NXT, and the highest SND.NXT ever: a timeout takes the second back to the first. */
  #unacknowledged: number
  #next: number
  #highest: number
  /** SND.WND in bytes, the largest of all, and the segment that told it (SND.WL1, SND.WL2). */
  #window = 0
  #largestWindow = 0
  #windowSequence = 0
  #windowAcknowledgement = 0
  #isFinishing = false
  /** The FIN's own number, once there is to be one. */
  #finAt = 0
  #duplicates = 0
  #isRecovering = false
  /** SND.NXT at the latest loss (RFC 6582). */
  #recover: number
  /** The number whose acknowledgement is timed where there are no timestamps, and since when; negative: none. */
  #timedSequence = 0
  #timedSinceMs = -1
  #timeoutAtMs = Infinity
  #probeAtMs = Infinity
  #probes = 0
  #sentAtMs = -Infinity

  /**
   * `initial`: the number of our SYN. `segment`: the most data of a segment. `isPatient`: small segments wait for an acknowledgement of what is
   * under way (Nagle).
   */
  constructor(initial: number, segment: number, capacity: number, isPatient: boolean, emit: Emit) {
    this.buffer = new ByteRing(capacity)
    this.congestion = new Congestion(segment)
    this.#segment = segment
    this.#isPatient = isPatient
    this.#emit = emit
    this.#unacknowledged = advance(initial, 1)
    this.#next = this.#unacknowledged
    this.#highest = this.#next
    this.#recover = initial
  }

  get unacknowledged(): number {
    return this.#unacknowledged
  }

  /** The number that the next new byte gets: what pure acknowledgements carry. */
  get next(): number {
    return this.#highest
  }

  get largestWindow(): number {
    return this.#largestWindow
  }

  get segment(): number {
    return this.#segment
  }

  /** Everything, the FIN too, is acknowledged. */
  get isFinished(): boolean {
    return this.#isFinishing && isAfter(this.#unacknowledged, this.#finAt)
  }

  /** No more will be queued; a FIN follows what is. */
  get isFinishing(): boolean {
    return this.#isFinishing
  }

  /** Nothing came of too many tries. */
  get isDead(): boolean {
    return this.roundTrip.backoff > TIMEOUTS_MAX
  }

  get deadlineMs(): number {
    return Math.min(this.#timeoutAtMs, this.#probeAtMs)
  }

  finish(): void {
    this.#isFinishing = true
    this.#finAt = advance(this.#unacknowledged, this.buffer.size)
  }

  /** The path carries less. */
  setSegment(segment: number): void {
    this.#segment = segment
    this.congestion.setSegment(segment)
  }

  /** The window that came with the handshake. */
  openWindow(window: number, sequence: number, acknowledgement: number): void {
    this.#window = window
    this.#largestWindow = window
    this.#windowSequence = sequence
    this.#windowAcknowledgement = acknowledgement
  }

  /** Where an acknowledgement stands: before what it may be, in order, or of what was never sent (RFC 5961 section 5.2). */
  isAcceptable(acknowledgement: number): boolean {
    const oldest = advance(this.#unacknowledged, -this.#largestWindow)
    return !isAfter(acknowledgement, this.#highest) && !isBefore(acknowledgement, oldest)
  }

  /**
   * An acknowledgement that is acceptable. `isPlain`: it came without data, SYN or FIN. `window`: scaled. `sampleMs`: the round trip that its
   * timestamp shows, -1 where there is none. Says how many bytes of data are done with.
   */
  acknowledge(
    acknowledgement: number,
    sequence: number,
    window: number,
    isPlain: boolean,
    sampleMs: number,
    nowMs: number,
  ): number {
    const isSame = window === this.#window
    let done = 0
    if (isAfter(acknowledgement, this.#unacknowledged)) {
      done = this.#progress(acknowledgement, sampleMs, nowMs)
    } else if (
      acknowledgement === this.#unacknowledged &&
      isPlain &&
      isSame &&
      this.#next !== this.#unacknowledged
    ) {
      this.#duplicate(nowMs)
    }
    this.#takeWindow(acknowledgement, sequence, window)
    return done
  }

  /** Sends what may be sent. */
  output(nowMs: number): void {
    const { roundTrip, congestion } = this
    const isIdle = this.#next === this.#unacknowledged
    if (isIdle && nowMs - this.#sentAtMs > roundTrip.timeoutMs) congestion.onIdle()
    while (!this.#isFinSent) {
      const ahead = distance(this.#unacknowledged, this.#next)
      const queued = this.buffer.size - ahead
      const usable = Math.min(congestion.window, this.#window) - ahead
      const bytes = Math.min(this.#segment, queued, usable)
      const isLast = bytes === queued
      const hasFin = this.#isFinishing && isLast && usable >= 0
      if (bytes <= 0 && !hasFin) {
        if (queued > 0 && ahead === 0) this.#armProbe(nowMs)
        return
      }
      if (bytes < this.#segment && !hasFin && this.#waits(bytes, isLast, ahead, nowMs)) return
      const flags = TcpFlag.ACK | (isLast ? TcpFlag.PSH : 0) | (hasFin ? TcpFlag.FIN : 0)
      if (!this.#emit(this.#next, flags, ahead, Math.max(0, bytes))) return
      this.#sent(Math.max(0, bytes) + (hasFin ? 1 : 0), nowMs)
    }
  }

  /** A deadline may have passed. */
  onTime(nowMs: number): void {
    if (nowMs >= this.#probeAtMs) this.#probe(nowMs)
    if (nowMs < this.#timeoutAtMs) return
    const { congestion, roundTrip } = this
    congestion.onTimeout(distance(this.#unacknowledged, this.#highest), roundTrip.backoff === 0)
    roundTrip.backOff()
    this.#recover = this.#highest
    this.#isRecovering = false
    this.#duplicates = 0
    // Karn: what is sent twice tells no time.
    this.#timedSinceMs = -1
    this.#next = this.#unacknowledged
    this.#timeoutAtMs = nowMs + roundTrip.timeoutMs
    this.output(nowMs)
  }

  get #isFinSent(): boolean {
    return this.#isFinishing && isAfter(this.#next, this.#finAt)
  }

  /** Small segments: Nagle (RFC 9293 section 3.7.4), and no silly windows at the sender (section 3.8.6.2.1). */
  #waits(bytes: number, isLast: boolean, ahead: number, nowMs: number): boolean {
    if (isLast) return this.#isPatient && ahead > 0
    if (bytes >= this.#largestWindow / 2) return false
    if (ahead === 0) this.#armProbe(nowMs)
    return true
  }

  #sent(bytes: number, nowMs: number): void {
    const isNew = !isBefore(this.#next, this.#highest)
    if (isNew && this.#timedSinceMs < 0) {
      this.#timedSequence = this.#next
      this.#timedSinceMs = nowMs
    }
    this.#next = advance(this.#next, bytes)
    if (isAfter(this.#next, this.#highest)) this.#highest = this.#next
    this.#sentAtMs = nowMs
    this.#probeAtMs = Infinity
    if (this.#timeoutAtMs === Infinity) this.#timeoutAtMs = nowMs + this.roundTrip.timeoutMs
  }

  #progress(acknowledgement: number, sampleMs: number, nowMs: number): number {
    const { buffer, congestion, roundTrip } = this
    const acknowledged = distance(this.#unacknowledged, acknowledgement)
    const bytes = Math.min(acknowledged, buffer.size)
    const inFlight = distance(acknowledgement, this.#highest)
    buffer.drop(bytes)
    this.#unacknowledged = acknowledgement
    if (isBefore(this.#next, acknowledgement)) this.#next = acknowledgement
    this.#sample(acknowledgement, sampleMs, nowMs)
    roundTrip.onProgress()
    this.#probes = 0
    this.#probeAtMs = Infinity
    this.#duplicates = 0
    const isAll = this.#next === acknowledgement
    this.#timeoutAtMs = isAll ? Infinity : nowMs + roundTrip.timeoutMs
    if (!this.#isRecovering) {
      congestion.onAcknowledged(acknowledged)
    } else if (isBefore(acknowledgement, this.#recover)) {
      congestion.onPartial(acknowledged)
      this.#sendFirst()
    } else {
      this.#isRecovering = false
      congestion.onRecovered(inFlight)
    }
    return bytes
  }

  #sample(acknowledgement: number, sampleMs: number, nowMs: number): void {
    const isTimed = this.#timedSinceMs >= 0 && isAfter(acknowledgement, this.#timedSequence)
    if (sampleMs >= 0) {
      this.roundTrip.sample(sampleMs)
    } else if (isTimed) {
      this.roundTrip.sample(nowMs - this.#timedSinceMs)
    }
    if (isTimed) this.#timedSinceMs = -1
  }

  #duplicate(nowMs: number): void {
    this.#duplicates += 1
    if (this.#isRecovering) return this.congestion.onDuplicate()
    // RFC 6582 section 3.2: duplicates of what an earlier recovery sent twice show no new loss.
    const isNew = isAfter(this.#unacknowledged, this.#recover)
    if (this.#duplicates !== DUPLICATES || !isNew) return
    this.#isRecovering = true
    this.#recover = this.#highest
    this.#timedSinceMs = -1
    this.congestion.onLoss(distance(this.#unacknowledged, this.#highest))
    this.#timeoutAtMs = nowMs + this.roundTrip.timeoutMs
    this.#sendFirst()
  }

  /** Sends the oldest segment again. A link without room loses it, as any other may. */
  #sendFirst(): void {
    const bytes = Math.min(this.#segment, this.buffer.size)
    const hasFin = this.#isFinSent && bytes === this.buffer.size
    if (bytes > 0 || hasFin) {
      const flags = TcpFlag.ACK | (hasFin ? TcpFlag.FIN : 0)
      this.#emit(this.#unacknowledged, flags, 0, bytes)
    }
  }

  #takeWindow(acknowledgement: number, sequence: number, window: number): void {
    const isNewer =
      isBefore(this.#windowSequence, sequence) ||
      (this.#windowSequence === sequence && !isAfter(this.#windowAcknowledgement, acknowledgement))
    if (!isNewer) return
    this.#window = window
    this.#largestWindow = Math.max(this.#largestWindow, window)
    this.#windowSequence = sequence
    this.#windowAcknowledgement = acknowledgement
  }

  #armProbe(nowMs: number): void {
    if (this.#probeAtMs !== Infinity) return
    this.#probeAtMs = nowMs + Math.min(60_000, this.roundTrip.timeoutMs * 2 ** this.#probes)
  }

  /** One byte into a window that is shut (section 3.8.6.1): its answer tells whether it has opened. A peer that answers may keep it shut for ever. */
  #probe(nowMs: number): void {
    this.#probeAtMs = Infinity
    this.#probes = Math.min(this.#probes + 1, TIMEOUTS_MAX)
    if (this.buffer.size === 0 || this.#next !== this.#unacknowledged) return
    if (this.#emit(this.#unacknowledged, TcpFlag.ACK, 0, 1)) {
      const end = advance(this.#unacknowledged, 1)
      if (isAfter(end, this.#highest)) this.#highest = end
    }
    this.#armProbe(nowMs)
  }
}
