// HOT
// A VP as the root sees it: its inbox, its outbox, its doorbell. Root's thread only. Everything read from the page was
// written by a thread that may be hostile.

import {
  HV_MESSAGE_MAX_PAYLOAD,
  EVENT_FLAGS_PER_SINT,
  HvStatus,
  SINT_COUNT,
} from '@guestyard/hvdef'

import type { Wake } from './caller.ts'
import { raiseInboxEvent } from './synic/event-flags.ts'
import { MessageQueueTail } from './synic/message-slots.ts'
import {
  DELIVERABLE,
  GRANT,
  INBOX_MESSAGE_SHIFT,
  OUTBOX_SUMMARY,
  PING,
  PONG,
  VP_PAGE_BYTES,
} from './vp-page.ts'

export class RootVp {
  readonly index: number
  readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(VP_PAGE_BYTES)
  readonly page: Int32Array = new Int32Array(this.buffer)
  readonly #queues: MessageQueueTail = new MessageQueueTail(this.page)
  readonly #wake: Wake
  #ping = 0
  messagesQueued = 0
  eventsSignalled = 0
  wakes = 0

  constructor(index: number, wake: Wake) {
    this.index = index
    this.#wake = wake
  }

  /** True when the VP announced something that nobody took yet. */
  get hasOutbox(): boolean {
    return Atomics.load(this.page, OUTBOX_SUMMARY) !== 0
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

  /** Asks the VP for a sign of life. */
  ping(): void {
    this.#ping = (this.#ping + 1) | 0
    Atomics.store(this.page, PING, this.#ping)
    this.#ring()
  }

  /** True when the VP has been at its `deliver` since the latest ping. */
  get answered(): boolean {
    return Atomics.load(this.page, PONG) === this.#ping
  }

  /** The VP may run guest code on this logical processor, from its next look on. */
  grant(lp: number): void {
    Atomics.store(this.page, GRANT, lp + 1)
    this.#ring()
  }

  /** The VP stops at its next exit from guest code. */
  revokeGrant(): void {
    Atomics.store(this.page, GRANT, 0)
    this.#ring()
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

/** Any type but "empty". The root may send the hypervisor's own types, with bit 31. */
function isMessageType(type: number): boolean {
  return type !== 0
}
