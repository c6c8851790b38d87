// HOT
// What hypercalls may do on the caller's thread: the part of ports and connections that a VP meets. It reads the
// partition's connection table, fills message buffers and the VP's outbox, and rings the root.

import { HvStatus } from '@guestyard/hvdef'
import type { Trace } from '@guestyard/trace'

import {
  CONNECTION_DEAD,
  CONNECTION_EVENT,
  CONNECTION_MESSAGE,
  descriptorFlagCount,
  descriptorKind,
  descriptorSlot,
  ConnectionCache,
} from './connection-table.ts'
import { postToQueue } from './partition-page.ts'
import { announce, raiseOutboxEvent } from './synic/event-flags.ts'
import type { HypercallCapabilities } from './vp-calls.ts'
import type { Siblings } from './siblings.ts'
import type { Wake } from './wake.ts'
import { tracePost, traceSignal } from './vp-trace.ts'
import { EVENT_SLOTS_MAX, MESSAGE_QUEUES_MAX, OUTBOX_QUEUE_SHIFT, SPIN_WAITS } from './vp-page.ts'

/** The capabilities of one VP. */
export class Caller implements HypercallCapabilities {
  readonly partitionId: number
  readonly vpCount: number
  readonly #vp: number
  readonly #partitionPage: Int32Array
  readonly #vpPage: Int32Array
  readonly #wakeRoot: Wake
  readonly #connections: ConnectionCache
  messagesPosted = 0
  eventsSignalled = 0
  /** Signals that found the root not yet told. */
  rootWakes = 0
  longSpinWaits = 0
  trace: Trace | null = null
  readonly #siblings: Siblings
  /** Interrupts that the VP has taken: who is interrupted between two tries of a flush may have changed its tables. */
  interruptsTaken = 0
  #flushedAt = -1

  constructor(
    partitionId: number,
    vp: number,
    vpCount: number,
    partitionPage: Int32Array,
    vpPage: Int32Array,
    wakeRoot: Wake,
    siblings: Siblings,
  ) {
    this.#siblings = siblings
    this.partitionId = partitionId
    this.vpCount = vpCount
    this.#vp = vp
    this.#partitionPage = partitionPage
    this.#vpPage = vpPage
    this.#wakeRoot = wakeRoot
    this.#connections = new ConnectionCache(partitionPage)
  }

  /** Copies of shared state are no longer good. */
  forget(): void {
    this.#connections.clear()
  }

  /**
   * SUCCESS, INVALID_CONNECTION_ID (none, or not a message connection), INVALID_PORT_ID (its port was deleted),
   * INSUFFICIENT_BUFFERS (the port's sixteen are in use).
   */
  postMessage(
    connection: number,
    type: number,
    size: number,
    payload: Int32Array,
    payloadAt: number,
  ): HvStatus {
    const descriptor = this.#connections.lookUp(connection)
    const refused = refusal(descriptor, CONNECTION_MESSAGE)
    if (refused !== HvStatus.SUCCESS) return refused
    const queue = descriptorSlot(descriptor) & (MESSAGE_QUEUES_MAX - 1)
    const status = postToQueue(this.#partitionPage, queue, this.#vp, type, size, payload, payloadAt)
    if (status !== HvStatus.SUCCESS) return status
    this.messagesPosted++
    if (this.trace !== null) tracePost(this.trace, this.partitionId, queue, connection, size)
    if (announce(this.#vpPage, 1 << (OUTBOX_QUEUE_SHIFT + queue))) this.#wake()
    return HvStatus.SUCCESS
  }

  /** As postMessage, and INVALID_PARAMETER for a flag that the port does not have. */
  signalEvent(connection: number, flagNumber: number): HvStatus {
    const descriptor = this.#connections.lookUp(connection)
    const refused = refusal(descriptor, CONNECTION_EVENT)
    if (refused !== HvStatus.SUCCESS) return refused
    if (flagNumber >= descriptorFlagCount(descriptor)) return HvStatus.INVALID_PARAMETER
    this.eventsSignalled++
    const slot = (descriptorSlot(descriptor) + flagNumber) & (EVENT_SLOTS_MAX - 1)
    if (this.trace !== null) traceSignal(this.trace, this.partitionId, slot, connection)
    if (raiseOutboxEvent(this.#vpPage, slot)) this.#wake()
    return HvStatus.SUCCESS
  }

  /** The guest has spun for long on a lock: a hint for the scheduler, by a count that the root reads. */
  notifyLongSpinWait(_spinCount: number): void {
    this.longSpinWaits = (this.longSpinWaits + 1) | 0
    Atomics.store(this.#vpPage, SPIN_WAITS, this.longSpinWaits)
  }

  sendToMask(low: number, high: number, vector: number): void {
    this.#siblings.sendToMask(low, high, vector)
  }

  flushMask(low: number, high: number): boolean {
    const flushed = this.#siblings.flush(low, high, this.#flushedAt !== this.interruptsTaken)
    this.#flushedAt = flushed ? -1 : this.interruptsTaken
    return flushed
  }

  startVp(vp: number, context: Int32Array, at: number): HvStatus {
    return this.#siblings.start(vp, context, at)
  }

  #wake(): void {
    this.rootWakes++
    this.#wakeRoot.ring()
  }
}

function refusal(descriptor: number, kind: number): HvStatus {
  const found = descriptorKind(descriptor)
  if (found === kind) return HvStatus.SUCCESS
  return found === CONNECTION_DEAD ? HvStatus.INVALID_PORT_ID : HvStatus.INVALID_CONNECTION_ID
}
