// HOT
// The handler of the VMBus interrupt: SIM slot 2 holds messages, SIEF array 2 the channels that were signalled.
//
//   who writes            SIM slot type, payload    SIEF flags
//   the VP's own thread   both the hypervisor's part (deliver) and this handler: no other thread touches them
//
// Atomics are used all the same: a machine guest's handler needs them, and one layout serves both.

import { HvMessageHeader, MSR_EOM, SIEF_ARRAY_SIZE, SIM_SLOT_SIZE } from '@guestyard/hvdef'
import type { GuestMemory } from '@guestyard/guestmem'
import type { VirtualProcessor } from '@guestyard/hypervisor'

/** SINT of VMBus on every host. */
export const VMBUS_SINT = 2
/** Vector that stock guests give SINT 2. */
export const VMBUS_VECTOR = 0xf3

const MESSAGE_TYPE = HvMessageHeader.at.messageType
const PAYLOAD_SIZE = HvMessageHeader.at.payloadSize
const MESSAGE_FLAGS = HvMessageHeader.at.messageFlags
const HEADER_BYTES = HvMessageHeader.size
const MESSAGE_PENDING = 1
const PAYLOAD_MAX = 240
const FLAG_WORDS = SIEF_ARRAY_SIZE / 4

/** Where interrupts of the bus go. */
export interface BusEvents {
  receiveMessage(payload: Uint8Array, length: number): void
  receiveEvent(relid: number): void
}

export class VmbusInterrupt {
  readonly #vp: VirtualProcessor
  readonly #bus: BusEvents
  readonly #u8: Uint8Array
  readonly #i32: Int32Array
  readonly #slot: number
  readonly #flags: number
  readonly #payload: Uint8Array
  /** Messages and events handled so far. */
  messages: number
  events: number

  constructor(
    vp: VirtualProcessor,
    memory: GuestMemory,
    bus: BusEvents,
    simAddress: number,
    siefAddress: number,
  ) {
    this.#vp = vp
    this.#bus = bus
    this.#u8 = memory.u8
    this.#i32 = memory.i32
    this.#slot = simAddress + VMBUS_SINT * SIM_SLOT_SIZE
    this.#flags = (siefAddress + VMBUS_SINT * SIEF_ARRAY_SIZE) >>> 2
    this.#payload = new Uint8Array(PAYLOAD_MAX)
    this.messages = 0
    this.events = 0
  }

  /** Takes what the slot and the flags hold. Called with the interrupt in service. */
  handle(): void {
    this.#takeMessage()
    this.#takeEvents()
  }

  #takeMessage(): void {
    const typeWord = (this.#slot + MESSAGE_TYPE) >>> 2
    const type = Atomics.load(this.#i32, typeWord)
    if (type === 0) return
    const length = Math.min(this.#u8[this.#slot + PAYLOAD_SIZE]!, PAYLOAD_MAX)
    const from = this.#slot + HEADER_BYTES
    for (let i = 0; i < length; i += 1) this.#payload[i] = this.#u8[from + i]!
    // ORDER: the slot is freed before its pending bit is read. The hypervisor sets the bit when it finds the slot
    // busy; reading it first could miss a message that came between, and nobody would write EOM for it.
    Atomics.compareExchange(this.#i32, typeWord, type, 0)
    if ((this.#u8[this.#slot + MESSAGE_FLAGS]! & MESSAGE_PENDING) !== 0) {
      this.#vp.writeMsr(MSR_EOM, 0, 0)
    }
    this.messages += 1
    this.#bus.receiveMessage(this.#payload, length)
  }

  #takeEvents(): void {
    for (let word = 0; word < FLAG_WORDS; word += 1) {
      const at = this.#flags + word
      if (Atomics.load(this.#i32, at) === 0) continue
      let bits = Atomics.exchange(this.#i32, at, 0)
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits)
        bits &= bits - 1
        const relid = word * 32 + bit
        this.events += 1
        // Flag 0 belongs to nobody since channels have flags of their own.
        if (relid !== 0) this.#bus.receiveEvent(relid)
      }
    }
  }
}
