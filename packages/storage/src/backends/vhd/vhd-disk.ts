// HOT: a disk in a VHD file. Fixed, it is the file's bytes; dynamic, a table says where each block is, and new ones go to the end.
//
// What a dynamic file promises when the power goes: the table points only at blocks that are durable, and a block that nothing
// points at is not there. So a new block is written first (behind it the footer, where its copy at 0 stands in meanwhile), and
// its table entry by the next flush, after a sync. Bytes that no entry covers are cut off when the footer behind them is missing.

import { FileStatus } from '../backing-file.ts'
import type { BackingFile } from '../backing-file.ts'
import { DiskOperation, DiskStatus } from '../disk.ts'
import type { DiskGeometry, DiskRequest } from '../disk.ts'
import { FileDisk } from '../file-disk.ts'
import type { BlockStore } from '../file-disk.ts'
import { diskStatusOf } from '../file-status.ts'
import { writeZeros } from '../zeros.ts'
import { ImageError } from '../image.ts'
import { PieceWalk } from '../piece-walk.ts'
import { RawDisk } from '../raw-disk.ts'
import type { SparseDisk } from '../sparse-disk.ts'
import type { LateTables } from '../sync-queue.ts'
import { BlockTable } from './block-table.ts'
import { ABSENT, SECTOR_BYTES, bitmapBytesOf } from './format.ts'
import { readLayout } from './structures.ts'
import type { VhdLayout } from './structures.ts'

export interface VhdOptions {
  /** Asked for; a file that is only read makes the disk so as well. */
  readonly readOnly?: boolean
}

/**
 * Opens a fixed or dynamic VHD; the disk owns the file from then on, and closes it. Throws an ImageError that names the field; the
 * file is as it was then. Opened for writing, an image that was cut off by a power loss gets its last footer back.
 */
export function openVhd(file: BackingFile, options: VhdOptions = {}): FileDisk {
  const readOnly = file.readOnly || options.readOnly === true
  const layout = readLayout(file)
  const { sizeBytes, uniqueId } = layout
  if (layout.kind === 'fixed') {
    const blocks = { logicalBlockBytes: 512, physicalBlockBytes: 512 } as const
    return new RawDisk(file, { ...blocks, sizeBytes, uniqueId, readOnly })
  }
  const table = BlockTable.read(file, layout)
  return new DynamicVhd(file, new VhdBlocks(file, layout, table, readOnly), {
    logicalBlockBytes: 512,
    physicalBlockBytes: 512,
    blockCount: sizeBytes / SECTOR_BYTES,
    readOnly,
    canUnmap: false, // a block can't be given back but by writing the file anew
    unmapReadsZeros: false,
    uniqueId,
  })
}

/** A dynamic disk knows which of its blocks nobody has written. */
class DynamicVhd extends FileDisk implements SparseDisk {
  readonly #blocks: VhdBlocks

  constructor(file: BackingFile, blocks: VhdBlocks, geometry: DiskGeometry) {
    super(file, blocks, geometry)
    this.#blocks = blocks
  }

  nextData(block: number): number {
    return Math.min(this.#blocks.nextData(block), this.geometry.blockCount)
  }
}

class VhdBlocks implements BlockStore, LateTables {
  readonly #file: BackingFile
  readonly #table: Uint32Array
  readonly #tableOffset: number
  readonly #blockBytes: number
  readonly #bitmapBytes: number
  readonly #footer: Uint8Array
  /** A new block's bitmap: all of its sectors are there. */
  readonly #ones: Uint8Array
  readonly #walk = new PieceWalk()
  readonly #word = new Uint8Array(4)
  /** Where the next block goes, and the footer is. */
  #end: number
  /** New blocks, whose entries are not in the file: since the latest sync began, and before it. */
  #fresh: number[] = []
  #covered: number[] = []

  constructor(file: BackingFile, layout: VhdLayout, table: BlockTable, readOnly: boolean) {
    this.#file = file
    this.#table = table.entries
    this.#tableOffset = layout.tableOffset
    this.#blockBytes = layout.blockBytes
    this.#bitmapBytes = bitmapBytesOf(layout.blockBytes)
    this.#footer = layout.footer
    this.#ones = new Uint8Array(this.#bitmapBytes).fill(0xff)
    const footerAt = file.sizeBytes - SECTOR_BYTES
    this.#end = layout.endFooterFound ? roundUp(footerAt) : table.endBytes
    if (!layout.endFooterFound && !readOnly) this.#repair()
  }

  get tables(): LateTables {
    return this
  }

  /** The first sector from this one on that is in the file; beyond the disk when there is none. */
  nextData(sector: number): number {
    const blockSectors = this.#blockBytes / SECTOR_BYTES
    let block = Math.floor(sector / blockSectors)
    if (this.#table[block] !== ABSENT) return sector
    while (this.#table[block] === ABSENT) block += 1
    return block * blockSectors
  }

  transfer(request: DiskRequest): DiskStatus {
    const isRead = request.operation === DiskOperation.READ
    let position = request.block * SECTOR_BYTES
    let leftBytes = request.blockCount * SECTOR_BYTES
    this.#walk.begin(request.data)
    while (leftBytes > 0) {
      const block = Math.floor(position / this.#blockBytes)
      const inside = position - block * this.#blockBytes
      const partBytes = Math.min(leftBytes, this.#blockBytes - inside)
      const status = isRead
        ? this.#read(block, inside, partBytes)
        : this.#write(block, inside, partBytes)
      if (status !== FileStatus.OK) return isRead ? DiskStatus.READ_ERROR : diskStatusOf(status)
      position += partBytes
      leftBytes -= partBytes
    }
    return DiskStatus.OK
  }

  zero(position: number, lengthBytes: number): DiskStatus {
    const end = position + lengthBytes
    while (position < end) {
      const block = Math.floor(position / this.#blockBytes)
      const inside = position - block * this.#blockBytes
      const partBytes = Math.min(end - position, this.#blockBytes - inside)
      if (this.#table[block] !== ABSENT) {
        const status = writeZeros(this.#file, this.#dataAt(block) + inside, partBytes)
        if (status !== FileStatus.OK) return diskStatusOf(status)
      }
      position += partBytes
    }
    return DiskStatus.OK
  }

  begin(): boolean {
    for (const block of this.#fresh) this.#covered.push(block)
    this.#fresh = []
    return this.#covered.length > 0
  }

  write(): FileStatus {
    const view = new DataView(this.#word.buffer)
    for (let block = this.#covered.pop(); block !== undefined; block = this.#covered.pop()) {
      view.setUint32(0, this.#table[block]!)
      const status = this.#file.write(this.#tableOffset + block * 4, this.#word, 0, 4)
      if (status === FileStatus.OK) continue
      this.#covered.push(block)
      return status
    }
    return FileStatus.OK
  }

  #read(block: number, inside: number, lengthBytes: number): FileStatus {
    if (this.#table[block] !== ABSENT) {
      return this.#walk.read(this.#file, this.#dataAt(block) + inside, lengthBytes)
    }
    this.#walk.zero(lengthBytes)
    return FileStatus.OK
  }

  #write(block: number, inside: number, lengthBytes: number): FileStatus {
    if (this.#table[block] === ABSENT) {
      const status = this.#allocate(block)
      if (status !== FileStatus.OK) return status
    }
    return this.#walk.write(this.#file, this.#dataAt(block) + inside, lengthBytes)
  }

  #dataAt(block: number): number {
    return this.#table[block]! * SECTOR_BYTES + this.#bitmapBytes
  }

  /** A block of zeros at the file's end. It reads as such from its first moment: the file grows by a hole. */
  #allocate(block: number): FileStatus {
    const at = this.#end
    const next = at + this.#bitmapBytes + this.#blockBytes
    let status = this.#file.write(next, this.#footer, 0, SECTOR_BYTES)
    if (status === FileStatus.OK) status = this.#file.write(at, this.#ones, 0, this.#bitmapBytes)
    if (status !== FileStatus.OK) {
      this.#file.write(at, this.#footer, 0, SECTOR_BYTES)
      this.#file.resize(at + SECTOR_BYTES)
      return status
    }
    this.#table[block] = at / SECTOR_BYTES
    this.#fresh.push(block)
    this.#end = next
    return FileStatus.OK
  }

  /** Cuts off what no entry covers, and writes the footer there. */
  #repair(): void {
    let status = this.#file.resize(this.#end)
    if (status === FileStatus.OK) {
      status = this.#file.write(this.#end, this.#footer, 0, SECTOR_BYTES)
    }
    if (status !== FileStatus.OK) {
      throw new ImageError(this.#file.name, 'footer', `can't be written: ${this.#file.lastError}`)
    }
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES
}
