// HOT
// The two ends of a relay stream. The sender's run moves the packets, from its own ring into the receiver's;
// the receiver's run says when there is room and wakes it. See relay-hub.ts for the life of a stream.

import { RingFault } from '@guestyard/ring'
import type { OutgoingRing } from '@guestyard/ring'
import { PacketChecker } from '../checker.ts'
import { PacketForwarder } from '../forwarder.ts'
import { LoadError } from '../protocol.ts'
import type { LoadMode } from '../protocol.ts'
import { EndOutcome } from './load-run.ts'
import type { LoadRun, RunHost } from './load-run.ts'
import type { RelaySource, RelayStream, RelayTarget } from './relay-hub.ts'
import type { Setup } from './setup.ts'

/** Reads the sender's ring. */
export class RelaySenderRun implements LoadRun, RelaySource {
  readonly mode: LoadMode
  readonly passesOn: boolean
  readonly checker: PacketChecker
  readonly packetsSent: number
  readonly bytesSent: number
  readonly fullRingWaits: number
  readonly neededBytes: number
  isBlocked: boolean
  readonly #host: RunHost
  readonly #payloadBytes: number
  /** Null before `start` and after the end. */
  #stream: RelayStream | null
  /** Made when the receiver is there. */
  #forwarder: PacketForwarder | null

  constructor(setup: Setup, host: RunHost) {
    this.mode = setup.mode
    this.passesOn = true
    this.checker = new PacketChecker(host.incoming, setup.payloadBytes, false)
    this.packetsSent = 0
    this.bytesSent = 0
    this.fullRingWaits = 0
    this.neededBytes = 0
    this.isBlocked = false
    this.#host = host
    this.#payloadBytes = setup.payloadBytes
    this.#stream = null
    this.#forwarder = null
  }

  get isDone(): boolean {
    return this.#stream === null
  }

  /** The hub has joined this run to a stream. */
  start(stream: RelayStream): void {
    this.#stream = stream
  }

  receive(first: number, end: number): number {
    const target = this.#readyTarget()
    if (target === null) return first
    this.#forwarder ??= new PacketForwarder(this.#host.incoming, this.checker, target.outgoing)
    const forwarder = this.#forwarder
    const bytes = forwarder.bytes
    const next = forwarder.forward(first, end)
    if (next > first) target.onForwarded(next - first, forwarder.bytes - bytes)
    if (forwarder.neededBytes > 0) this.#wait(forwarder.neededBytes)
    return next
  }

  produce(): number {
    return 0
  }

  end(sequence: number, packets: number): EndOutcome {
    const target = this.#readyTarget()
    if (target === null) return EndOutcome.LATER
    this.checker.checkEnd(sequence, packets)
    const stream = this.#stream
    this.#stream = null
    stream?.end()
    target.onEnd(this.checker.packets)
    return EndOutcome.TAKEN
  }

  stop(): void {
    // A sender gets no packets.
  }

  arm(): boolean {
    const stream = this.#stream
    if (stream === null || !this.isBlocked || stream.neededBytes === 0) return false
    return stream.target?.askForRoom(stream.neededBytes) ?? false
  }

  abandon(): void {
    const stream = this.#stream
    this.#stream = null
    stream?.onSourceGone()
  }

  onRoom(): void {
    this.isBlocked = false
    this.#host.wake()
  }

  onPeerGone(): void {
    this.#stream = null
    this.#host.reject(LoadError.PEER_GONE)
  }

  /** The receiver when it takes packets now; else this run is blocked until `onRoom`. */
  #readyTarget(): RelayTarget | null {
    const target = this.#stream?.target ?? null
    if (target === null || !target.takesPackets) {
      this.#wait(0)
      return null
    }
    if (target.payloadBytes < this.#payloadBytes) {
      this.#host.reject(LoadError.TOO_LARGE)
      return null
    }
    this.isBlocked = false
    return target
  }

  #wait(bytes: number): void {
    const stream = this.#stream
    if (stream === null) return
    if (bytes > 0 && !this.isBlocked) stream.target?.onFull()
    this.isBlocked = true
    stream.isWaiting = true
    stream.neededBytes = bytes
  }
}

/** Owns the ring that the stream ends in. Whatever its guest sends is out of order. */
export class RelayReceiverRun implements LoadRun, RelayTarget {
  readonly mode: LoadMode
  readonly passesOn: boolean
  readonly checker: PacketChecker
  readonly payloadBytes: number
  readonly outgoing: OutgoingRing
  readonly isBlocked: boolean
  packetsSent: number
  bytesSent: number
  fullRingWaits: number
  readonly #host: RunHost
  /** Null before `start` and after the end. */
  #stream: RelayStream | null

  constructor(setup: Setup, host: RunHost) {
    this.mode = setup.mode
    this.passesOn = false
    this.checker = new PacketChecker(host.incoming, setup.payloadBytes, false)
    this.payloadBytes = setup.payloadBytes
    this.outgoing = host.outgoing
    this.isBlocked = false
    this.packetsSent = 0
    this.bytesSent = 0
    this.fullRingWaits = 0
    this.#host = host
    this.#stream = null
  }

  get isDone(): boolean {
    return this.#stream === null
  }

  get neededBytes(): number {
    const stream = this.#stream
    return stream !== null && stream.isWaiting ? stream.neededBytes : 0
  }

  get takesPackets(): boolean {
    return !this.#host.owes
  }

  /** The hub has joined this run to a stream. */
  start(stream: RelayStream): void {
    this.#stream = stream
  }

  receive(first: number): number {
    return first
  }

  produce(): number {
    const stream = this.#stream
    if (stream === null || !stream.isWaiting || stream.source === null) return 0
    const needed = stream.neededBytes
    if (needed > 0 && this.outgoing.writableBytes() < needed) return 0
    stream.isWaiting = false
    stream.neededBytes = 0
    stream.source.onRoom()
    return 1
  }

  end(): EndOutcome {
    return EndOutcome.OUT_OF_ORDER
  }

  stop(): void {
    // What comes is the sender's to decide.
  }

  arm(): boolean {
    return false
  }

  abandon(): void {
    const stream = this.#stream
    this.#stream = null
    stream?.onTargetGone()
  }

  onForwarded(packets: number, bytes: number): void {
    this.packetsSent += packets
    this.bytesSent += bytes
    this.#host.publish()
  }

  onFull(): void {
    this.fullRingWaits += 1
    // A ring that broke takes nothing either: the program finds out in its own poll.
    if (this.outgoing.fault !== RingFault.NONE) this.#host.wake()
  }

  onEnd(packets: number): void {
    this.#stream = null
    this.#host.oweEnd(packets)
    this.#host.wake()
  }

  askForRoom(bytes: number): boolean {
    return this.outgoing.setPendingSendSize(bytes)
  }

  onPeerGone(): void {
    this.#stream = null
    this.#host.reject(LoadError.PEER_GONE)
  }
}
