// Room for an item of the metadata that got longer.

import type { Guid } from '@guestyard/hvdef'

import type { BackingFile, FileStatus } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { readField } from './file-access.ts'
import { METADATA_TABLE_BYTES, MetadataTableEntry, MetadataTableHeader, SECTOR } from './format.ts'
import type { Journal } from './journal.ts'
import { patchPages } from './loose-pages.ts'
import type { Region } from './regions.ts'

export interface ItemPlan {
  /** Logs the item, and the table's entry of it. */
  apply(file: BackingFile, journal: Journal): FileStatus
}

/** Looks for a place for an item that is there already: where it was, or behind all others. Throws an `ImageError`. */
export function planItem(
  file: BackingFile,
  region: Region,
  itemId: Guid,
  bytes: Uint8Array,
): ItemPlan {
  const table = readField(file, 'metadata table', region.offset, METADATA_TABLE_BYTES)
  const view = new DataView(table.buffer)
  const { entryCount } = MetadataTableHeader.decode(view)
  let entryAt = 0
  let place = 0
  let othersEnd = METADATA_TABLE_BYTES
  for (let index = 0; index < entryCount; index += 1) {
    const at = MetadataTableHeader.size + index * MetadataTableEntry.size
    const entry = MetadataTableEntry.decode(view, at)
    if (entry.itemId === itemId) {
      entryAt = at
      place = entry.offset
    } else othersEnd = Math.max(othersEnd, entry.offset + entry.length)
  }
  if (place < othersEnd) place = Math.ceil(othersEnd / SECTOR) * SECTOR
  if (place + bytes.length > region.length) {
    throw new ImageError(file.name, 'metadata region', `no room for ${bytes.length} bytes more`)
  }
  const row = new Uint8Array(8)
  new DataView(row.buffer).setUint32(0, place, true)
  new DataView(row.buffer).setUint32(4, bytes.length, true)
  const rowAt = region.offset + entryAt + MetadataTableEntry.at.offset
  return {
    apply: (target, journal) =>
      patchPages(target, journal, [
        { offset: rowAt, bytes: row },
        { offset: region.offset + place, bytes },
      ]),
  }
}
