// HOT
// The bytes of one packet's RNDIS messages, wherever the guest has them: part of a send section, page ranges, or both, one after
// another. Found for one packet at a time, and used before the packet is answered.

import { PAGE_SIZE } from '@guestyard/hvdef'
import { SlatRight } from '@guestyard/guestmem'
import type { GuestMemory, PageRangeTable } from '@guestyard/guestmem'
import type { MappedGpadl } from '@guestyard/vmbus/server'
import type { Frame } from '../frame.ts'

/** Pages of the largest packet, twice over: a fragment may have a page of its own. */
export const MESSAGE_PAGES_MAX = 128

export class MessageBytes {
  readonly memory: GuestMemory
  readonly #addresses: Uint32Array<ArrayBuffer> = new Uint32Array(MESSAGE_PAGES_MAX)
  readonly #lengths: Uint32Array<ArrayBuffer> = new Uint32Array(MESSAGE_PAGES_MAX)
  #count = 0
  lengthBytes = 0

  constructor(memory: GuestMemory) {
    this.memory = memory
  }

  clear(): void {
    this.#count = 0
    this.lengthBytes = 0
  }

  /** Adds bytes of a GPADL of one range. False, and a fault, when one of its pages may not be read. */
  addBuffer(buffer: MappedGpadl, offsetBytes: number, lengthBytes: number): boolean {
    const range = buffer.ranges[0]!
    let offset = range.offsetBytes + offsetBytes
    let left = lengthBytes
    while (left > 0) {
      const address = range.pages.addressOf(offset, SlatRight.READ)
      if (address < 0) return false
      const inPage = PAGE_SIZE - (address % PAGE_SIZE)
      const taken = inPage < left ? inPage : left
      if (!this.#add(address, taken)) return false
      offset += taken
      left -= taken
    }
    return true
  }

  /** Adds all ranges of a table that are mapped. False when there are too many pages. */
  addRanges(table: PageRangeTable): boolean {
    for (let range = 0; range < table.rangeCount; range += 1) {
      let left = table.byteCounts[range]!
      let offset = table.byteOffsets[range]!
      for (let page = table.firstPages[range]!; left > 0; page += 1) {
        const inPage = PAGE_SIZE - offset
        const taken = inPage < left ? inPage : left
        if (!this.#add(table.ramPages[page]! * PAGE_SIZE + offset, taken)) return false
        left -= taken
        offset = 0
      }
    }
    return true
  }

  /** Copies bytes into private memory, once. They must be there. */
  read(at: number, to: Uint8Array, lengthBytes: number): void {
    const { u8 } = this.memory
    let skip = at
    let done = 0
    for (let piece = 0; done < lengthBytes; piece += 1) {
      const length = this.#lengths[piece]!
      if (skip >= length) {
        skip -= length
        continue
      }
      const from = this.#addresses[piece]! + skip
      const available = length - skip
      const taken = available < lengthBytes - done ? available : lengthBytes - done
      for (let index = 0; index < taken; index += 1) to[done + index] = u8[from + index]!
      done += taken
      skip = 0
    }
  }

  /** `read` of whole words, into two views of one private buffer. */
  readWords(at: number, to: Int32Array, bytes: Uint8Array, lengthBytes: number): void {
    const from = this.#addresses[0]! + at
    if ((from & 3) !== 0 || at + lengthBytes > this.#lengths[0]!) {
      this.read(at, bytes, lengthBytes)
      return
    }
    const { i32 } = this.memory
    const words = lengthBytes >> 2
    for (let word = 0; word < words; word += 1) to[word] = i32[(from >>> 2) + word]!
  }

  /** Makes a frame of bytes that are there. False when it has too many pieces. */
  fill(frame: Frame, at: number, lengthBytes: number): boolean {
    const { memory } = this
    frame.clear(memory)
    let skip = at
    let left = lengthBytes
    for (let piece = 0; left > 0; piece += 1) {
      const length = this.#lengths[piece]!
      if (skip >= length) {
        skip -= length
        continue
      }
      const available = length - skip
      const taken = available < left ? available : left
      if (!frame.addGuest(memory, this.#addresses[piece]! + skip, taken)) return false
      left -= taken
      skip = 0
    }
    return true
  }

  #add(address: number, lengthBytes: number): boolean {
    const last = this.#count - 1
    const lastEnd = last < 0 ? -1 : this.#addresses[last]! + this.#lengths[last]!
    if (address === lastEnd) {
      this.#lengths[last] = this.#lengths[last]! + lengthBytes
      this.lengthBytes += lengthBytes
      return true
    }
    if (this.#count === MESSAGE_PAGES_MAX) return false
    this.#addresses[this.#count] = address
    this.#lengths[this.#count] = lengthBytes
    this.#count += 1
    this.lengthBytes += lengthBytes
    return true
  }
}
