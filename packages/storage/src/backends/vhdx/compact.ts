// Making a file shorter: blocks of zeros are given up, blocks at the file's end move into gaps, and the end is cut off.

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { ImageError, type ImageJob } from '../image.ts'
import { Alterations } from './alterations.ts'
import { entryMib } from './block-table.ts'
import type { VhdxDisk } from './disk.ts'
import { fileFailure } from './file-access.ts'
import { BlockState, MIB } from './format.ts'

/** Bytes that one step reads or copies at most. */
const STEP_BYTES = 4 * MIB
/** Blocks that one commit gives up or moves: each may be on a page of its own. */
const BATCH = 48

/**
 * Compacts an image, which nobody else uses meanwhile. Stopped between two steps it is whole, and as far as it came. The log, the BAT
 * and the metadata stay where they are. Throws an `ImageError` for a fixed image.
 */
export function compactVhdx(disk: VhdxDisk): ImageJob {
  const { file, image } = disk
  if (disk.geometry.readOnly) throw new ImageError(file.name, '', 'the image is only read')
  if (image.metadata.leaveAllocated) {
    throw new ImageError(file.name, '', 'a fixed image has all its blocks, and stays as it is')
  }
  return new CompactJob(disk)
}

type Phase = 'begin' | 'scan' | 'move' | 'cut' | 'done'

class CompactJob implements ImageJob {
  readonly totalBytes: number
  doneBytes = 0
  readonly #disk: VhdxDisk
  readonly #alterations: Alterations
  readonly #buffer = new Uint8Array(STEP_BYTES)
  #phase: Phase = 'begin'
  /** The block that is looked at, and how much of it was. */
  #block = 0
  #inBlock = 0
  #zeroBlocks: number[] = []
  /** BAT indices of what has space in the file, the highest place first; which is next; what moved since the last commit. */
  #order: Uint32Array = new Uint32Array(0)
  #next = 0
  #moves: Move[] = []
  #movedAny = false

  constructor(disk: VhdxDisk) {
    this.#disk = disk
    this.#alterations = new Alterations(disk)
    // Once looked at, once moved.
    this.totalBytes = 2 * this.#allocated().length * disk.image.table.blockBytes
  }

  step(): boolean {
    if (!this.#alterations.poll()) return false
    switch (this.#phase) {
      case 'begin':
        this.#phase = 'scan'
        this.#alter(() => FileStatus.OK)
        return false
      case 'scan':
        this.#scan()
        return false
      case 'move':
        this.#move()
        return false
      case 'cut':
        this.#phase = 'done'
        this.#alter((file) => this.#cut(file), true)
        return false
      case 'done':
        this.doneBytes = this.totalBytes
        return true
    }
  }

  /** Looks for blocks that are nothing but zeros. */
  #scan(): void {
    const { image, file } = this.#disk
    const { table } = image
    for (let left = STEP_BYTES; left > 0 && this.#block < table.blockCount;) {
      const entry = table.entry(table.indexOf(this.#block))
      if ((entry & 7) !== BlockState.FULLY_PRESENT) {
        this.#nextBlock()
        continue
      }
      const count = Math.min(left, table.blockBytes - this.#inBlock)
      const status = file.read((entry >>> 3) * MIB + this.#inBlock, this.#buffer, 0, count)
      if (status !== FileStatus.OK) throw fileFailure(file, `block ${this.#block}`, status, 'read')
      left -= count
      this.#inBlock += count
      const isZero = isZeros(this.#buffer, count)
      if (isZero && this.#inBlock < table.blockBytes) continue
      if (isZero) this.#zeroBlocks.push(this.#block)
      this.doneBytes += table.blockBytes
      this.#nextBlock()
      if (this.#zeroBlocks.length === BATCH) break
    }
    if (this.#zeroBlocks.length === BATCH || this.#block === table.blockCount) this.#giveUp()
    if (this.#block < table.blockCount) return
    this.#phase = 'move'
    this.#beginPass()
  }

  #nextBlock(): void {
    this.#block += 1
    this.#inBlock = 0
  }

  #giveUp(): void {
    const blocks = this.#zeroBlocks
    this.#zeroBlocks = []
    if (blocks.length === 0) return
    const { image, journal } = this.#disk
    this.#alter(() => {
      for (const block of blocks) {
        const index = image.table.indexOf(block)
        journal.free(image.table.entry(index) >>> 3, image.table.blockBytes / MIB)
        image.table.set(index, 0, BlockState.ZERO)
      }
      return FileStatus.OK
    })
  }

  /** One pass over all blocks. What a pass frees, the next one may use. */
  #beginPass(): void {
    const { table } = this.#disk.image
    this.#order = this.#allocated()
    this.#order.sort((a, b) => (table.entry(b) >>> 3) - (table.entry(a) >>> 3))
    this.#next = 0
    this.#inBlock = 0
    this.#movedAny = false
  }

  /** Copies a part of the next block that has a gap before it. */
  #move(): void {
    const { table, space } = this.#disk.image
    const under = this.#moves.at(-1)
    if (under !== undefined && this.#inBlock < entryMib(table, under.index) * MIB) {
      this.#copy(under)
      return
    }
    if (this.#moves.length === BATCH) {
      this.#commitMoves()
      return
    }
    for (; this.#next < this.#order.length; this.#next += 1) {
      const index = this.#order[this.#next]!
      const from = table.entry(index) >>> 3
      const to = space.takeGap(entryMib(table, index), from)
      if (to < 0) continue
      this.#next += 1
      this.#inBlock = 0
      this.#moves.push({ index, from, to })
      this.#movedAny = true
      return
    }
    if (this.#moves.length > 0) this.#commitMoves()
    else if (this.#movedAny) this.#beginPass()
    else this.#phase = 'cut'
  }

  #copy(move: Move): void {
    const { file, image } = this.#disk
    const field = `block at ${move.from} MiB`
    const count = Math.min(STEP_BYTES, entryMib(image.table, move.index) * MIB - this.#inBlock)
    let status = file.read(move.from * MIB + this.#inBlock, this.#buffer, 0, count)
    if (status !== FileStatus.OK) throw fileFailure(file, field, status, 'read')
    status = file.write(move.to * MIB + this.#inBlock, this.#buffer, 0, count)
    if (status !== FileStatus.OK) throw fileFailure(file, field, status, 'written')
    this.#inBlock += count
    this.doneBytes = Math.min(this.totalBytes, this.doneBytes + count)
  }

  #commitMoves(): void {
    const moves = this.#moves
    this.#moves = []
    const { image, journal } = this.#disk
    this.#alter(() => {
      for (const { index, from, to } of moves) {
        image.table.set(index, to, image.table.entry(index) & 7)
        journal.free(from, entryMib(image.table, index))
      }
      return FileStatus.OK
    })
  }

  #cut(file: BackingFile): FileStatus {
    const { space } = this.#disk.image
    const end = space.usedEndMib
    const status = file.resize(end * MIB)
    if (status === FileStatus.OK) space.setFileMib(end)
    return status
  }

  /** BAT indices of what has space in the file. */
  #allocated(): Uint32Array {
    const { table } = this.#disk.image
    const has = (index: number): boolean => (table.entry(index) & 7) >= BlockState.FULLY_PRESENT
    let count = 0
    for (let index = 0; index < table.entryCount; index += 1) if (has(index)) count += 1
    const indices = new Uint32Array(count)
    for (let index = table.entryCount - 1; index >= 0; index -= 1) {
      if (has(index)) indices[--count] = index
    }
    return indices
  }

  /** Nothing that a guest sees changes: the data keep their name. */
  #alter(apply: (file: BackingFile) => FileStatus, needsEmptyLog = false): void {
    const field = needsEmptyLog ? 'file size' : 'BAT'
    this.#alterations.order({ field, isVisible: false, needsEmptyLog, apply, applied: nothing })
  }
}

interface Move {
  /** BAT index. */
  readonly index: number
  /** MiB. */
  readonly from: number
  readonly to: number
}

function isZeros(bytes: Uint8Array, count: number): boolean {
  const words = new Uint32Array(bytes.buffer, 0, count / 4)
  for (let at = 0; at < words.length; at += 1) if (words[at] !== 0) return false
  return true
}

function nothing(): void {}
