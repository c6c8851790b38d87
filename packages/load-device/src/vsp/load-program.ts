// HOT
// The host's end of one load channel.
//
//   state           | SETUP                | DATA, END_OF_STREAM    | STOP, RESET_STATISTICS | other
//   ----------------|----------------------|------------------------|------------------------|------------
//   awaiting-setup  | answered; -> running | reject                 | nothing                | * or reject
//   running         | reject               | inbound half or reject | by mode                | reject
//   failed          | dropped              | dropped                | dropped                | dropped
//   over            |                      |                        |                        |
//
// A run has an inbound half (sink, duplex, echo, relay sender) and an outbound half (source, duplex, echo,
// relay receiver); when the halves it has are done, STATISTICS are owed and the channel awaits another SETUP.
// * SUB_CHANNEL_REQUEST is answered. "reject" owes an ERROR and goes to failed: the guest's packets are drained
// and dropped from then on. A ring that breaks fails the channel itself.

import { PACKET_TYPE_DATA_INBAND, assertNever } from '@guestyard/hvdef'
import { RingFault } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import type { ChannelProgram } from '@guestyard/vmbus'
import type { ServerChannel } from '@guestyard/vmbus/server'
import {
  LOAD_KIND_DATA,
  LOAD_KIND_END_OF_STREAM,
  LOAD_KIND_RESET_STATISTICS,
  LOAD_KIND_SETUP,
  LOAD_KIND_STOP,
  LOAD_KIND_SUB_CHANNEL_REQUEST,
  LoadEndOfStream,
  LoadError,
  LoadHeader,
  LoadMode,
  LoadSetup,
  LoadStatus,
  LoadSubChannelRequest,
} from '../protocol.ts'
import { ControlQueue } from '../control-queue.ts'
import { maxPayloadBytes } from '../max-payload.ts'
import { packetByteUnits } from '../poll-units.ts'
import {
  endOfStream,
  errorPacket,
  setupResponse,
  statisticsPacket,
  subChannelResponse,
} from './answers.ts'
import { EndOutcome, createLoadRun } from './load-run.ts'
import type { LoadRun, RunHost } from './load-run.ts'
import type { RelayHub } from './relay-hub.ts'
import { RelayStream } from './relay-hub.ts'
import { RelayReceiverRun, RelaySenderRun } from './relay-run.ts'
import { RunCounters } from './run-counters.ts'
import { readSetup, subChannelStatus } from './setup.ts'
import type { Setup } from './setup.ts'

export interface LoadProgramOptions {
  readonly hub: RelayHub
  /** The partition in the hub's accounts and rule. */
  readonly partitionKey: number
  /** Called once, by `close`. */
  readonly onClosed: () => void
}

type LoadState = 'awaiting-setup' | 'running' | 'failed' | 'over'

export interface LoadProgramInspection {
  readonly relid: number
  readonly subChannelIndex: number
  readonly state: LoadState
  /** `LoadMode` of the run, 0 when none is under way. */
  readonly mode: number
  /** DATA packets of the run so far. */
  readonly packetsReceived: number
  readonly packetsSent: number
  readonly sequenceErrors: number
  /** Over the channel's whole life. */
  readonly signalsSent: number
  readonly wakes: number
  readonly runs: number
  /** Packets dropped after the guest broke the protocol. */
  readonly dropped: number
}

/** Packets copied out of the ring at once. */
const DRAIN_MAX = 256
const KIND = LoadHeader.at.kind

export class LoadProgram implements ChannelProgram, RunHost {
  readonly incoming: IncomingRing
  readonly outgoing: OutgoingRing
  readonly #channel: ServerChannel
  readonly #options: LoadProgramOptions
  readonly #answers: ControlQueue
  readonly #counters: RunCounters
  #state: LoadState
  /** Set while running. */
  #run: LoadRun | null
  // The drained batch: packets #next up to #drained are still to be handled.
  #drained: number
  #next: number
  #isAsleep: boolean
  #runs: number
  #dropped: number

  constructor(channel: ServerChannel, options: LoadProgramOptions) {
    this.incoming = channel.incoming
    this.outgoing = channel.outgoing
    this.#channel = channel
    this.#options = options
    this.#answers = new ControlQueue(channel.outgoing)
    this.#counters = new RunCounters()
    this.#state = 'awaiting-setup'
    this.#run = null
    this.#drained = 0
    this.#next = 0
    this.#isAsleep = false
    this.#runs = 0
    this.#dropped = 0
  }

  get owes(): boolean {
    return this.#answers.owes
  }

  poll(budget: number): number {
    if (this.#state === 'over') return 0
    let done = this.#answers.owes ? this.#answers.pay() : 0
    if (!this.#answers.owes) {
      done += this.#receive(budget)
      done += this.#produce(budget)
      if (this.#answers.owes) done += this.#answers.pay()
    }
    this.#publishAll(done > 0)
    return done
  }

  arm(): boolean {
    if (this.#state === 'over') return false
    this.#publishAll(false)
    if (this.#isOver()) return false
    const { outgoing } = this
    const run = this.#run
    const hasPackets = this.#next < this.#drained
    if (this.#answers.owes) {
      if (this.#answers.neededBytes === 0) return true
      if (outgoing.setPendingSendSize(this.#answers.neededBytes)) return true
    } else if (run !== null) {
      if (run.arm()) return true
      if (run.neededBytes > 0 && outgoing.setPendingSendSize(run.neededBytes)) return true
      if (hasPackets && !run.isBlocked) return true
    } else if (hasPackets) {
      return true
    }
    // While something must go out first nothing is read: new packets need no signal, and looking at those
    // that are there would keep a guest that never makes room from ever letting the host sleep.
    const isReading = !hasPackets && !this.#answers.owes
    if (isReading && this.incoming.unmask()) return true
    // What arming found in the rings may have been their end: asleep nobody would look, and the guest need not signal.
    if (this.#failIfDead()) return false
    this.#isAsleep = true
    return false
  }

  disarm(): void {
    if (this.#state === 'over') return
    if (this.#isAsleep) this.#counters.wakes += 1
    this.#isAsleep = false
    this.outgoing.clearPendingSendSize()
    this.incoming.mask()
  }

  close(): void {
    const run = this.#run
    this.#state = 'over'
    this.#run = null
    run?.abandon()
    this.#options.onClosed()
  }

  publish(): void {
    if (this.outgoing.commit()) this.#signal()
  }

  wake(): void {
    this.#channel.wake()
  }

  oweEnd(packets: number): void {
    this.#answers.owe(endOfStream(packets))
  }

  reject(error: LoadError): void {
    if (this.#state !== 'awaiting-setup' && this.#state !== 'running') return
    const run = this.#run
    this.#state = 'failed'
    this.#run = null
    this.#answers.owe(errorPacket(error))
    run?.abandon()
    this.#channel.wake()
  }

  inspect(): LoadProgramInspection {
    const run = this.#run
    return {
      relid: this.#channel.relid,
      subChannelIndex: this.#channel.subChannelIndex,
      state: this.#state,
      mode: run?.mode ?? 0,
      packetsReceived: run?.checker.packets ?? 0,
      packetsSent: run?.packetsSent ?? 0,
      sequenceErrors: run?.checker.errors ?? 0,
      signalsSent: this.#counters.signals,
      wakes: this.#counters.wakes,
      runs: this.#runs,
      dropped: this.#dropped,
    }
  }

  // Read through a function where a call in between may have closed the program: the compiler cannot know.
  #isOver(): boolean {
    return this.#state === 'over'
  }

  #receive(budget: number): number {
    let done = 0
    while (done < budget && !this.#answers.owes) {
      if (this.#next === this.#drained) {
        // The guest need not wait for the end of a poll of large packets.
        if (done > 0 && this.incoming.commitLazily()) this.#signal()
        if (!this.#drain(budget - done)) break
        done += packetByteUnits(this.incoming, 0, this.#drained)
      }
      const first = this.#next
      const run = this.#run
      if (this.#state === 'failed') {
        this.#dropped += this.#drained - first
        this.#next = this.#drained
      } else if (run !== null) {
        this.#next = run.receive(first, this.#drained)
        if (run.passesOn) done += packetByteUnits(this.incoming, first, this.#next)
      }
      done += this.#next - first
      if (this.#next < this.#drained) {
        if (run !== null && run.isBlocked) break
        if (!this.#onControl(this.#next)) break
        this.#next += 1
        done += 1
      }
    }
    return done
  }

  #drain(most: number): boolean {
    const drained = this.incoming.drain(most < DRAIN_MAX ? most : DRAIN_MAX)
    this.#next = 0
    this.#drained = drained > 0 ? drained : 0
    return drained > 0
  }

  #produce(budget: number): number {
    const run = this.#run
    if (run === null) return 0
    const done = this.#answers.owes ? 0 : run.produce(budget)
    if (this.#run === run && run.isDone) this.#finish(run)
    return done
  }

  #finish(run: LoadRun): void {
    this.#answers.owe(statisticsPacket(this.#counters.since(run)))
    this.#run = null
    this.#state = 'awaiting-setup'
  }

  #publishAll(isBusy: boolean): void {
    const { incoming, outgoing } = this
    if (this.#failIfDead()) return
    const frees = isBusy ? incoming.commitLazily() : incoming.commit()
    if (outgoing.commit() || frees) this.#signal()
  }

  #signal(): void {
    this.#counters.signals += 1
    this.#channel.signal()
  }

  /** Gives the channel up when one of its rings is dead. */
  #failIfDead(): boolean {
    const { incoming, outgoing } = this
    const fault = incoming.fault === RingFault.NONE ? outgoing.fault : incoming.fault
    if (fault === RingFault.NONE) return false
    const run = this.#run
    this.#state = 'over'
    this.#run = null
    run?.abandon()
    this.#channel.fail(fault)
    return true
  }

  /** Handles a packet that the run did not take. False: it stays where it is, for later. */
  #onControl(index: number): boolean {
    const { incoming } = this
    const at = incoming.payloadAt(index)
    const length = incoming.payloadLength(index)
    if (incoming.packetType(index) !== PACKET_TYPE_DATA_INBAND || length < LoadHeader.size) {
      this.reject(LoadError.MALFORMED)
      return true
    }
    switch (incoming.arenaView.getUint16(at + KIND, true)) {
      case LOAD_KIND_SETUP:
        this.#onSetup(at, length)
        return true
      case LOAD_KIND_SUB_CHANNEL_REQUEST:
        this.#onSubChannelRequest(at, length)
        return true
      case LOAD_KIND_DATA:
        // DATA that a run could take was taken: this is out of place, or of an impossible length.
        this.reject(this.#run === null ? LoadError.OUT_OF_ORDER : LoadError.MALFORMED)
        return true
      case LOAD_KIND_END_OF_STREAM:
        return this.#onEnd(at, length)
      case LOAD_KIND_STOP:
        this.#run?.stop()
        return true
      case LOAD_KIND_RESET_STATISTICS:
        if (this.#run !== null) this.#counters.reset(this.#run)
        return true
      default:
        this.reject(LoadError.UNKNOWN_KIND)
        return true
    }
  }

  #onSetup(at: number, length: number): void {
    if (length < LoadSetup.size) return this.reject(LoadError.MALFORMED)
    if (this.#state !== 'awaiting-setup') return this.reject(LoadError.OUT_OF_ORDER)
    const most = maxPayloadBytes(this.incoming, this.outgoing)
    const setup = readSetup(this.incoming.arenaView, at, most)
    const status = typeof setup === 'number' ? setup : this.#start(setup)
    this.#answers.owe(setupResponse(status, most))
  }

  #start(setup: Setup): LoadStatus {
    switch (setup.mode) {
      case LoadMode.SINK:
      case LoadMode.SOURCE:
      case LoadMode.DUPLEX:
      case LoadMode.ECHO:
        return this.#begin(createLoadRun(setup, this))
      case LoadMode.RELAY_SENDER: {
        const run = new RelaySenderRun(setup, this)
        const { hub, partitionKey } = this.#options
        const stream = hub.joinSource(setup.streamId, partitionKey, run)
        if (!(stream instanceof RelayStream)) return stream
        run.start(stream)
        return this.#begin(run)
      }
      case LoadMode.RELAY_RECEIVER: {
        const run = new RelayReceiverRun(setup, this)
        const { hub, partitionKey } = this.#options
        const stream = hub.joinTarget(setup.streamId, partitionKey, run)
        if (!(stream instanceof RelayStream)) return stream
        run.start(stream)
        return this.#begin(run)
      }
      default:
        return assertNever(setup.mode)
    }
  }

  #begin(run: LoadRun): LoadStatus {
    this.#run = run
    this.#state = 'running'
    this.#runs += 1
    this.#counters.reset(run)
    return LoadStatus.ACCEPTED
  }

  #onEnd(at: number, length: number): boolean {
    const run = this.#run
    if (length < LoadEndOfStream.size) this.reject(LoadError.MALFORMED)
    else if (run === null) this.reject(LoadError.OUT_OF_ORDER)
    else {
      const { sequence, packets } = LoadEndOfStream.decode(this.incoming.arenaView, at)
      const outcome = run.end(sequence, Number(packets))
      if (outcome === EndOutcome.LATER) return false
      if (outcome === EndOutcome.OUT_OF_ORDER) this.reject(LoadError.OUT_OF_ORDER)
      else if (run.isDone) this.#finish(run)
    }
    return true
  }

  #onSubChannelRequest(at: number, length: number): void {
    if (length < LoadSubChannelRequest.size) return this.reject(LoadError.MALFORMED)
    if (this.#state !== 'awaiting-setup') return this.reject(LoadError.OUT_OF_ORDER)
    const { count } = LoadSubChannelRequest.decode(this.incoming.arenaView, at)
    const status = subChannelStatus(this.#channel, count)
    const offered = status === LoadStatus.ACCEPTED ? this.#channel.offerSubChannels(count) : 0
    this.#answers.owe(subChannelResponse(status, offered))
  }
}
