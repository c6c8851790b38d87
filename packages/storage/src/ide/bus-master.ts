// The bus master of one channel (SFF-8038i): moves a drive's data between its buffer and RAM, as a table of descriptors in RAM says.
// Every descriptor is read once, when its turn comes, and every page is asked for when it is touched: a table may lie anywhere, change
// meanwhile, be a ring or lead out of RAM, and costs its guest no more than the transfer.
//
//   ACTIVE  INTERRUPT   after a transfer
//   0       1           done; the table ended with it
//   1       1           done; the table has room left
//   0       0           the table ended first: the drive waits for more, until it is reset. With ERROR: no memory there, or no such table

import { SlatRight, type GuestMemory } from '@guestyard/guestmem'
import { PAGE_SHIFT, PAGE_SIZE } from '@guestyard/hvdef'

import {
  BusMasterCommand,
  BusMasterRegister,
  BusMasterStatus,
  PRD_BYTES,
  PRD_END_OF_TABLE,
} from './registers.ts'

/** RAM as the bus master reaches it. `DmaDomain` is one; another asks the SLAT itself. */
export interface IdeMemory {
  readonly memory: GuestMemory
  /** Page of RAM at a GPA page that may be reached so (`SlatRight`), or -1. Any number may be asked. */
  translate(gpaPage: number, access: number): number
}

/** Neither a table nor the bytes of one descriptor cross a multiple of this. */
const BOUNDARY = 0x1_0000
const OFFSET_MASK = PAGE_SIZE - 1

export class BusMaster {
  readonly #memory: IdeMemory | null
  readonly #prd: Uint8Array = new Uint8Array(PRD_BYTES)
  #command = 0
  #status = 0
  #table = 0
  /** Address of the next descriptor; what is left of the one in use. */
  #next = 0
  #address = 0
  #left = 0
  #isLast = false
  /** Bytes moved so far, and descriptors read. */
  bytes = 0
  descriptors = 0

  /** Without memory every transfer ends with an error. */
  constructor(memory: IdeMemory | null) {
    this.#memory = memory
  }

  /** Started, and not at its table's end: `move` goes on. */
  get isActive(): boolean {
    return (this.#status & BusMasterStatus.ACTIVE) !== 0
  }

  /** A byte of the eight registers. */
  read(offset: number): number {
    switch (offset) {
      case BusMasterRegister.COMMAND:
        return this.#command
      case BusMasterRegister.STATUS:
        return this.#status
      case 4:
      case 5:
      case 6:
      case 7:
        return (this.#table >>> ((offset - BusMasterRegister.TABLE) * 8)) & 0xff
      default:
        return 0
    }
  }

  write(offset: number, byte: number): void {
    switch (offset) {
      case BusMasterRegister.COMMAND:
        return this.#setCommand(byte)
      case BusMasterRegister.STATUS: {
        const cleared = byte & (BusMasterStatus.ERROR | BusMasterStatus.INTERRUPT)
        const kept = this.#status & ~cleared & ~BusMasterStatus.CAPABLE
        this.#status = kept | (byte & BusMasterStatus.CAPABLE)
        return
      }
      case 4:
      case 5:
      case 6:
      case 7: {
        const shift = (offset - BusMasterRegister.TABLE) * 8
        const table = (this.#table & ~(0xff << shift)) | (byte << shift)
        this.#table = (table & ~3) >>> 0
        return
      }
      default:
    }
  }

  /** The channel's interrupt has risen. */
  interrupted(): void {
    this.#status |= BusMasterStatus.INTERRUPT
  }

  /**
   * Moves at most `lengthBytes` between `buffer` from `at` on and RAM. Returns how many it moved: fewer when the table has come to its
   * end, and -1 for an error. Only while it is active, and not after either.
   */
  move(buffer: Uint8Array, at: number, lengthBytes: number, toMemory: boolean): number {
    if (((this.#command & BusMasterCommand.TO_MEMORY) !== 0) !== toMemory) return this.#fail()
    let moved = 0
    while (moved < lengthBytes) {
      if (this.#left === 0 && !this.#fetch()) return -1
      const toPageEnd = PAGE_SIZE - (this.#address & OFFSET_MASK)
      const run = Math.min(lengthBytes - moved, this.#left, toPageEnd)
      if (!this.#touch(this.#address, buffer, at + moved, run, toMemory)) return this.#fail()
      moved += run
      this.#address += run
      this.#left -= run
      this.bytes += run
      if (this.#left === 0 && this.#isLast) {
        this.#status &= ~BusMasterStatus.ACTIVE
        return moved
      }
    }
    return moved
  }

  #setCommand(byte: number): void {
    const wasStarted = (this.#command & BusMasterCommand.START) !== 0
    const isStarted = (byte & BusMasterCommand.START) !== 0
    this.#command = byte & (BusMasterCommand.START | BusMasterCommand.TO_MEMORY)
    if (isStarted === wasStarted) return
    if (!isStarted) {
      this.#status &= ~BusMasterStatus.ACTIVE
      return
    }
    this.#status |= BusMasterStatus.ACTIVE
    this.#next = this.#table
    this.#left = 0
    this.#isLast = false
  }

  /** The next descriptor. False, and not active any more, when there is none. */
  #fetch(): boolean {
    const isPast = this.#next >= this.#table - (this.#table % BOUNDARY) + BOUNDARY
    if (this.#isLast || isPast || !this.#read(this.#next)) {
      this.#fail()
      return false
    }
    this.descriptors += 1
    const prd = this.#prd
    const low = (prd[0]! | (prd[1]! << 8) | (prd[2]! << 16) | (prd[3]! << 24)) >>> 0
    const count = (prd[4]! | (prd[5]! << 8)) & ~1
    const bytes = count === 0 ? BOUNDARY : count
    this.#address = (low & ~1) >>> 0
    this.#left = bytes
    this.#isLast = (prd[7]! & (PRD_END_OF_TABLE >>> 24)) !== 0
    this.#next += PRD_BYTES
    if ((this.#address % BOUNDARY) + bytes <= BOUNDARY) return true
    this.#fail()
    return false
  }

  /** A descriptor, which may lie across two pages. */
  #read(gpa: number): boolean {
    const first = Math.min(PRD_BYTES, PAGE_SIZE - (gpa & OFFSET_MASK))
    if (!this.#touch(gpa, this.#prd, 0, first, false)) return false
    return (
      first === PRD_BYTES || this.#touch(gpa + first, this.#prd, first, PRD_BYTES - first, false)
    )
  }

  /** Bytes of one page. */
  #touch(gpa: number, bytes: Uint8Array, at: number, length: number, toMemory: boolean): boolean {
    const ram = this.#memory
    if (ram === null) return false
    const access = toMemory ? SlatRight.WRITE : SlatRight.READ
    const page = ram.translate(gpa >>> PAGE_SHIFT, access)
    if (page < 0) return false
    const address = page * PAGE_SIZE + (gpa & OFFSET_MASK)
    return toMemory
      ? ram.memory.write(address, bytes, at, length)
      : ram.memory.read(address, bytes, at, length)
  }

  #fail(): number {
    this.#status = (this.#status & ~BusMasterStatus.ACTIVE) | BusMasterStatus.ERROR
    return -1
  }
}
