// HOT
// The BAT in memory: 4 bytes an entry, and which of its pages the file does not have yet.
//
// Payload block i is entry i + floor(i / C), where C is the chunk ratio: after C of them comes the entry of their sector bitmap
// (MS-VHDX 2.5). An entry here is `MiB offset x 8 + state`: 29 bits are enough for the largest file that is opened (256 TiB).

import { assert } from '@guestyard/hvdef'

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { fileFailure } from './file-access.ts'
import { BlockState, CHUNK_SECTORS, FILE_MIB_MAX, MIB, SECTOR } from './format.ts'
import type { Metadata } from './metadata.ts'
import type { Region } from './regions.ts'

const ENTRIES_PER_PAGE = SECTOR / 8
const READ_BYTES = 1024 * 1024

export class BlockTable {
  /** Where the BAT lies in the file. */
  offset: number
  /** Payload blocks for each sector bitmap block: a power of two. */
  readonly chunkRatio: number
  readonly blockBytes: number
  readonly hasParent: boolean
  blockCount: number
  entryCount: number
  #entries: Uint32Array
  /** 1: on the list. */
  #isDirty: Uint8Array
  readonly #dirty: number[] = []

  /** The table of an image, empty. Throws an `ImageError` when the region is too short for it: nothing is allocated then. */
  static of(file: BackingFile, metadata: Metadata, region: Region): BlockTable {
    const entries = entriesOf(
      Math.ceil(metadata.virtualBytes / metadata.blockBytes),
      chunkRatioOf(metadata),
      metadata.parent !== null,
    )
    if (entries * 8 <= region.length) return new BlockTable(metadata, region.offset)
    const problem = `${region.length} bytes: too few for ${entries} entries`
    throw new ImageError(file.name, 'region BAT: length', problem)
  }

  /** A table of entries that are all NOT_PRESENT. */
  constructor(metadata: Metadata, offset: number) {
    this.offset = offset
    this.blockBytes = metadata.blockBytes
    this.chunkRatio = chunkRatioOf(metadata)
    this.hasParent = metadata.parent !== null
    this.blockCount = Math.ceil(metadata.virtualBytes / metadata.blockBytes)
    this.entryCount = this.entriesFor(this.blockCount)
    this.#entries = new Uint32Array(this.entryCount)
    this.#isDirty = new Uint8Array(Math.ceil(this.entryCount / ENTRIES_PER_PAGE))
  }

  /** Entries of a table for so many payload blocks (MS-VHDX 2.5). */
  entriesFor(blockCount: number): number {
    return entriesOf(blockCount, this.chunkRatio, this.hasParent)
  }

  indexOf(block: number): number {
    return block + Math.floor(block / this.chunkRatio)
  }

  bitmapIndexOf(chunk: number): number {
    return chunk * (this.chunkRatio + 1) + this.chunkRatio
  }

  /** True when the entry of that index is a sector bitmap block's. */
  isBitmapIndex(index: number): boolean {
    return index % (this.chunkRatio + 1) === this.chunkRatio
  }

  /** MiB offset x 8 + state of the entry at a BAT index. */
  entry(index: number): number {
    return this.#entries[index]!
  }

  /** Changes an entry, and notes that its page must be logged. */
  set(index: number, mib: number, state: number): void {
    assert(mib < FILE_MIB_MAX, 'Blocks lie within the largest file.')
    this.#entries[index] = mib * 8 + state
    this.touch(Math.floor(index / ENTRIES_PER_PAGE))
  }

  /** Notes that a page must be logged. */
  touch(page: number): void {
    if (this.#isDirty[page] === 1) return
    this.#isDirty[page] = 1
    this.#dirty.push(page)
  }

  /** Pages that the log must have. */
  get dirtyPages(): number {
    return this.#dirty.length
  }

  /** Copies the dirty pages out, with their file offsets, from row `row`; none is dirty then. The next row. */
  takeDirty(pages: Uint8Array, offsets: Float64Array, row: number): number {
    let next = row
    for (const page of this.#dirty) {
      this.#isDirty[page] = 0
      this.encodePage(page, pages, next * SECTOR)
      offsets[next] = this.offset + page * SECTOR
      next += 1
    }
    this.#dirty.length = 0
    return next
  }

  /** The bytes of one page, into `into` at `at`. Beyond the last entry: zeros. */
  encodePage(page: number, into: Uint8Array, at: number): void {
    const view = new DataView(into.buffer, into.byteOffset + at, SECTOR)
    const first = page * ENTRIES_PER_PAGE
    for (let slot = 0; slot < ENTRIES_PER_PAGE; slot += 1) {
      const entry = first + slot < this.entryCount ? this.#entries[first + slot]! : 0
      const mib = entry >>> 3
      view.setUint32(slot * 8, (entry & 7) | ((mib & 0xfff) << 20), true)
      view.setUint32(slot * 8 + 4, mib >>> 12, true)
    }
  }

  get pageCount(): number {
    return Math.ceil(this.entryCount / ENTRIES_PER_PAGE)
  }

  /** Stores an entry of a table that nothing leads to yet: its page is not logged. */
  place(index: number, mib: number, state: number): void {
    this.#entries[index] = mib * 8 + state
  }

  /** Makes room for more blocks, in a BAT at that offset; the new entries are NOT_PRESENT. What undoes it. */
  grow(blockCount: number, offset: number): () => void {
    const { blockCount: oldBlocks, entryCount: oldCount, offset: oldOffset } = this
    const oldEntries = this.#entries
    const oldDirty = this.#isDirty
    this.blockCount = blockCount
    this.entryCount = this.entriesFor(blockCount)
    this.offset = offset
    this.#entries = new Uint32Array(this.entryCount)
    this.#entries.set(oldEntries)
    this.#isDirty = new Uint8Array(this.pageCount)
    this.#isDirty.set(oldDirty)
    return () => {
      this.blockCount = oldBlocks
      this.entryCount = oldCount
      this.offset = oldOffset
      this.#entries = oldEntries
      this.#isDirty = oldDirty
    }
  }

  /**
   * Reads the entries from the file. What is wrong with one goes to `onProblem`, and the entry is left NOT_PRESENT; where it throws,
   * reading ends. Only what is not zero is stored, so that a large empty table takes no memory.
   */
  read(
    file: BackingFile,
    region: Region,
    onProblem: (index: number, problem: string) => void,
  ): void {
    const bytes = new Uint8Array(Math.min(READ_BYTES, this.entryCount * 8))
    const words = new Uint32Array(bytes.buffer)
    for (let index = 0; index < this.entryCount;) {
      const count = Math.min(this.entryCount - index, bytes.length / 8)
      const status = file.read(region.offset + index * 8, bytes, 0, count * 8)
      if (status !== FileStatus.OK) throw fileFailure(file, 'BAT', status, 'read')
      for (let at = 0; at < count; at += 1) {
        const low = words[at * 2]!
        const high = words[at * 2 + 1]!
        if (low === 0 && high === 0) continue
        const problem = this.#readEntry(index + at, low, high)
        if (problem !== '') onProblem(index + at, problem)
      }
      index += count
    }
  }

  /** Stores one entry. What is wrong with it. */
  #readEntry(index: number, low: number, high: number): string {
    const state = low & 7
    const mib = high * 4096 + (low >>> 20)
    if ((low & 0x000f_fff8) !== 0) return 'its reserved bits are not zero'
    switch (state) {
      case BlockState.NOT_PRESENT:
        return ''
      case BlockState.UNDEFINED:
      case BlockState.ZERO:
      case BlockState.UNMAPPED:
        if (this.isBitmapIndex(index)) return `state ${state} is none of a sector bitmap`
        this.#entries[index] = state
        return ''
      case BlockState.PARTIALLY_PRESENT:
        if (this.isBitmapIndex(index)) return 'state 7 is none of a sector bitmap'
        if (!this.hasParent) return 'partially present, in an image without a parent'
        break
      case BlockState.FULLY_PRESENT:
        if (this.isBitmapIndex(index) && !this.hasParent) {
          return 'a sector bitmap, in an image without a parent'
        }
        break
      default:
        return `state ${state} is unknown`
    }
    if (mib === 0 || mib >= FILE_MIB_MAX) return `${mib} MiB is no place for a block`
    this.#entries[index] = mib * 8 + state
    return ''
  }
}

function chunkRatioOf(metadata: Metadata): number {
  return (CHUNK_SECTORS * metadata.logicalBytes) / metadata.blockBytes
}

function entriesOf(blockCount: number, chunkRatio: number, hasParent: boolean): number {
  return hasParent
    ? Math.ceil(blockCount / chunkRatio) * (chunkRatio + 1)
    : blockCount + Math.floor((blockCount - 1) / chunkRatio)
}

/** What an entry says, for messages: `BAT entry 17 (block 17)`. */
export function entryName(table: BlockTable, index: number): string {
  if (table.isBitmapIndex(index)) {
    return `BAT entry ${index} (sector bitmap ${Math.floor(index / (table.chunkRatio + 1))})`
  }
  return `BAT entry ${index} (block ${index - Math.floor(index / (table.chunkRatio + 1))})`
}

/** MiB that the block of an entry takes. */
export function entryMib(table: BlockTable, index: number): number {
  return table.isBitmapIndex(index) ? 1 : table.blockBytes / MIB
}
