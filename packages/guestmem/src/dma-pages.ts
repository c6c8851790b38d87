// HOT (addressOf)
// Pages that a device has mapped, as one stretch of bytes: the memory behind a GPADL, seen by its device. Offsets are
// bytes from the start of the first page.

import { PAGE_OFFSET_MASK, PAGE_SHIFT, PAGE_SIZE } from '@guestyard/hvdef'

import type { GuestMemory } from './guest-memory.ts'
import { PageList } from './page-list.ts'
import { SlatRight } from './slat-layout.ts'

/** The domain that a mapping belongs to, as its touches meet it. */
export interface DmaGate {
  readonly memory: GuestMemory
  /** Page of RAM for a touch, or -1: a fault. */
  translate(gpaPage: number, access: number): number
  /** A touch outside any mapping: a fault. */
  refuse(gpa: number, access: number): void
  /** Overlays that VPs have announced are known from here on. */
  sampleOverlays(): void
}

/** Root's thread only. Made by `DmaDomain.map`; dead after `unmap`, or when the partition lost one of the pages. */
export class DmaPages {
  /** As the guest named them. */
  readonly gpaPages: Uint32Array
  /** Where they were when they were mapped. */
  readonly ramPages: Uint32Array
  /** `SlatRight` bits that it was mapped for. */
  readonly access: number
  readonly #gate: DmaGate
  #live = true

  constructor(gate: DmaGate, gpaPages: Uint32Array, ramPages: Uint32Array, access: number) {
    this.#gate = gate
    this.gpaPages = gpaPages
    this.ramPages = ramPages
    this.access = access
  }

  /** False once it has ended. */
  get live(): boolean {
    return this.#live
  }

  get pageCount(): number {
    return this.gpaPages.length
  }

  get lengthBytes(): number {
    return this.gpaPages.length * PAGE_SIZE
  }

  /** The domain has unmapped it. */
  end(): void {
    this.#live = false
  }

  /** Address in RAM of the byte at `offsetBytes`, to be read or written now; -1, a fault, when it may not be. */
  addressOf(offsetBytes: number, access: number): number {
    const page = offsetBytes >>> PAGE_SHIFT
    if (!this.#live || !(offsetBytes >= 0 && offsetBytes < this.lengthBytes)) {
      const known = this.gpaPages[page] ?? 0
      this.#gate.refuse(known * PAGE_SIZE + (offsetBytes & PAGE_OFFSET_MASK), access)
      return -1
    }
    const ramPage = this.#gate.translate(this.gpaPages[page]!, access)
    return ramPage < 0 ? -1 : ramPage * PAGE_SIZE + (offsetBytes & PAGE_OFFSET_MASK)
  }

  /** Copies bytes from `offsetBytes` on into `to`. False where a page may not be read: then what is in `to` means nothing. */
  read(offsetBytes: number, to: Uint8Array): boolean {
    this.#gate.sampleOverlays()
    const { memory } = this.#gate
    for (let done = 0; done < to.length;) {
      const address = this.addressOf(offsetBytes + done, SlatRight.READ)
      if (address < 0) return false
      const length = Math.min(to.length - done, PAGE_SIZE - (address & PAGE_OFFSET_MASK))
      memory.read(address, to, done, length)
      done += length
    }
    return true
  }

  /** Copies `from` over the bytes from `offsetBytes` on. False where a page may not be written; those before it are. */
  write(offsetBytes: number, from: Uint8Array): boolean {
    this.#gate.sampleOverlays()
    const { memory } = this.#gate
    for (let done = 0; done < from.length;) {
      const address = this.addressOf(offsetBytes + done, SlatRight.WRITE)
      if (address < 0) return false
      const length = Math.min(from.length - done, PAGE_SIZE - (address & PAGE_OFFSET_MASK))
      memory.write(address, from, done, length)
      done += length
    }
    return true
  }

  /**
   * The pages as a list of RAM, resolved once: for rings, which are opened over it and closed no later than this mapping
   * ends. Undefined, and a fault, when the mapping has ended.
   */
  resolve(): PageList | undefined {
    if (this.#live) return PageList.from(this.#gate.memory, this.ramPages)
    this.#gate.refuse((this.gpaPages[0] ?? 0) * PAGE_SIZE, this.access)
    return undefined
  }
}
