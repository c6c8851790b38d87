// HOT
// What every guest program of this device does alike: reads batches, sends requests, publishes, signals, sleeps.
// A program extends it and says what packets mean.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { RingFault, ringFaultName } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import { ControlQueue } from '../control-queue.ts'
import { packetByteUnits } from '../poll-units.ts'
import {
  LOAD_KIND_ERROR,
  LOAD_KIND_SETUP_RESPONSE,
  LoadErrorPacket,
  LoadHeader,
  LoadSetupResponse,
  LoadStatus,
  loadErrorName,
  loadStatusName,
} from '../protocol.ts'

/** Packets copied out of the ring at once. */
const DRAIN_MAX = 256
const KIND = LoadHeader.at.kind
const MALFORMED = 'the host sent a malformed packet'

/** Life of a guest program. `over`: done, failed or closed; its owner has been told. */
export type LoadEndLife = 'setting-up' | 'active' | 'over'

export abstract class LoadEnd implements ChannelProgram {
  /** Signals sent to the host. */
  signals: number
  /** Times the program woke after it had gone to sleep. */
  wakes: number
  protected readonly incoming: IncomingRing
  protected readonly outgoing: OutgoingRing
  protected readonly requests: ControlQueue
  protected life: LoadEndLife
  // The drained batch: packets `next` up to `drained` are still to be handled.
  protected drained: number
  protected next: number
  /** True between an `arm` that said "sleep" and the `disarm` after it. */
  protected isAsleep: boolean
  readonly #channel: Channel
  /** Told once, at the end of the poll in which the program ended. */
  #ending: (() => void) | null

  constructor(channel: Channel) {
    this.signals = 0
    this.wakes = 0
    this.incoming = channel.incoming
    this.outgoing = channel.outgoing
    this.requests = new ControlQueue(channel.outgoing)
    this.life = 'setting-up'
    this.drained = 0
    this.next = 0
    this.isAsleep = false
    this.#channel = channel
    this.#ending = null
  }

  /** The host accepted the SETUP. */
  protected abstract onAccepted(): void
  /** Handles DATA packets `first` up to `end` of the batch; returns the first that it left. */
  protected abstract onData(first: number, end: number): number
  /** A control message of kind `kind`. False when it makes no sense now. */
  protected abstract onControl(kind: number, view: DataView, at: number, length: number): boolean
  /** Sends what it has to send, about `budget` units of it; returns the units. */
  protected abstract send(budget: number): number
  /** Tells its owner that it failed; `reason` is one line. Called once, after the last touch of the rings. */
  protected abstract tellFailed(reason: string): void
  /** About to sleep. True: there is something to send after all. */
  protected abstract armSend(): boolean
  /** True while packets of the batch are left for somebody who will come for them. */
  protected abstract get holdsPackets(): boolean

  poll(budget: number): number {
    if (this.life === 'over') return 0
    let done = this.requests.owes ? this.requests.pay() : 0
    done += this.receive(budget)
    if (!this.requests.owes) done += this.send(budget)
    if (this.requests.owes) done += this.requests.pay()
    this.publish(done > 0)
    this.tell()
    return done
  }

  arm(): boolean {
    if (this.life === 'over') return false
    this.publish(false)
    this.tell()
    if (this.isOver()) return false
    if (this.requests.owes) {
      const needed = this.requests.neededBytes
      if (needed === 0 || this.outgoing.setPendingSendSize(needed)) return true
    } else if (this.armSend()) {
      return true
    }
    if (this.next < this.drained) {
      if (!this.holdsPackets) return true
    } else if (this.incoming.unmask()) {
      return true
    }
    // What arming found in the rings may have been their end: asleep nobody would look, and the host need not signal.
    if (this.failIfDead()) {
      this.tell()
      return false
    }
    this.isAsleep = true
    return false
  }

  disarm(): void {
    if (this.life === 'over') return
    if (this.isAsleep) this.wakes += 1
    this.isAsleep = false
    this.outgoing.clearPendingSendSize()
    this.incoming.mask()
  }

  close(): void {
    if (this.life === 'over' && this.#ending === null) return
    this.fail('the channel closed before the end')
    this.tell()
  }

  /** Publishes what was read and written, and signals the host where the ring rule says so. */
  protected publish(isBusy: boolean): void {
    const { incoming, outgoing } = this
    if (this.failIfDead()) return
    const frees = isBusy ? incoming.commitLazily() : incoming.commit()
    if (outgoing.commit() || frees) this.signal()
  }

  /** The program ends when one of its rings is dead. */
  protected failIfDead(): boolean {
    const { incoming, outgoing } = this
    const fault = incoming.fault === RingFault.NONE ? outgoing.fault : incoming.fault
    if (fault === RingFault.NONE) return false
    this.fail(`the ring broke: ${ringFaultName(fault)}`)
    return true
  }

  protected signal(): void {
    this.signals += 1
    this.#channel.signal()
  }

  /** Writes the requests that wait; once asleep, asks for a signal when they do not fit. */
  protected payNow(): void {
    const { requests } = this
    requests.pay()
    while (requests.owes && this.isAsleep) {
      if (!this.outgoing.setPendingSendSize(requests.neededBytes)) break
      requests.pay()
    }
    this.publish(false)
  }

  /** Handles packets, about `budget` units of them, as far as `onData` takes them. Returns the units. */
  protected receive(budget: number): number {
    let done = 0
    while (done < budget && !this.isOver()) {
      if (this.next === this.drained) {
        // The host need not wait for the end of a poll of large packets.
        if (done > 0 && this.incoming.commitLazily()) this.signal()
        if (!this.drain(budget - done)) break
        done += packetByteUnits(this.incoming, 0, this.drained)
      }
      const first = this.next
      if (this.life === 'active') this.next = this.onData(first, this.drained)
      done += this.next - first
      if (this.next < this.drained) {
        if (this.holdsPackets) break
        this.#onOther(this.next)
        this.next += 1
        done += 1
      }
    }
    return done
  }

  /** Takes the next batch out of the ring. False when there is none. */
  protected drain(most: number): boolean {
    const drained = this.incoming.drain(most < DRAIN_MAX ? most : DRAIN_MAX)
    this.next = 0
    this.drained = drained > 0 ? drained : 0
    return drained > 0
  }

  /** The program ends; `tell` is called after the rings have been touched for the last time. */
  protected finish(tell: () => void): void {
    if (this.life === 'over') return
    this.life = 'over'
    this.#ending = tell
  }

  protected fail(reason: string): void {
    this.finish(() => this.tellFailed(reason))
  }

  /** Tells the owner what `finish` left to be told. */
  protected tell(): void {
    const ending = this.#ending
    if (ending === null) return
    this.#ending = null
    ending()
  }

  // Read through a function where a call in between may have ended the program: the compiler cannot know.
  protected isOver(): boolean {
    return this.life === 'over'
  }

  /** A packet that `onData` did not take. */
  #onOther(index: number): void {
    const { incoming } = this
    const at = incoming.payloadAt(index)
    const length = incoming.payloadLength(index)
    const view = incoming.arenaView
    if (incoming.packetType(index) !== PACKET_TYPE_DATA_INBAND || length < LoadHeader.size) {
      return this.fail(MALFORMED)
    }
    const kind = view.getUint16(at + KIND, true)
    if (kind === LOAD_KIND_SETUP_RESPONSE) return this.#onSetupResponse(view, at, length)
    if (kind === LOAD_KIND_ERROR) {
      if (length < LoadErrorPacket.size) return this.fail(MALFORMED)
      return this.fail(
        `the host ended it: ${loadErrorName(LoadErrorPacket.decode(view, at).error)}`,
      )
    }
    if (!this.onControl(kind, view, at, length)) {
      this.fail(`the host sent a packet of kind ${kind} that makes no sense now`)
    }
  }

  #onSetupResponse(view: DataView, at: number, length: number): void {
    if (length < LoadSetupResponse.size || this.life !== 'setting-up') return this.fail(MALFORMED)
    const { status, maxPayloadBytes } = LoadSetupResponse.decode(view, at)
    if (status !== LoadStatus.ACCEPTED) {
      const most = status === LoadStatus.BAD_PARAMETER ? `, payloads up to ${maxPayloadBytes}` : ''
      return this.fail(`the host refused: ${loadStatusName(status)}${most}`)
    }
    this.life = 'active'
    this.onAccepted()
  }
}
