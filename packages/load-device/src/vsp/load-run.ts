// HOT
// A run of the modes that concern one channel: sink, source, duplex and echo. What the relay modes add is in
// relay-run.ts. A program calls a run; a run answers what became of packets and what it waits for.

import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import { PacketChecker } from '../checker.ts'
import { PacketForwarder } from '../forwarder.ts'
import { byteUnits } from '../poll-units.ts'
import { PacketProducer } from '../producer.ts'
import { LoadMode } from '../protocol.ts'
import type { Setup } from './setup.ts'

/** What a run needs of the program that holds it. */
export interface RunHost {
  readonly incoming: IncomingRing
  readonly outgoing: OutgoingRing
  /** True while control messages wait for room: the ring to the guest takes nothing else. */
  readonly owes: boolean
  /** Publishes what was written, and signals the guest where the ring rule says so. */
  publish(): void
  /** Puts the program on its server's list of those that are polled. */
  wake(): void
  /** Owes END_OF_STREAM after `packets`. */
  oweEnd(packets: number): void
  /** The run cannot go on: owes an ERROR, a LoadError. */
  reject(error: number): void
}

/** What became of an END_OF_STREAM. */
export const EndOutcome = { TAKEN: 0, OUT_OF_ORDER: 1, LATER: 2 } as const
export type EndOutcome = (typeof EndOutcome)[keyof typeof EndOutcome]

/** One run, whatever its mode. Counts are since SETUP. */
export interface LoadRun {
  readonly mode: LoadMode
  /** `receive` copies packets to another ring. */
  readonly passesOn: boolean
  /** Checks what comes in; its counters are the run's. */
  readonly checker: PacketChecker
  /** DATA packets and payload bytes sent. */
  readonly packetsSent: number
  readonly bytesSent: number
  /** Times the ring to the guest was found too full. */
  readonly fullRingWaits: number
  /** Both halves are done. */
  readonly isDone: boolean
  /** `receive` left DATA packets in the batch for want of room. */
  readonly isBlocked: boolean
  /** Bytes that must be free in the ring to the guest before the run can go on; 0 when it does not wait. */
  readonly neededBytes: number
  /** Handles DATA packets `first` up to `end` of the batch; returns the first that it left. */
  receive(first: number, end: number): number
  /** Sends packets of its own, about `budget` units of them; returns the units. */
  produce(budget: number): number
  /** The guest ended its stream. */
  end(sequence: number, packets: number): EndOutcome
  /** The guest wants no more packets. */
  stop(): void
  /** About to sleep. True: the run can go on after all. */
  arm(): boolean
  /** The channel is over or broke the protocol before the run was done. */
  abandon(): void
}

/** The run that a SETUP of one of the four modes asks for. */
export function createLoadRun(setup: Setup, host: RunHost): LoadRun {
  return setup.mode === LoadMode.ECHO ? new EchoRun(setup, host) : new StreamRun(setup, host)
}

/** Sink, source and duplex: an inbound half, an outbound half, or both. */
class StreamRun implements LoadRun {
  readonly mode: LoadMode
  readonly passesOn: boolean
  readonly checker: PacketChecker
  bytesSent: number
  fullRingWaits: number
  neededBytes: number
  readonly isBlocked: boolean
  readonly #producer: PacketProducer
  readonly #host: RunHost
  readonly #batch: number
  readonly #payloadBytes: number
  readonly #wakeBytes: number
  #isInbound: boolean
  #isOutbound: boolean

  constructor(setup: Setup, host: RunHost) {
    this.mode = setup.mode
    this.passesOn = false
    this.checker = new PacketChecker(host.incoming, setup.payloadBytes, true)
    this.bytesSent = 0
    this.fullRingWaits = 0
    this.neededBytes = 0
    this.isBlocked = false
    this.#producer = new PacketProducer(host.outgoing, setup.payloadBytes)
    this.#host = host
    this.#batch = this.#producer.batchOf(setup.batch)
    this.#payloadBytes = setup.payloadBytes
    this.#wakeBytes = this.#producer.wakeBytes(this.#batch)
    this.#isInbound = setup.mode !== LoadMode.SOURCE
    this.#isOutbound = setup.mode !== LoadMode.SINK
  }

  get packetsSent(): number {
    return this.#producer.packets
  }

  get isDone(): boolean {
    return !this.#isInbound && !this.#isOutbound
  }

  receive(first: number, end: number): number {
    return this.#isInbound ? this.checker.check(first, end) : first
  }

  produce(budget: number): number {
    if (!this.#isOutbound) return 0
    let done = 0
    while (done < budget) {
      const written = this.#producer.write(this.#batch)
      if (written > 0) {
        this.neededBytes = 0
        this.#host.publish()
      }
      const bytes = written * this.#payloadBytes
      this.bytesSent += bytes
      done += written + byteUnits(bytes)
      if (written < this.#batch) {
        this.#onFull()
        break
      }
    }
    return done
  }

  end(sequence: number, packets: number): EndOutcome {
    if (!this.#isInbound) return EndOutcome.OUT_OF_ORDER
    this.checker.checkEnd(sequence, packets)
    this.#isInbound = false
    return EndOutcome.TAKEN
  }

  stop(): void {
    if (!this.#isOutbound) return
    this.#isOutbound = false
    this.neededBytes = 0
    this.#host.oweEnd(this.#producer.packets)
  }

  arm(): boolean {
    return this.#isOutbound && this.neededBytes === 0
  }

  abandon(): void {
    this.#isInbound = false
    this.#isOutbound = false
    this.neededBytes = 0
  }

  #onFull(): void {
    if (this.neededBytes === 0) this.fullRingWaits += 1
    // Waking for a single packet's room would cost a signal a packet.
    this.neededBytes = this.#wakeBytes
  }
}

/** Echo: each packet goes back as it came. */
class EchoRun implements LoadRun {
  readonly mode: LoadMode
  readonly passesOn: boolean
  readonly checker: PacketChecker
  fullRingWaits: number
  neededBytes: number
  isDone: boolean
  readonly #forwarder: PacketForwarder
  readonly #host: RunHost

  constructor(setup: Setup, host: RunHost) {
    this.mode = setup.mode
    this.passesOn = true
    this.checker = new PacketChecker(host.incoming, setup.payloadBytes, true)
    this.fullRingWaits = 0
    this.neededBytes = 0
    this.isDone = false
    this.#forwarder = new PacketForwarder(host.incoming, this.checker, host.outgoing)
    this.#host = host
  }

  get packetsSent(): number {
    return this.#forwarder.packets
  }

  get bytesSent(): number {
    return this.#forwarder.bytes
  }

  get isBlocked(): boolean {
    return this.neededBytes > 0
  }

  receive(first: number, end: number): number {
    const next = this.#forwarder.forward(first, end)
    const needed = this.#forwarder.neededBytes
    if (needed > 0 && this.neededBytes === 0) this.fullRingWaits += 1
    this.neededBytes = needed
    return next
  }

  produce(): number {
    return 0
  }

  end(sequence: number, packets: number): EndOutcome {
    this.checker.checkEnd(sequence, packets)
    this.isDone = true
    this.#host.oweEnd(this.#forwarder.packets)
    return EndOutcome.TAKEN
  }

  stop(): void {
    // An echo sends what it gets and nothing else.
  }

  arm(): boolean {
    return false
  }

  abandon(): void {
    this.isDone = true
    this.neededBytes = 0
  }
}
