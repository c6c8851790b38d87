// HOT
// The way from a partition's VPs to whoever hears them: takes what lies in their outboxes, a budget at a time. The receiving end
// of every post and signal, and of what a VP says about itself. Root's thread only.

import type { PartitionId } from '@guestyard/hvdef'
import { TraceKind, TraceLink, traceKey, type Trace } from '@guestyard/trace'

import type { CrashReport } from './crash-report.ts'
import type { PartitionListener } from './partition-backing.ts'
import type { PartitionConnections } from './partition-connections.ts'
import type { PortBuffers } from './port-buffers.ts'
import type { RootVp } from './root-vp.ts'
import {
  MESSAGE_QUEUES_MAX,
  OUTBOX_CRASH,
  OUTBOX_DISPATCH,
  OUTBOX_ENDED,
  OUTBOX_FLAGS,
  OUTBOX_GROUP_WORDS,
  OUTBOX_INTERCEPT,
  OUTBOX_QUEUE_SHIFT,
  OUTBOX_RESET,
  OUTBOX_SPACE,
  OUTBOX_SUMMARY,
} from './vp-page.ts'

const QUEUE_BITS = (1 << MESSAGE_QUEUES_MAX) - 1
const QUEUE_MASK = QUEUE_BITS << OUTBOX_QUEUE_SHIFT
const GROUP_MASK = 0xffff

/** The partition whose outboxes are looked into. */
interface OutboxOwner {
  readonly id: PartitionId
  /** By index, as they come and go. */
  readonly vps: readonly (RootVp | undefined)[]
  /** The buffers of the message ports that this partition is connected to. */
  readonly buffers: PortBuffers
  readonly connections: PartitionConnections
  /** Undefined before the partition is backed. */
  readonly listener: PartitionListener | undefined
  /** False from the moment that somebody who was called has finalized it. */
  readonly alive: boolean
  readonly trace: Trace | null
  readCrash(vp: number): CrashReport
}

export class VpOutboxes {
  readonly #of: OutboxOwner
  /** The VP that is looked at next, and the queues that gave something in the present poll. */
  #cursor = 0
  #drained = 0
  intercepts = 0
  crashes = 0
  resets = 0

  constructor(of: OutboxOwner) {
    this.#of = of
  }

  /**
   * Takes what VPs announced, about `budget` messages and signals: how many. The queues of messages are the partition's: each is
   * looked into once, whatever number of its VPs announces it.
   */
  poll(budget: number): number {
    this.#drained = 0
    let done = 0
    for (let left = this.#of.vps.length; left > 0 && done < budget; left--) {
      if (this.#cursor >= this.#of.vps.length) this.#cursor = 0
      const vp = this.#of.vps[this.#cursor++]
      if (vp !== undefined && vp.hasOutbox) done += this.#drain(vp, budget - done)
    }
    if (this.#of.buffers.isStalled) done += this.#of.buffers.retry(budget - done)
    return done
  }

  /** True when `poll` would find something. */
  get hasWork(): boolean {
    return this.#of.vps.some((vp) => vp?.hasOutbox) || this.#of.buffers.canResume
  }

  /**
   * Takes what `vp` announced, about `budget` messages and signals of it, more by at most one group of flags. Handed on: how many. What is
   * left is held, in its order, for the next call.
   */
  #drain(vp: RootVp, budget: number): number {
    // ORDER: the summary is taken before what it announces. What comes later is announced anew, so nothing is put back in
    // the page, not even for a queue that gave all its sixteen buffers. See event-flags.ts.
    const summary = vp.held | Atomics.exchange(vp.page, OUTBOX_SUMMARY, 0)
    let done = 0
    let queues = (summary >>> OUTBOX_QUEUE_SHIFT) & QUEUE_BITS
    const later = queues & this.#drained
    queues ^= later
    vp.held = later << OUTBOX_QUEUE_SHIFT
    while (queues !== 0 && this.#of.alive) {
      if (done >= budget) {
        vp.held |= (summary & ~QUEUE_MASK) | (queues << OUTBOX_QUEUE_SHIFT)
        return done
      }
      const queue = 31 - Math.clz32(queues)
      queues &= ~(1 << queue)
      this.#drained |= 1 << queue
      if (this.#of.trace !== null) {
        const key = traceKey(TraceLink.MESSAGE_TO_ROOT, this.#of.id, 0, queue)
        this.#of.trace.beginWith(key, TraceKind.MESSAGE_TAKEN, this.#of.id, queue)
      }
      const most = budget - done
      const taken = this.#of.buffers.drain(queue, most)
      done += taken
      // It may have more, of the same announcement.
      if (taken >= most) queues |= 1 << queue
    }
    let groups = summary & GROUP_MASK
    while (groups !== 0 && this.#of.alive) {
      if (done >= budget) {
        vp.held |= (summary & ~(QUEUE_MASK | GROUP_MASK)) | groups
        return done
      }
      const group = 31 - Math.clz32(groups)
      groups &= ~(1 << group)
      done += this.#drainFlags(vp, group)
    }
    const listener = this.#of.listener
    if ((summary & OUTBOX_SPACE) !== 0 && this.#of.alive && listener !== undefined) {
      listener.queueSpace(vp.index)
      done++
    }
    if ((summary & OUTBOX_DISPATCH) !== 0 && this.#of.alive && listener !== undefined) {
      listener.dispatchChanged?.(vp.index)
      done++
    }
    if ((summary & OUTBOX_ENDED) !== 0 && this.#of.alive) {
      done += vp.takeEnded((vector) => listener?.interruptEnded?.(vp.index, vector))
    }
    if ((summary & OUTBOX_INTERCEPT) !== 0 && this.#of.alive) done += this.#takeIntercept(vp)
    if ((summary & (OUTBOX_CRASH | OUTBOX_RESET)) !== 0 && this.#of.alive) {
      done += this.#takeEnd(vp, summary)
    }
    return done
  }

  /** What a guest says at its end. */
  #takeEnd(vp: RootVp, summary: number): number {
    if ((summary & OUTBOX_CRASH) !== 0) {
      this.crashes++
      this.#of.listener?.guestCrashed?.(this.#of.readCrash(vp.index))
    }
    if ((summary & OUTBOX_RESET) !== 0 && this.#of.alive) {
      this.resets++
      this.#of.listener?.resetRequested?.(vp.index)
    }
    return 1
  }

  #takeIntercept(vp: RootVp): number {
    if (!vp.intercept.take()) return 0
    this.intercepts++
    const listener = this.#of.listener
    if (listener?.intercept === undefined) vp.completeIntercept()
    else listener.intercept(vp.index, vp.intercept.message)
    return 1
  }

  #drainFlags(vp: RootVp, group: number): number {
    let done = 0
    const first = group * OUTBOX_GROUP_WORDS
    for (let word = first; word < first + OUTBOX_GROUP_WORDS; word++) {
      if (Atomics.load(vp.page, OUTBOX_FLAGS + word) === 0) continue
      let flags = Atomics.exchange(vp.page, OUTBOX_FLAGS + word, 0)
      while (flags !== 0 && this.#of.alive) {
        const bit = 31 - Math.clz32(flags)
        flags &= ~(1 << bit)
        done += this.#of.connections.receiveSignal(word * 32 + bit, this.#of.trace)
      }
    }
    return done
  }
}
