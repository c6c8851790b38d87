// One TCP connection (RFC 9293 section 3.10): states, and what each makes of a segment. Segments from anywhere are answered as RFC 5961 has it: a
// blind RST or SYN changes nothing.

import { Allowance } from '../allowance.ts'
import { DropReason } from '../drops.ts'
import { ReceiveHalf } from './receive-half.ts'
import { SendHalf, type Emit } from './send-half.ts'
import type { TcpEnd, TcpLimits, TcpPorts, TcpState } from './connection-types.ts'
import { RoundTrip } from './round-trip.ts'
import { TIMESTAMP_BYTES, TcpFlag, sequenceBytes, type Segment } from './segment.ts'
import { advance, distance, isAfter, isBefore } from './sequence.ts'

/** What a connection needs of whoever holds it. */
export interface TcpWire {
  readonly limits: TcpLimits
  now(): number
  /** Sends one segment of it. False: no room on the link. */
  emit(
    connection: TcpConnection,
    sequence: number,
    flags: number,
    offset: number,
    bytes: number,
  ): boolean
  /** Answers a segment that belongs to nothing. */
  refuse(connection: TcpConnection, segment: Segment): void
  dropped(reason: DropReason): void
  /** It is open: the handshake is through. */
  opened(connection: TcpConnection): void
  closed(connection: TcpConnection): void
}

const SYN_TRIES_MAX = 6
/** What a peer takes that says nothing (RFC 9293 section 3.7.1). */
const DEFAULT_SEGMENT = 536
/** Smaller than any path is: a peer that says less would have us send headers for the most part. */
const LEAST_SEGMENT = 88
const CHALLENGES_PER_SECOND = 10

/** The stack's thread only. Nothing here throws, whatever arrives. */
export class TcpConnection {
  /** This end's address: the stack's, or that of the host it stands for. */
  readonly local: number
  readonly localPort: number
  /** The peer's address and port. */
  readonly remote: number
  readonly remotePort: number
  /** Called when there is something new: bytes to read, room to write, another state. It may call back at once. */
  onChange: (() => void) | null = null
  /** For whoever holds it; not this file's. */
  readonly isPassive: boolean
  readonly #wire: TcpWire
  readonly #initial: number
  /** What this end can take in a segment, and whether small ones wait. */
  readonly #ownSegment: number
  readonly #isPatient: boolean
  #state: TcpState
  #end: TcpEnd | null = null
  #sending: SendHalf | null = null
  #receiving: ReceiveHalf | null = null
  #peerInitial = 0
  #peerScale = 0
  #ownScale: number
  #usesTimestamps = true
  /** TS.Recent and Last.ACK.sent (RFC 7323 section 4.3). */
  #recentTimestamp = 0
  #acknowledgedTo = 0
  #handshake: RoundTrip | null = new RoundTrip()
  #deadlineMs = Infinity
  readonly #challenges: Allowance = new Allowance(CHALLENGES_PER_SECOND)
  #isGone = false
  #hasChanged = false

  constructor(
    wire: TcpWire,
    ports: TcpPorts,
    initial: number,
    ownSegment: number,
    isPassive: boolean,
    isPatient: boolean,
  ) {
    this.#wire = wire
    this.local = ports.local
    this.localPort = ports.localPort
    this.remote = ports.remote
    this.remotePort = ports.remotePort
    this.isPassive = isPassive
    this.#initial = initial
    this.#ownSegment = ownSegment
    this.#isPatient = isPatient
    this.#ownScale = scaleFor(wire.limits.receiveBytes)
    this.#state = isPassive ? 'syn-received' : 'syn-sent'
  }

  get state(): TcpState {
    return this.#state
  }

  /** Null while it lives. */
  get end(): TcpEnd | null {
    return this.#end
  }

  get readableBytes(): number {
    return this.#receiving?.readableBytes ?? 0
  }

  /** No more will come than can be read now. */
  get isReadFinished(): boolean {
    return this.#state === 'closed' || (this.#receiving?.isFinished ?? false)
  }

  get writableBytes(): number {
    return this.#canWrite ? this.#sending!.buffer.free : 0
  }

  /** Bytes that were written and are not acknowledged. */
  get unacknowledgedBytes(): number {
    return this.#sending?.buffer.size ?? 0
  }

  /** For diagnosis: the smoothed round trip, and the congestion window in bytes. */
  get roundTripMs(): number | null {
    return this.#sending?.roundTrip.smoothedMs ?? null
  }

  get congestionWindow(): number {
    return this.#sending?.congestion.window ?? 0
  }

  /** For `emit`. */
  get ownSegment(): number {
    return this.#ownSegment
  }

  get ownScale(): number {
    return this.#ownScale
  }

  get usesTimestamps(): boolean {
    return this.#usesTimestamps
  }

  get recentTimestamp(): number {
    return this.#recentTimestamp
  }

  get sending(): SendHalf | null {
    return this.#sending
  }

  get receiving(): ReceiveHalf | null {
    return this.#receiving
  }

  /** When `poll` has something to do though nothing arrives. */
  get nextDeadlineMs(): number {
    const { deadlineMs = Infinity } = this.#sending ?? {}
    const acknowledgeAtMs = this.#receiving?.acknowledgeAtMs ?? Infinity
    return Math.min(this.#deadlineMs, deadlineMs, acknowledgeAtMs)
  }

  /** Queues bytes; says how many there was room for. 0 once this end has finished. */
  write(bytes: Uint8Array): number {
    if (!this.#canWrite) return 0
    const taken = this.#sending!.buffer.push(bytes)
    this.#output()
    return taken
  }

  /** Copies bytes that came in order; says how many. */
  read(into: Uint8Array): number {
    const bytes = this.#receiving?.read(into) ?? 0
    if (this.#receiving?.isOwed === true && this.#state !== 'closed') this.acknowledge()
    return bytes
  }

  /** This end has written everything: what is queued is sent, then a FIN. What the peer still sends can be read. */
  finish(): void {
    if (this.#state === 'syn-sent' || this.#state === 'syn-received') return this.abort()
    if (!this.#canWrite) return
    this.#enter(this.#state === 'established' ? 'fin-wait-1' : 'last-ack')
    this.#sending!.finish()
    this.#output()
  }

  /** Nobody will read or write any more: finishes, and lets the peer know if it goes on sending. */
  close(): void {
    if (this.readableBytes > 0 && this.#state !== 'closed') return this.abort()
    this.finish()
    this.#isGone = true
    if (this.#state === 'fin-wait-2') {
      this.#deadlineMs = this.#wire.now() + this.#wire.limits.finWaitMs
    }
  }

  /** Ends it at once, with a RST. */
  abort(): void {
    if (this.#state === 'closed') return
    const isKnown = this.#state !== 'syn-sent' && this.#state !== 'time-wait'
    if (isKnown) {
      this.#send(this.#sending?.next ?? advance(this.#initial, 1), TcpFlag.RST | TcpFlag.ACK)
    }
    this.#close('aborted')
  }

  /** Sends the first SYN; `wire`'s only. */
  open(nowMs: number): void {
    this.#sendSyn(nowMs)
  }

  /** A SYN for a port that is listened on; `wire`'s only. */
  accept(segment: Segment, nowMs: number): void {
    this.#takeSyn(segment)
    this.#sendSyn(nowMs)
  }

  /** A segment; `wire`'s only. */
  receive(segment: Segment, nowMs: number): void {
    if (this.#state === 'syn-sent') this.#receiveInSynSent(segment, nowMs)
    else if (this.#state !== 'closed') this.#receiveInOrder(segment, nowMs)
    this.#tell()
  }

  /** Deadlines, and what the link had no room for; `wire`'s only. */
  poll(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) this.#onDeadline(nowMs)
    if (this.#sending !== null && nowMs >= this.#sending.deadlineMs) {
      this.#sending.onTime(nowMs)
      if (this.#sending.isDead) this.#close('timeout')
    }
    const receiving = this.#receiving
    if (receiving !== null && (receiving.isOwed || nowMs >= receiving.acknowledgeAtMs)) {
      if (this.#state !== 'closed') this.acknowledge()
    }
    this.#tell()
  }

  /** Sends what the link had no room for; `wire`'s only. */
  resume(): void {
    if (this.#handshake !== null || this.#state === 'closed') return
    this.#output()
    if (this.#receiving!.isOwed) this.acknowledge()
  }

  /** The path carries segments with that much data (RFC 1191); `wire`'s only. */
  shrink(sequence: number, segment: number, nowMs: number): void {
    const sending = this.#sending
    if (sending === null || segment >= sending.segment || segment < LEAST_SEGMENT) return
    // RFC 5927: who quotes a number that isn't under way guesses.
    if (isBefore(sequence, sending.unacknowledged) || !isBefore(sequence, sending.next)) return
    sending.setSegment(segment)
    sending.output(nowMs)
  }

  /** Acknowledges what has come. */
  acknowledge(): void {
    this.#send(this.#sending?.next ?? advance(this.#initial, 1), TcpFlag.ACK)
  }

  get #isClosed(): boolean {
    return this.#state === 'closed'
  }

  get #canWrite(): boolean {
    return this.#state === 'established' || this.#state === 'close-wait'
  }

  #receiveInSynSent(segment: Segment, nowMs: number): void {
    const { flags, acknowledgement } = segment
    const hasAck = (flags & TcpFlag.ACK) !== 0
    if (hasAck && acknowledgement !== advance(this.#initial, 1)) {
      return this.#wire.refuse(this, segment)
    }
    if ((flags & TcpFlag.RST) !== 0) {
      return hasAck ? this.#close('refused') : this.#wire.dropped(DropReason.UNACCEPTABLE)
    }
    if ((flags & TcpFlag.SYN) === 0) return this.#wire.dropped(DropReason.UNACCEPTABLE)
    this.#takeSyn(segment)
    if (hasAck) {
      this.#establish(segment, nowMs)
      return this.acknowledge()
    }
    // Both ends opened at once (RFC 9293 figure 7).
    this.#enter('syn-received')
    this.#sendSyn(nowMs)
  }

  #receiveInOrder(segment: Segment, nowMs: number): void {
    const { flags, sequence, acknowledgement } = segment
    const receiving = this.#receiving!
    const isReset = (flags & TcpFlag.RST) !== 0
    if (this.#isOld(segment) && !isReset) {
      this.#wire.dropped(DropReason.UNACCEPTABLE)
      return this.#challenge(nowMs)
    }
    if (!receiving.isAcceptable(sequence, sequenceBytes(segment))) {
      this.#wire.dropped(DropReason.UNACCEPTABLE)
      // Our SYN with its acknowledgement was lost. One that acknowledges ours is the other's half of a simultaneous open: to answer that with
      // a SYN would go on for ever.
      const isAgain =
        (flags & (TcpFlag.SYN | TcpFlag.ACK)) === TcpFlag.SYN && sequence === this.#peerInitial
      if (isAgain && this.#state === 'syn-received') return this.#repeatSyn()
      if (this.#state === 'time-wait' && !isReset) this.#wait(nowMs)
      // Data that came twice: its acknowledgement was lost. It must always be answered, or two ends could wait for each other.
      return isReset ? undefined : this.acknowledge()
    }
    if (isReset) {
      if (sequence !== receiving.next) return this.#challenge(nowMs)
      return this.#close(this.#state === 'time-wait' ? 'finished' : 'reset')
    }
    if ((flags & TcpFlag.SYN) !== 0) return this.#challenge(nowMs)
    if ((flags & TcpFlag.ACK) === 0) return this.#wire.dropped(DropReason.UNACCEPTABLE)
    if (this.#state === 'syn-received') {
      if (acknowledgement !== advance(this.#initial, 1)) return this.#wire.refuse(this, segment)
      this.#establish(segment, nowMs)
    }
    const sending = this.#sending!
    if (!sending.isAcceptable(acknowledgement)) {
      this.#wire.dropped(DropReason.UNACCEPTABLE)
      return this.#challenge(nowMs)
    }
    this.#takeTimestamp(segment)
    this.#takeAcknowledgement(segment, nowMs)
    if (!this.#isClosed) this.#takeData(segment, nowMs)
  }

  #takeAcknowledgement(segment: Segment, nowMs: number): void {
    const { flags, dataBytes } = segment
    const sending = this.#sending!
    const isPlain = dataBytes === 0 && (flags & TcpFlag.FIN) === 0
    const window = segment.window << this.#peerScale
    const sampleMs =
      segment.hasTimestamps && this.#usesTimestamps
        ? distance(segment.timestampEcho, timestampOf(nowMs))
        : -1
    const done = sending.acknowledge(
      segment.acknowledgement,
      segment.sequence,
      window,
      isPlain,
      segment.timestampEcho === 0 ? -1 : sampleMs,
      nowMs,
    )
    if (done > 0) this.#hasChanged = true
    if (sending.isFinished) this.#onFinished(nowMs)
    if (this.#state !== 'closed') sending.output(nowMs)
  }

  /** Our FIN is acknowledged. */
  #onFinished(nowMs: number): void {
    if (this.#state === 'last-ack') return this.#close('finished')
    if (this.#state === 'closing') return this.#enterTimeWait(nowMs)
    if (this.#state !== 'fin-wait-1') return
    this.#enter('fin-wait-2')
    if (this.#isGone) this.#deadlineMs = nowMs + this.#wire.limits.finWaitMs
  }

  #takeData(segment: Segment, nowMs: number): void {
    const receiving = this.#receiving!
    const hasFin = (segment.flags & TcpFlag.FIN) !== 0
    const { sequence, frame, dataAt, dataBytes } = segment
    if (dataBytes === 0 && !hasFin) return
    const isReading = ['established', 'fin-wait-1', 'fin-wait-2'].includes(this.#state)
    if (!isReading) {
      if (this.#state === 'time-wait') this.#wait(nowMs)
      return this.acknowledge()
    }
    if (dataBytes > 0 && this.#isGone) {
      // Nobody is there to read it (RFC 9293 section 3.6.1): the peer learns that it is lost.
      return this.abort()
    }
    const grown = receiving.take(sequence, frame, dataAt, dataBytes, hasFin, nowMs)
    if (grown > 0) this.#hasChanged = true
    if (receiving.isFinished) this.#onPeerFinished(nowMs)
    if (receiving.isOwed) this.acknowledge()
  }

  #onPeerFinished(nowMs: number): void {
    if (this.#state === 'established') return this.#enter('close-wait')
    const isOver = this.#state === 'fin-wait-2' || this.#sending!.isFinished
    return isOver ? this.#enterTimeWait(nowMs) : this.#enter('closing')
  }

  /** The peer's SYN: where its numbers begin, and what both ends can do (RFC 7323: only what both have said). */
  #takeSyn(segment: Segment): void {
    this.#peerInitial = segment.sequence
    this.#usesTimestamps = segment.hasTimestamps
    this.#recentTimestamp = segment.timestamp
    this.#peerScale = Math.max(0, segment.windowScale)
    if (segment.windowScale < 0) this.#ownScale = 0
    const { receiveBytes, sendBytes } = this.#wire.limits
    const said = segment.segmentSize < 0 ? DEFAULT_SEGMENT : segment.segmentSize
    const optionBytes = this.#usesTimestamps ? TIMESTAMP_BYTES : 0
    const own = this.#ownSegment - optionBytes
    const theirs = Math.max(LEAST_SEGMENT, Math.min(said, this.#ownSegment)) - optionBytes
    this.#receiving = new ReceiveHalf(segment.sequence, own, receiveBytes, this.#ownScale)
    const emit: Emit = (sequence, flags, offset, bytes) =>
      this.#wire.emit(this, sequence, flags, offset, bytes)
    this.#sending = new SendHalf(this.#initial, theirs, sendBytes, this.#isPatient, emit)
  }

  #establish(segment: Segment, nowMs: number): void {
    // The window of a SYN is never scaled.
    const scale = (segment.flags & TcpFlag.SYN) === 0 ? this.#peerScale : 0
    const { sequence, acknowledgement } = segment
    this.#sending!.openWindow(segment.window << scale, sequence, acknowledgement)
    if (segment.hasTimestamps && segment.timestampEcho !== 0) {
      this.#sending!.roundTrip.sample(distance(segment.timestampEcho, timestampOf(nowMs)))
    }
    this.#handshake = null
    this.#deadlineMs = Infinity
    this.#enter('established')
    this.#wire.opened(this)
  }

  #sendSyn(nowMs: number): void {
    this.#repeatSyn()
    this.#deadlineMs = nowMs + this.#handshake!.timeoutMs
  }

  #repeatSyn(): void {
    this.#send(this.#initial, this.#receiving === null ? TcpFlag.SYN : TcpFlag.SYN | TcpFlag.ACK)
  }

  #onDeadline(nowMs: number): void {
    const handshake = this.#handshake
    if (handshake === null) {
      // Time-wait is over; or a peer never finished, for whom nobody waits any more.
      return this.#close('finished')
    }
    handshake.backOff()
    if (handshake.backoff > SYN_TRIES_MAX) return this.#close('timeout')
    this.#sendSyn(nowMs)
  }

  /** PAWS (RFC 7323 section 5): a segment of an earlier round of the numbers, or one that was long under way. */
  #isOld(segment: Segment): boolean {
    if (!this.#usesTimestamps || !segment.hasTimestamps) return false
    return isBefore(segment.timestamp, this.#recentTimestamp)
  }

  #takeTimestamp(segment: Segment): void {
    if (!this.#usesTimestamps || !segment.hasTimestamps) return
    if (!isAfter(segment.sequence, this.#acknowledgedTo)) this.#recentTimestamp = segment.timestamp
  }

  /** RFC 5961: asks the peer whether that was its own, at most so often. */
  #challenge(nowMs: number): void {
    if (this.#challenges.take(nowMs)) this.acknowledge()
  }

  /** Sends a segment without data. A link without room takes it later, or loses it: somebody's timer sends each of these again. */
  #send(sequence: number, flags: number): void {
    this.#wire.emit(this, sequence, flags, 0, 0)
  }

  /** `wire`'s only: an acknowledgement of everything has left. */
  acknowledged(to: number): void {
    this.#acknowledgedTo = to
  }

  #output(): void {
    this.#sending?.output(this.#wire.now())
  }

  #enterTimeWait(nowMs: number): void {
    this.#enter('time-wait')
    this.#wait(nowMs)
  }

  #wait(nowMs: number): void {
    this.#deadlineMs = nowMs + this.#wire.limits.timeWaitMs
  }

  #enter(state: TcpState): void {
    this.#state = state
    this.#hasChanged = true
  }

  #close(end: TcpEnd): void {
    if (this.#state === 'closed') return
    this.#enter('closed')
    this.#end = end
    this.#deadlineMs = Infinity
    this.#sending = null
    // What came in order before can still be read.
    this.#wire.closed(this)
    this.#tell()
  }

  #tell(): void {
    if (!this.#hasChanged) return
    this.#hasChanged = false
    this.onChange?.()
  }
}

/** The shift with which a 16-bit field can tell the whole buffer. */
function scaleFor(bytes: number): number {
  let scale = 0
  while (bytes >>> scale > 0xffff) scale += 1
  return scale
}

/** The time as options carry it: milliseconds, 32 bits. */
export function timestampOf(nowMs: number): number {
  return Math.floor(nowMs) >>> 0
}
