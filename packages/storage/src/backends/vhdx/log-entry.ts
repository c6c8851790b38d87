// Writing a log entry: pages of 4 KiB and where they belong, as one row of sectors with one checksum (MS-VHDX 2.3.1).

import { writeGuid } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

import { crc32c } from './crc32c.ts'
import {
  LOG_DATA_DESCRIPTOR,
  LOG_DATA_SECTOR,
  LOG_ENTRY_SIGNATURE,
  LogDataDescriptor,
  LogDataSector,
  LogEntryHeader,
  SECTOR,
  writeU64,
} from './format.ts'

/** Most pages in an entry of ours. Three entries of 85 sectors fit the smallest log: see Journal. */
export const ENTRY_PAGES_MAX = 84

/** Bytes of an entry with so many pages, up to ENTRY_PAGES_MAX: their descriptors are all in the first sector. */
export function entryBytes(pages: number): number {
  return (1 + pages) * SECTOR
}

export interface EntryValues {
  readonly logGuid: Guid
  /** Offset of this entry in the log: it is its own tail, since all that came before is in its place already. */
  readonly at: number
  readonly sequence: number
  readonly flushedBytes: number
  readonly lastBytes: number
}

/** Builds an entry in `into`, from `count` pages in a row and their offsets in the file. */
export function encodeLogEntry(
  into: Uint8Array,
  values: EntryValues,
  pages: Uint8Array,
  offsets: Float64Array,
  count: number,
): void {
  const view = new DataView(into.buffer, into.byteOffset, into.length)
  into.fill(0, 0, SECTOR)
  const header = LogEntryHeader.at
  view.setUint32(header.signature, LOG_ENTRY_SIGNATURE, true)
  view.setUint32(header.entryLength, entryBytes(count), true)
  view.setUint32(header.tail, values.at, true)
  writeU64(view, header.sequenceNumber, values.sequence)
  view.setUint32(header.descriptorCount, count, true)
  writeGuid(view, header.logGuid, values.logGuid)
  writeU64(view, header.flushedFileOffset, values.flushedBytes)
  writeU64(view, header.lastFileOffset, values.lastBytes)
  for (let row = 0; row < count; row += 1) {
    const page = row * SECTOR
    const at = LogEntryHeader.size + row * LogDataDescriptor.size
    const descriptor = LogDataDescriptor.at
    view.setUint32(at, LOG_DATA_DESCRIPTOR, true)
    into.set(pages.subarray(page + SECTOR - 4, page + SECTOR), at + descriptor.trailingBytes)
    into.set(pages.subarray(page, page + 8), at + descriptor.leadingBytes)
    writeU64(view, at + descriptor.fileOffset, offsets[row]!)
    writeU64(view, at + descriptor.sequenceNumber, values.sequence)
    const sector = (1 + row) * SECTOR
    into.set(pages.subarray(page, page + SECTOR), sector)
    view.setUint32(sector, LOG_DATA_SECTOR, true)
    view.setUint32(
      sector + LogDataSector.at.sequenceHigh,
      Math.floor(values.sequence / 2 ** 32),
      true,
    )
    view.setUint32(sector + LogDataSector.at.sequenceLow, values.sequence >>> 0, true)
  }
  view.setUint32(header.checksum, crc32c(into, 0, entryBytes(count), header.checksum), true)
}
