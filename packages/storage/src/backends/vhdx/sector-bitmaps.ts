// HOT
// The sector bitmaps of a differencing image: for each logical sector of a partially present block, whether its bytes are in this
// file (1) or the parent's (0). Read by pages of 4 KiB, which speak for 32,768 sectors each; a fixed number of them is kept. Pages
// that the file does not have yet (changed, or on their way through the log) stay until it does.

import { assert } from '@guestyard/hvdef'

import { FileStatus, type BackingFile } from '../backing-file.ts'
import type { BlockTable } from './block-table.ts'
import { MIB, SECTOR } from './format.ts'

export const SECTORS_PER_PAGE: number = SECTOR * 8
const PAGES_PER_CHUNK = MIB / SECTOR
/** 4 MiB of bits at most: 16 GiB of disk with sectors of 512 bytes. Room for them comes when it is needed. */
const SLOTS = 1024
const SLOTS_FIRST = 16
const NONE = -1

export class SectorBitmaps {
  readonly #table: BlockTable
  #bits: Uint8Array = new Uint8Array(0)
  /** Slot of each page that is here. A page's number is that of its first sector / 32,768. */
  readonly #slots = new Map<number, number>()
  /** Slots that ever had a page: the first so many. */
  #used = 0
  readonly #pageOf = new Float64Array(SLOTS).fill(NONE)
  /** Bit 0: the log must have it. Bit 1: it is on its way. */
  readonly #state = new Uint8Array(SLOTS)
  /** Where the search for a slot to give away goes on. */
  #hand = 0
  readonly #dirty: number[] = []
  readonly #travelling: number[] = []

  constructor(table: BlockTable) {
    this.#table = table
  }

  /** The status of the last page that could not be read. */
  lastStatus: FileStatus = FileStatus.OK

  /**
   * How many of the `count` sectors from `sector` on are alike: a positive number are in this file, a negative number in the parent.
   * 0: the bitmap can't be read (`lastStatus`).
   */
  run(file: BackingFile, sector: number, count: number): number {
    const slot = this.#load(file, Math.floor(sector / SECTORS_PER_PAGE))
    if (slot < 0) return 0
    const bits = this.#bits
    const base = slot * SECTOR
    const first = sector % SECTORS_PER_PAGE
    const end = Math.min(first + count, SECTORS_PER_PAGE)
    const present = (bits[base + (first >>> 3)]! >>> (first & 7)) & 1
    const whole = present === 1 ? 0xff : 0
    let at = first + 1
    while (at < end) {
      const byte = bits[base + (at >>> 3)]!
      if ((at & 7) === 0 && byte === whole) at += 8
      else if (((byte >>> (at & 7)) & 1) === present) at += 1
      else break
    }
    const length = Math.min(at, end) - first
    return present === 1 ? length : -length
  }

  /** Sets or clears the bits of sectors. The chunk's bitmap block is allocated. */
  fill(file: BackingFile, sector: number, count: number, present: boolean): FileStatus {
    let at = sector
    const end = sector + count
    while (at < end) {
      const page = Math.floor(at / SECTORS_PER_PAGE)
      const slot = this.#load(file, page)
      if (slot < 0) return this.lastStatus
      const to = Math.min(end, (page + 1) * SECTORS_PER_PAGE)
      this.#fillPage(slot, at - page * SECTORS_PER_PAGE, to - page * SECTORS_PER_PAGE, present)
      at = to
    }
    return FileStatus.OK
  }

  get dirtyPages(): number {
    return this.#dirty.length
  }

  /** Copies the dirty pages out, with their file offsets, from row `row`. They travel until `arrived`. The next row. */
  takeDirty(pages: Uint8Array, offsets: Float64Array, row: number): number {
    let next = row
    for (const slot of this.#dirty) {
      const page = this.#pageOf[slot]!
      const chunk = Math.floor(page / PAGES_PER_CHUNK)
      const entry = this.#table.entry(this.#table.bitmapIndexOf(chunk))
      pages.set(this.#bits.subarray(slot * SECTOR, (slot + 1) * SECTOR), next * SECTOR)
      offsets[next] = (entry >>> 3) * MIB + (page % PAGES_PER_CHUNK) * SECTOR
      this.#state[slot] = 2
      this.#travelling.push(slot)
      next += 1
    }
    this.#dirty.length = 0
    return next
  }

  /** What travelled is in the file. */
  arrived(): void {
    for (const slot of this.#travelling) this.#state[slot]! &= ~2
    this.#travelling.length = 0
  }

  #fillPage(slot: number, from: number, to: number, present: boolean): void {
    const base = slot * SECTOR
    let at = from
    while (at < to) {
      if ((at & 7) === 0 && to - at >= 8) {
        const bytes = (to - at) >>> 3
        this.#bits.fill(present ? 0xff : 0, base + (at >>> 3), base + (at >>> 3) + bytes)
        at += bytes * 8
        continue
      }
      const mask = 1 << (at & 7)
      if (present) this.#bits[base + (at >>> 3)]! |= mask
      else this.#bits[base + (at >>> 3)]! &= ~mask
      at += 1
    }
    if ((this.#state[slot]! & 1) === 0) {
      this.#state[slot]! |= 1
      this.#dirty.push(slot)
    }
  }

  /** The slot of a page, read from the file if it is not here; negative: it can't be read. */
  #load(file: BackingFile, page: number): number {
    const here = this.#slots.get(page)
    if (here !== undefined) return here
    const entry = this.#table.entry(this.#table.bitmapIndexOf(Math.floor(page / PAGES_PER_CHUNK)))
    assert(entry >>> 3 !== 0, 'A partially present block has a sector bitmap.')
    const slot = this.#freeSlot()
    const position = (entry >>> 3) * MIB + (page % PAGES_PER_CHUNK) * SECTOR
    this.lastStatus = file.read(position, this.#bits, slot * SECTOR, SECTOR)
    if (this.lastStatus !== FileStatus.OK) return NONE
    if (slot === this.#used) this.#used += 1
    this.#pageOf[slot] = page
    this.#slots.set(page, slot)
    return slot
  }

  /** An empty slot, or one whose page the file has as it is. */
  #freeSlot(): number {
    if (this.#used < SLOTS) {
      if (this.#used * SECTOR === this.#bits.length) {
        const more = new Uint8Array(Math.max(SLOTS_FIRST, this.#used * 2) * SECTOR)
        more.set(this.#bits)
        this.#bits = more
      }
      return this.#used
    }
    for (let tries = 0; tries < SLOTS; tries += 1) {
      const slot = this.#hand
      this.#hand = (this.#hand + 1) % SLOTS
      if (this.#state[slot] !== 0) continue
      if (this.#pageOf[slot] !== NONE) this.#slots.delete(this.#pageOf[slot]!)
      this.#pageOf[slot] = NONE
      return slot
    }
    assert(false, 'Fewer pages change between two commits than there are slots.')
    return NONE
  }
}
