// HOT
// A VP as the root sees it: its inbox, its outbox, its doorbell. Root's thread only. Everything read from the page was
// written by a thread that may be hostile.

import {
  HV_MESSAGE_MAX_PAYLOAD,
  EVENT_FLAGS_PER_SINT,
  HvStatus,
  SINT_COUNT,
} from '@guestyard/hvdef'

import type { Wake } from './wake.ts'
import { RootDispatch } from './dispatch-state.ts'
import { InterceptInbox } from './intercepts/intercept-slot.ts'
import { raiseInterrupt, raiseNmi } from './interrupt-inbox.ts'
import { REQUEST_SUMMARY, REQUEST_TIME, vpBlock } from './partition-page.ts'
import { raiseInboxEvent, withdrawInboxEvent } from './synic/event-flags.ts'
import { MessageQueueTail } from './synic/message-slots.ts'
import {
  DELIVERABLE,
  ENDED_VECTORS,
  INBOX_MESSAGE_SHIFT,
  INTERCEPT_RAISED,
  OUTBOX_SUMMARY,
  PING,
  PONG,
  SPIN_WAITS,
  SUSPEND,
  VECTOR_WORDS,
  VP_COUNTERS,
  VP_PAGE_BYTES,
} from './vp-page.ts'

/** SUSPEND: the register of the VP, the property of its partition. */
const SUSPEND_EXPLICIT = 1
const SUSPEND_PARTITION = 2
/** Vectors that an interrupt may carry. */
const VECTOR_MIN = 16
const VECTOR_MAX = 255

/** Totals, modulo 2^32. */
export interface VpCounters {
  readonly hypercalls: number
  readonly interrupts: number
  readonly longSpinWaits: number
  readonly intercepts: number
  /** What the root has taken of them: port accesses, memory accesses, and MSRs, CPUID and whatever else. */
  readonly ioInterceptMessages: number
  readonly memoryInterceptMessages: number
  readonly otherMessages: number
}

/** What `inspect` answers. */
export interface RootVpInspection {
  readonly index: number
  readonly messagesQueued: number
  readonly eventsSignalled: number
  readonly interruptsRequested: number
  readonly longSpinWaits: number
  readonly wakes: number
  readonly answered: boolean
}

export class RootVp {
  readonly index: number
  readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(VP_PAGE_BYTES)
  readonly page: Int32Array = new Int32Array(this.buffer)
  readonly #queues: MessageQueueTail = new MessageQueueTail(this.page)
  /** What the VP is suspended for. */
  readonly intercept: InterceptInbox = new InterceptInbox(this.page)
  /** Whether it may run guest code. */
  readonly dispatch: RootDispatch
  readonly #partitionPage: Int32Array
  readonly #block: number
  readonly #wake: Wake
  /** Lines that are asserted, a bit for each vector. */
  readonly #lines: Int32Array = new Int32Array(VECTOR_WORDS)
  /** What a drain took from the announcement and left for the next one; in the summary's bits. */
  held = 0
  #ping = 0
  /** It answered once: there is a thread behind it. */
  #hasAnswered = false
  /** The latest ping fell into a suspension, or there was none since one. */
  #isExcused = false
  #suspend = 0
  messagesQueued = 0
  eventsSignalled = 0
  interruptsRequested = 0
  wakes = 0

  constructor(index: number, wake: Wake, partitionPage: Int32Array) {
    this.index = index
    this.#wake = wake
    this.dispatch = new RootDispatch(this.page, { ring: () => this.#ring() })
    this.#partitionPage = partitionPage
    this.#block = vpBlock(index)
  }

  /** True when the VP announced something that nobody took yet. */
  get hasOutbox(): boolean {
    return this.held !== 0 || Atomics.load(this.page, OUTBOX_SUMMARY) !== 0
  }

  /** See Partition.postMessageToVp. */
  postMessage(
    sint: number,
    type: number,
    payload: Uint8Array,
    length: number,
    sender: number,
  ): HvStatus {
    if (!isSint(sint) || !isMessageType(type)) return HvStatus.INVALID_PARAMETER
    if (length < 0 || length > HV_MESSAGE_MAX_PAYLOAD || length > payload.length) {
      return HvStatus.INVALID_PARAMETER
    }
    if (!this.#isOpen(INBOX_MESSAGE_SHIFT + sint)) return HvStatus.INVALID_SYNIC_STATE
    const status = this.#queues.post(sint, type, payload, length, sender)
    if (status !== HvStatus.SUCCESS) return status
    this.messagesQueued++
    if (this.#queues.mustWake(sint)) this.#ring()
    return HvStatus.SUCCESS
  }

  /** True when a message for `sint` would find room. When false, the VP announces room once there is some. */
  hasRoom(sint: number): boolean {
    return this.#queues.hasRoom(sint)
  }

  /** See Partition.signalEventToVp. */
  signalEvent(sint: number, flag: number): HvStatus {
    if (!isSint(sint) || !(flag >= 0 && flag < EVENT_FLAGS_PER_SINT)) {
      return HvStatus.INVALID_PARAMETER
    }
    if (!this.#isOpen(sint)) return HvStatus.INVALID_SYNIC_STATE
    this.eventsSignalled++
    if (raiseInboxEvent(this.page, sint, flag)) this.#ring()
    return HvStatus.SUCCESS
  }

  /**
   * Takes back an event flag (0 to 2047) that the VP has not taken yet: true when there was one. It belongs to the caller then,
   * who signals it elsewhere.
   */
  withdrawEvent(sint: number, flag: number): boolean {
    if (!isSint(sint) || !(flag >= 0 && flag < EVENT_FLAGS_PER_SINT)) return false
    return withdrawInboxEvent(this.page, sint, flag)
  }

  /**
   * Requests an interrupt by edge, from a device or an MSI. `autoEoi`: it ends as it is taken. INVALID_PARAMETER for a vector
   * that is not 16 to 255.
   */
  requestInterrupt(vector: number, autoEoi: boolean): HvStatus {
    if (!isVector(vector)) return HvStatus.INVALID_PARAMETER
    this.#request(vector, false, autoEoi)
    return HvStatus.SUCCESS
  }

  /**
   * Asserts or releases a level-triggered line. While it is asserted the vector is requested, and requested again when the guest
   * ends it. INVALID_PARAMETER as requestInterrupt.
   */
  setLine(vector: number, asserted: boolean): HvStatus {
    if (!isVector(vector)) return HvStatus.INVALID_PARAMETER
    const word = vector >>> 5
    const bit = 1 << (vector & 31)
    const was = (this.#lines[word]! & bit) !== 0
    if (asserted) this.#lines[word]! |= bit
    else this.#lines[word]! &= ~bit
    if (asserted && !was) this.#request(vector, true, false)
    return HvStatus.SUCCESS
  }

  /** Requests an interrupt by level: its end is told to the partition's listener. INVALID_PARAMETER as requestInterrupt. */
  requestLevelInterrupt(vector: number): HvStatus {
    if (!isVector(vector)) return HvStatus.INVALID_PARAMETER
    this.#request(vector, true, false)
    return HvStatus.SUCCESS
  }

  requestNmi(): void {
    this.interruptsRequested++
    if (raiseNmi(this.#partitionPage, this.#block)) this.#ring()
  }

  /**
   * After OUTBOX_ENDED: tells `ended` each level-triggered vector that the guest has ended, having requested it again if its
   * line is still asserted. Vectors told.
   */
  takeEnded(ended: (vector: number) => void): number {
    let count = 0
    for (let word = 0; word < VECTOR_WORDS; word++) {
      if (Atomics.load(this.page, ENDED_VECTORS + word) === 0) continue
      let bits = Atomics.exchange(this.page, ENDED_VECTORS + word, 0)
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits)
        bits &= ~(1 << bit)
        const vector = word * 32 + bit
        if (!isVector(vector)) continue
        if (((this.#lines[word]! >>> bit) & 1) === 1) this.#request(vector, true, false)
        ended(vector)
        count++
      }
    }
    return count
  }

  /** The VP goes on with what its intercept was answered. False when it waits for no answer. */
  completeIntercept(): boolean {
    if (!this.intercept.complete()) return false
    this.#ring()
    return true
  }

  /** The register ExplicitSuspend: while it is set the VP runs no guest code. */
  setExplicitSuspend(suspended: boolean): void {
    this.#setSuspend(SUSPEND_EXPLICIT, suspended)
  }

  /** The property Suspend of the partition, which holds for each of its VPs. */
  setPartitionSuspend(suspended: boolean): void {
    this.#setSuspend(SUSPEND_PARTITION, suspended)
  }

  get isExplicitlySuspended(): boolean {
    return (this.#suspend & SUSPEND_EXPLICIT) !== 0
  }

  #setSuspend(bit: number, suspended: boolean): void {
    this.#suspend = suspended ? this.#suspend | bit : this.#suspend & ~bit
    this.#isExcused = true
    Atomics.store(this.page, SUSPEND, this.#suspend)
    this.#ring()
  }

  /** The partition's time was changed: timers and reference TSC page follow. */
  timeChanged(): void {
    const summary = this.#block + REQUEST_SUMMARY
    if (Atomics.or(this.#partitionPage, summary, REQUEST_TIME) === 0) this.#ring()
  }

  /** Long spin waits that the guest has reported: a running count of 32 bits, and a hint. */
  get longSpinWaits(): number {
    return Atomics.load(this.page, SPIN_WAITS) >>> 0
  }

  /** Asks the VP for a sign of life. */
  ping(): void {
    this.#hasAnswered ||= this.#ping !== 0 && this.answered
    this.#isExcused = this.#suspend !== 0
    this.#ping = (this.#ping + 1) | 0
    Atomics.store(this.page, PING, this.#ping)
    this.#ring()
  }

  /** True when the VP has been at its `deliver` since the latest ping. */
  get answered(): boolean {
    return Atomics.load(this.page, PONG) === this.#ping
  }

  /** True when it owes an answer: VP 0, which every guest boots on, and every VP that ever answered, unless it is suspended. */
  get isSilent(): boolean {
    return !this.#isExcused && (this.index === 0 || this.#hasAnswered) && !this.answered
  }

  /** What the VP says it counted, as of its latest halt or some milliseconds ago. Intercepts are as the VP numbers them. */
  counters(): VpCounters {
    return {
      hypercalls: Atomics.load(this.page, VP_COUNTERS) >>> 0,
      interrupts: Atomics.load(this.page, VP_COUNTERS + 1) >>> 0,
      longSpinWaits: this.longSpinWaits,
      intercepts: Atomics.load(this.page, INTERCEPT_RAISED) >>> 0,
      ioInterceptMessages: this.intercept.ioMessages,
      memoryInterceptMessages: this.intercept.memoryMessages,
      otherMessages: this.intercept.otherMessages,
    }
  }

  /** Plain data about this VP. */
  inspect(): RootVpInspection {
    return {
      index: this.index,
      messagesQueued: this.messagesQueued,
      eventsSignalled: this.eventsSignalled,
      interruptsRequested: this.interruptsRequested,
      longSpinWaits: this.longSpinWaits,
      wakes: this.wakes,
      answered: this.answered,
    }
  }

  #request(vector: number, level: boolean, autoEoi: boolean): void {
    this.interruptsRequested++
    if (raiseInterrupt(this.#partitionPage, this.#block, vector, level, autoEoi)) this.#ring()
  }

  #isOpen(bit: number): boolean {
    return ((Atomics.load(this.page, DELIVERABLE) >>> bit) & 1) === 1
  }

  #ring(): void {
    this.wakes++
    this.#wake.ring()
  }
}

function isSint(sint: number): boolean {
  return sint >= 0 && sint < SINT_COUNT
}

function isVector(vector: number): boolean {
  return Number.isInteger(vector) && vector >= VECTOR_MIN && vector <= VECTOR_MAX
}

/** Any type but "empty". The root may send the hypervisor's own types, with bit 31. */
function isMessageType(type: number): boolean {
  return type !== 0
}
