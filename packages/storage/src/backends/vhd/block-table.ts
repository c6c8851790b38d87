// The BAT of a dynamic VHD, read and checked.

import type { BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { ABSENT, SECTOR_BYTES, bitmapBytesOf } from './format.ts'
import { readStructure, viewOf } from './structures.ts'
import type { VhdLayout } from './structures.ts'

/** Where each block is: its first sector in the file, or ABSENT. */
export class BlockTable {
  readonly entries: Uint32Array
  readonly allocatedCount: number
  /** Where the last of the structures and blocks ends. */
  readonly endBytes: number

  private constructor(entries: Uint32Array, allocatedCount: number, endBytes: number) {
    this.entries = entries
    this.allocatedCount = allocatedCount
    this.endBytes = endBytes
  }

  /** Throws an ImageError that names the entry: a block outside the file, over a structure, or over another block. */
  static read(file: BackingFile, layout: VhdLayout): BlockTable {
    const { tableOffset, tableEntries, blockBytes } = layout
    const bytes = readStructure(file, 'BAT', tableOffset, tableEntries * 4)
    const view = viewOf(bytes)
    const entries = new Uint32Array(tableEntries)
    const lastByte = file.sizeBytes - (layout.endFooterFound ? SECTOR_BYTES : 0)
    const spanBytes = bitmapBytesOf(blockBytes) + blockBytes
    let allocatedCount = 0
    for (let block = 0; block < tableEntries; block++) {
      const entry = view.getUint32(block * 4)
      entries[block] = entry
      if (entry === ABSENT) continue
      allocatedCount += 1
      const position = entry * SECTOR_BYTES
      if (position < layout.structuresEnd) {
        fail(file, block, `sector ${entry} is among the structures`)
      }
      if (position + spanBytes > lastByte) fail(file, block, 'its block ends beyond the file')
    }
    const sorted = entries.slice().sort()
    for (let index = 1; index < allocatedCount; index++) {
      if (sorted[index - 1]! * SECTOR_BYTES + spanBytes <= sorted[index]! * SECTOR_BYTES) continue
      fail(file, entries.lastIndexOf(sorted[index]!), 'its block lies over another')
    }
    const last = allocatedCount === 0 ? 0 : sorted[allocatedCount - 1]! * SECTOR_BYTES + spanBytes
    return new BlockTable(entries, allocatedCount, Math.max(layout.structuresEnd, last))
  }
}

function fail(file: BackingFile, block: number, problem: string): never {
  throw new ImageError(file.name, `BAT entry ${block}`, problem)
}
