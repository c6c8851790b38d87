// HOT
// Messages on their way into a guest: sixteen inbox queues (root to VP), each in front of one slot of the SIM page.
// `MessageQueueTail` is the root's end of a VP's queues, `MessageSlots` the VP's.
//
// A slot is free when its type is 0. The VP writes payload and header, the type last. The guest copies the message,
// stores 0 in the type, and then reads the header: with the pending flag set it owes an EOM, on which the VP looks
// again (TLFS, "SIM Page", "Message Queues").

import { HvStatus, SIM_SLOT_SIZE, SINT_COUNT } from '@guestyard/hvdef'

import {
  INBOX_HEAD,
  INBOX_MESSAGE_SHIFT,
  INBOX_QUEUE_SLOTS,
  INBOX_SUMMARY,
  INBOX_TAIL,
  MESSAGE_WORDS,
  OUTBOX_SPACE,
  SPACE_WANTED,
  inboxSlot,
} from '../vp-page.ts'
import { announce } from './event-flags.ts'

/** Word 1 of a message: size 7:0, flags 15:8. Flag bit 0 is "another message is pending". */
const PENDING = 0x100
const SLOT_WORDS = SIM_SLOT_SIZE / Int32Array.BYTES_PER_ELEMENT

/** The root's end of one VP's message queues. Root's thread only. */
export class MessageQueueTail {
  readonly #page: Int32Array
  readonly #tails: Int32Array = new Int32Array(SINT_COUNT)

  constructor(page: Int32Array) {
    this.#page = page
  }

  /**
   * Queues a message for `sint`: `length` bytes (0 to 240) of `payload`, type, and sender (a port or partition).
   * SUCCESS, and then `mustWake` says whether to ring; INSUFFICIENT_BUFFERS when sixteen are waiting, and then the
   * VP announces OUTBOX_SPACE once it has taken one.
   */
  post(sint: number, type: number, payload: Uint8Array, length: number, sender: number): HvStatus {
    if (!this.hasRoom(sint)) return HvStatus.INSUFFICIENT_BUFFERS
    const tail = this.#tails[sint]!
    writeMessage(this.#page, inboxSlot(sint, tail), type, payload, length, sender)
    this.#tails[sint] = tail + 1
    // ORDER: the store publishes the slot written above.
    Atomics.store(this.#page, INBOX_TAIL + sint, (tail + 1) | 0)
    return HvStatus.SUCCESS
  }

  /** True when a post to `sint` would be accepted. When false, the VP has been asked to announce room. */
  hasRoom(sint: number): boolean {
    if (!this.#isFull(sint)) return true
    // ORDER: ask for a notice, then look again. The VP stores its head and then looks for the request, so one of
    // the two sees the other and a full queue is never left without somebody to report it.
    Atomics.or(this.#page, SPACE_WANTED, 1 << sint)
    if (this.#isFull(sint)) return false
    Atomics.and(this.#page, SPACE_WANTED, ~(1 << sint))
    return true
  }

  /** After a successful post: announces it. True when the VP must be woken. */
  mustWake(sint: number): boolean {
    const bit = 1 << (INBOX_MESSAGE_SHIFT + sint)
    return (Atomics.or(this.#page, INBOX_SUMMARY, bit) & bit) === 0
  }

  /** A head that makes no sense is a full queue: the guest that wrote it gets no more messages. */
  #isFull(sint: number): boolean {
    return (
      (this.#tails[sint]! - Atomics.load(this.#page, INBOX_HEAD + sint)) >>> 0 >= INBOX_QUEUE_SLOTS
    )
  }
}

/** The VP's end: moves messages into the SIM page. VP's thread only. */
export class MessageSlots {
  readonly #page: Int32Array
  readonly #heads: Int32Array = new Int32Array(SINT_COUNT)
  /** Bit n: SINTn's queue may hold messages. */
  #waiting = 0
  /** Messages written into slots so far. */
  delivered = 0
  /** Set when an inbox queue got room that the root waits for; the owner of this object wakes the root and clears it. */
  mustWakeRoot = false

  constructor(page: Int32Array) {
    this.#page = page
  }

  /** Bit n: SINTn's queue may hold messages that were announced and not delivered. */
  get waiting(): number {
    return this.#waiting
  }

  /** Notes SINTs (bits 15:0) whose messages were announced. */
  noteAnnounced(sints: number): void {
    this.#waiting |= sints
  }

  /**
   * Tries every SINT of `deliverable` that has messages. The SIM page begins at `ram[simWord]`.
   * Bits of the SINTs whose slot was written: each is owed an interrupt.
   */
  scan(ram: Int32Array, simWord: number, deliverable: number): number {
    let left = this.#waiting & deliverable
    let written = 0
    while (left !== 0) {
      const sint = 31 - Math.clz32(left)
      left &= ~(1 << sint)
      if (this.#deliver(sint, ram, simWord + sint * SLOT_WORDS)) written |= 1 << sint
    }
    return written
  }

  /**
   * Writes a message that came from no queue into `sint`'s slot: 64 words, of which word 1 is its size. False when the slot
   * is in use; the guest then writes EOM.
   */
  writeLocal(ram: Int32Array, simWord: number, sint: number, message: Int32Array): boolean {
    const slot = simWord + sint * SLOT_WORDS
    if (!isFree(ram, slot)) return false
    for (let word = 2; word < MESSAGE_WORDS; word++) ram[slot + word] = message[word]!
    const more = (this.#waiting >>> sint) & 1
    Atomics.store(ram, slot + 1, (message[1]! & 0xff) | (more !== 0 ? PENDING : 0))
    // ORDER: the type is the publication of everything above.
    Atomics.store(ram, slot, message[0]!)
    this.delivered++
    return true
  }

  #deliver(sint: number, ram: Int32Array, slot: number): boolean {
    const head = this.#heads[sint]!
    const count = (Atomics.load(this.#page, INBOX_TAIL + sint) - head) >>> 0
    if (count === 0 || count > INBOX_QUEUE_SLOTS) {
      this.#waiting &= ~(1 << sint)
      return false
    }
    if (!isFree(ram, slot)) return false
    const from = inboxSlot(sint, head)
    const page = this.#page
    for (let word = 2; word < MESSAGE_WORDS; word++) ram[slot + word] = page[from + word]!
    // With more behind it the flag is set at once, so that the guest's EOM brings the next one.
    Atomics.store(ram, slot + 1, (page[from + 1]! & 0xff) | (count > 1 ? PENDING : 0))
    // ORDER: the type is the publication of everything above.
    Atomics.store(ram, slot, page[from]!)
    this.delivered++
    if (count === 1) this.#waiting &= ~(1 << sint)
    this.#freeSlot(sint, head)
    return true
  }

  #freeSlot(sint: number, head: number): void {
    this.#heads[sint] = head + 1
    // ORDER: head, then the request. See MessageQueueTail.post.
    Atomics.store(this.#page, INBOX_HEAD + sint, (head + 1) | 0)
    const bit = 1 << sint
    if ((Atomics.load(this.#page, SPACE_WANTED) & bit) === 0) return
    Atomics.and(this.#page, SPACE_WANTED, ~bit)
    if (announce(this.#page, OUTBOX_SPACE)) this.mustWakeRoot = true
  }
}

/** True when a slot is free. When it is not, the guest has been asked for an EOM. */
function isFree(ram: Int32Array, slot: number): boolean {
  if (Atomics.load(ram, slot) === 0) return true
  // ORDER: pending flag, then the type again. The guest frees the slot and then reads the flag: either it sees the
  // flag and writes EOM, or this load sees the slot free. Without the second load the message could wait for ever.
  Atomics.or(ram, slot + 1, PENDING)
  return Atomics.load(ram, slot) === 0
}

function writeMessage(
  page: Int32Array,
  at: number,
  type: number,
  payload: Uint8Array,
  length: number,
  sender: number,
): void {
  page[at] = type
  page[at + 1] = length
  page[at + 2] = sender % 2 ** 32
  page[at + 3] = Math.floor(sender / 2 ** 32)
  for (let word = 4; word < MESSAGE_WORDS; word++) {
    const from = (word - 4) * 4
    page[at + word] = from >= length ? 0 : wordOf(payload, from, length)
  }
}

/** Four bytes, little-endian, with zeros past `end`. */
function wordOf(bytes: Uint8Array, at: number, end: number): number {
  let word = 0
  for (let i = Math.min(4, end - at) - 1; i >= 0; i--) word = (word << 8) | bytes[at + i]!
  return word
}
