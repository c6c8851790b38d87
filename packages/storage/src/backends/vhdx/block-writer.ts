// HOT
// Writing to an image, a part of one block at a time.
//
// A block's entry changes only after its bytes are in the file, and the entry is logged only after they are durable (Journal): no
// power loss shows bytes that nobody wrote to that block. A block that is taken from a gap has old bytes: those are zeroed where the
// write doesn't cover them, or, in a differencing image, never looked at, since their bits say that they are the parent's. Zeroing a
// block of up to 256 MiB takes many steps: the block stays out of the table until then.

import { FileStatus, type BackingFile } from '../backing-file.ts'
import type { PieceWalk } from '../piece-walk.ts'
import type { BlockTable } from './block-table.ts'
import { writeZeros } from '../zeros.ts'
import { BlockState, FILE_MIB_MAX, MIB } from './format.ts'
import type { VhdxImage } from './image.ts'
import type { Journal } from './journal.ts'
import { ENTRY_PAGES_MAX } from './log-entry.ts'
import { SECTORS_PER_PAGE } from './sector-bitmaps.ts'

/** Zeros written in one step at most, so that nobody else waits long. */
const ZERO_STEP_BYTES: number = MIB / 4
/** A step costs 1, and 1 more for so many bytes that it writes. */
const WORK_SHIFT = 14

export class BlockWriter {
  readonly #image: VhdxImage
  readonly #table: BlockTable
  readonly #file: BackingFile
  readonly #journal: Journal
  readonly #blockBytes: number
  readonly #sectorBytes: number
  /** Pages that one step changes at most: two of the BAT, and a block's bits. */
  readonly #stepPages: number
  #status: FileStatus = FileStatus.OK
  /** MiB of the file before the block that was just taken beyond its end; 0: it was taken from a gap. */
  #endBefore = 0
  /** MiB that were just taken. */
  #takenMib = 0
  /** The block that is being made zeros before its first write: where it will be (0: there is none), and how much of it is done. */
  #freshBlock = 0
  #freshMib = 0
  #freshBytes = 0
  /** Bytes that the last step did, perhaps none yet, and what it cost. */
  doneBytes = 0
  doneWork = 1

  constructor(image: VhdxImage, file: BackingFile, journal: Journal) {
    this.#image = image
    this.#table = image.table
    this.#file = file
    this.#journal = journal
    this.#blockBytes = image.metadata.blockBytes
    this.#sectorBytes = image.metadata.logicalBytes
    const bits = this.#blockBytes / this.#sectorBytes
    this.#stepPages = 2 + (this.#table.hasParent ? Math.ceil(bits / SECTORS_PER_PAGE) : 0)
  }

  /** False: a commit must come first, since it takes only so many pages. */
  get hasRoom(): boolean {
    return this.#journal.dirtyPages + this.#stepPages <= ENTRY_PAGES_MAX
  }

  /** Writes the next pieces, up to the block's end: `doneBytes` of `lengthBytes`. `hasRoom`. */
  write(offset: number, lengthBytes: number, pieces: PieceWalk): FileStatus {
    const block = Math.floor(offset / this.#blockBytes)
    const inBlock = offset - block * this.#blockBytes
    const count = Math.min(this.#blockBytes - inBlock, lengthBytes)
    this.doneBytes = count
    this.doneWork = 1 + (count >>> WORK_SHIFT)
    const entry = this.#table.entry(this.#table.indexOf(block))
    switch (entry & 7) {
      case BlockState.FULLY_PRESENT:
        return pieces.write(this.#file, (entry >>> 3) * MIB + inBlock, count)
      case BlockState.PARTIALLY_PRESENT: {
        const status = pieces.write(this.#file, (entry >>> 3) * MIB + inBlock, count)
        return status === FileStatus.OK ? this.#markPresent(offset, count) : status
      }
      default:
        return this.#writeNew(block, inBlock, count, pieces)
    }
  }

  /** Makes bytes zeros, up to the block's end: `doneBytes` of `lengthBytes`. `hasRoom`. */
  zero(offset: number, lengthBytes: number): FileStatus {
    const block = Math.floor(offset / this.#blockBytes)
    const inBlock = offset - block * this.#blockBytes
    const count = Math.min(this.#blockBytes - inBlock, lengthBytes)
    const index = this.#table.indexOf(block)
    const entry = this.#table.entry(index)
    const state = entry & 7
    this.doneBytes = count
    this.doneWork = 1
    const isThere = state >= BlockState.FULLY_PRESENT
    if (!isThere && !(state === BlockState.NOT_PRESENT && this.#table.hasParent)) {
      return FileStatus.OK
    }
    const isWhole = inBlock === 0 && offset + count >= this.#endOf(block)
    if (isWhole && !this.#image.metadata.leaveAllocated) {
      this.#table.set(index, 0, BlockState.ZERO)
      if (isThere) this.#journal.free(entry >>> 3, this.#blockBytes / MIB)
      return FileStatus.OK
    }
    this.doneBytes = Math.min(count, ZERO_STEP_BYTES)
    this.doneWork = 1 + (this.doneBytes >>> WORK_SHIFT)
    if (!isThere) return this.#writeNew(block, inBlock, this.doneBytes, null)
    const status = writeZeros(this.#file, (entry >>> 3) * MIB + inBlock, this.doneBytes)
    if (status !== FileStatus.OK || state === BlockState.FULLY_PRESENT) return status
    return this.#markPresent(offset, this.doneBytes)
  }

  /** Writes into a block that the file does not have; no pieces: zeros. */
  #writeNew(block: number, inBlock: number, count: number, pieces: PieceWalk | null): FileStatus {
    const index = this.#table.indexOf(block)
    const overParent =
      this.#table.hasParent && (this.#table.entry(index) & 7) === BlockState.NOT_PRESENT
    const isWhole = inBlock === 0 && block * this.#blockBytes + count >= this.#endOf(block)
    const isPartial = overParent && !isWhole
    if (isPartial) {
      const status = this.#ensureBitmap(block)
      if (status !== FileStatus.OK) return status
    }
    let mib = this.#freshMib
    let status = FileStatus.OK as FileStatus
    if (mib === 0 || this.#freshBlock !== block) {
      this.abandon()
      mib = this.#allocate(this.#blockBytes / MIB)
      if (mib < 0) return this.#status
      // Old bytes of a gap, which this doesn't write over.
      if (this.#endBefore === 0 && !isPartial && !isWhole) {
        this.#freshBlock = block
        this.#freshMib = mib
      }
    }
    if (this.#freshMib !== 0) {
      this.#endBefore = 0
      this.#takenMib = this.#blockBytes / MIB
      status = this.#zeroFresh()
      if (status === FileStatus.OK && this.#freshMib !== 0) return FileStatus.OK
    }
    const start = mib * MIB
    if (status === FileStatus.OK) {
      status =
        pieces === null
          ? writeZeros(this.#file, start + inBlock, count)
          : pieces.write(this.#file, start + inBlock, count)
    }
    if (status === FileStatus.OK && isPartial) status = this.#markOnly(block, inBlock, count)
    if (status !== FileStatus.OK) return this.#giveBack(mib, status)
    const state = isPartial ? BlockState.PARTIALLY_PRESENT : BlockState.FULLY_PRESENT
    this.#table.set(index, mib, state)
    return FileStatus.OK
  }

  /** Zeros the next part of the block that was begun. It is no longer begun when all of it is done, or that failed. */
  #zeroFresh(): FileStatus {
    const lengthBytes = Math.min(this.#blockBytes - this.#freshBytes, ZERO_STEP_BYTES)
    const status = writeZeros(this.#file, this.#freshMib * MIB + this.#freshBytes, lengthBytes)
    this.doneWork = 1 + (lengthBytes >>> WORK_SHIFT)
    this.#freshBytes += lengthBytes
    if (status === FileStatus.OK && this.#freshBytes < this.#blockBytes) {
      this.doneBytes = 0
      return FileStatus.OK
    }
    this.#freshMib = 0
    this.#freshBytes = 0
    return status
  }

  /** The write whose last step did no bytes doesn't go on: its block is free again. */
  abandon(): void {
    if (this.#freshMib === 0) return
    this.#image.space.release(this.#freshMib, this.#blockBytes / MIB)
    this.#freshMib = 0
    this.#freshBytes = 0
  }

  /** Makes sure that the block's chunk has a bitmap block. */
  #ensureBitmap(block: number): FileStatus {
    const index = this.#table.bitmapIndexOf(Math.floor(block / this.#table.chunkRatio))
    if (this.#table.entry(index) !== 0) return FileStatus.OK
    const mib = this.#allocate(1)
    if (mib < 0) return this.#status
    if (this.#endBefore === 0) {
      const status = writeZeros(this.#file, mib * MIB, MIB)
      if (status !== FileStatus.OK) return this.#giveBack(mib, status)
    }
    this.#table.set(index, mib, BlockState.FULLY_PRESENT)
    return FileStatus.OK
  }

  /** The bits of a new block: those of the range, and of no other sector. What they were before counts no more. */
  #markOnly(block: number, inBlock: number, count: number): FileStatus {
    const first = (block * this.#blockBytes) / this.#sectorBytes
    const { bitmaps, file } = this.#image
    const status = bitmaps.fill(file, first, this.#blockBytes / this.#sectorBytes, false)
    if (status !== FileStatus.OK) return status
    const sector = first + inBlock / this.#sectorBytes
    return bitmaps.fill(file, sector, count / this.#sectorBytes, true)
  }

  /** Sets the bits of a range that was written; those that are set already cost nothing. */
  #markPresent(offset: number, count: number): FileStatus {
    const { bitmaps, file } = this.#image
    const end = (offset + count) / this.#sectorBytes
    for (let sector = offset / this.#sectorBytes; sector < end;) {
      const run = bitmaps.run(file, sector, end - sector)
      if (run === 0) return bitmaps.lastStatus
      if (run < 0) {
        const status = bitmaps.fill(file, sector, -run, true)
        if (status !== FileStatus.OK) return status
      }
      sector += Math.abs(run)
    }
    return FileStatus.OK
  }

  /** The virtual offset just behind a block, or the disk's end. */
  #endOf(block: number): number {
    return Math.min((block + 1) * this.#blockBytes, this.#image.virtualBytes)
  }

  /** Takes space. Its first MiB; negative: the host has none (`#status`). */
  #allocate(count: number): number {
    const { space } = this.#image
    this.#endBefore = 0
    this.#takenMib = count
    const before = space.fileMib
    // Another tool's file may end within a MiB: then the last of them is made whole first.
    this.#status =
      this.#file.sizeBytes < before * MIB ? this.#file.resize(before * MIB) : FileStatus.OK
    if (this.#status !== FileStatus.OK) return -1
    const gap = space.takeGap(count, FILE_MIB_MAX)
    if (gap >= 0) return gap
    this.#status = FileStatus.NO_SPACE
    if (before + count >= FILE_MIB_MAX) return -1
    this.#status = this.#file.resize((before + count) * MIB)
    if (this.#status !== FileStatus.OK) return -1
    this.#endBefore = before
    return space.takeEnd(count)
  }

  /** Undoes `#allocate`, after a write failed with `status`. */
  #giveBack(mib: number, status: FileStatus): FileStatus {
    const { space } = this.#image
    space.release(mib, this.#takenMib)
    if (this.#endBefore > 0 && this.#file.resize(this.#endBefore * MIB) === FileStatus.OK) {
      space.setFileMib(this.#endBefore)
    }
    return status
  }
}
