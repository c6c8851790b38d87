// Reading the log after a crash: which entries are the newest whole sequence, and what they write (MS-VHDX 2.3.2, 2.3.3).
//
// An entry is looked at sector by sector, signatures and sequence numbers before the checksum. No sector can be the start of one
// entry and part of another, so that entries don't overlap and the whole search is linear in the log's length.

import type { Guid } from '@guestyard/hvdef'
import { readGuid } from '@guestyard/hvdef'

import type { BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { crc32c } from './crc32c.ts'
import { readField } from './file-access.ts'
import {
  FILE_MIB_MAX,
  LOG_DATA_DESCRIPTOR,
  LOG_DATA_SECTOR,
  LOG_ENTRY_SIGNATURE,
  LOG_ZERO_DESCRIPTOR,
  LogDataDescriptor,
  LogDataSector,
  LogEntryHeader,
  LogZeroDescriptor,
  MIB,
  REGION_TABLE_OFFSETS,
  SECTOR,
  readU64,
} from './format.ts'
import type { HeaderValues } from './header.ts'

const FIELD = 'log'
const DESCRIPTOR_BYTES = 32
/** What zero descriptors may zero in all: whoever needs more has no log, but a trap. */
const ZEROED_BYTES_MAX = 1024 * MIB

/** What a replay writes: pages of 4 KiB by their file offset (null: zeros), and how long the file is then at least. */
export interface Replay {
  readonly pages: ReadonlyMap<number, Uint8Array | null>
  readonly sizeBytes: number
}

/** One good entry. `at` and `end` are offsets in the log; the end may have wrapped. */
interface Entry {
  readonly at: number
  readonly end: number
  readonly tail: number
  readonly sequence: bigint
  readonly bytes: Uint8Array
}

/** Reads what the log says. Throws an `ImageError` when it has no whole sequence. */
export function readReplay(file: BackingFile, header: HeaderValues): Replay {
  const log = readField(file, FIELD, header.logOffset, header.logLength)
  const sequence = findActiveSequence(log, header.logGuid)
  const head = sequence.at(-1)
  if (head === undefined) {
    throw new ImageError(file.name, FIELD, 'it is in use, and has no whole entry')
  }
  const headView = viewOf(head.bytes)
  const flushed = readU64(headView, LogEntryHeader.at.flushedFileOffset)
  if (flushed > file.sizeBytes) {
    const problem = `the file had ${flushed} bytes and has ${file.sizeBytes}: it was cut`
    throw new ImageError(file.name, `${FIELD}: flushed file offset`, problem)
  }
  const last = readU64(headView, LogEntryHeader.at.lastFileOffset)
  if (last > FILE_MIB_MAX * MIB) {
    throw new ImageError(file.name, `${FIELD}: last file offset`, `${last} is beyond every file`)
  }
  const pages = new Map<number, Uint8Array | null>()
  const sizeBytes = Math.max(last, file.sizeBytes)
  for (const entry of sequence) collect(file, header, entry, sizeBytes, pages)
  return { pages, sizeBytes }
}

/** The newest whole sequence, oldest entry first; empty when there is none. */
function findActiveSequence(log: Uint8Array, guid: Guid): Entry[] {
  let active: Entry[] = []
  let tail = 0
  for (;;) {
    const run: Entry[] = []
    let at = tail
    for (;;) {
      const entry = readEntry(log, at, guid)
      const before = run.at(-1)
      if (entry === null || (before !== undefined && entry.sequence !== before.sequence + 1n)) break
      run.push(entry)
      at = entry.end
    }
    const head = run.at(-1)
    const first = head === undefined ? -1 : run.findIndex((entry) => entry.at === head.tail)
    const newer = head !== undefined && head.sequence > (active.at(-1)?.sequence ?? 0n)
    if (first >= 0 && newer) active = run.slice(first)
    // A run that is no sequence is none from any of its later entries either: they have the same head.
    const next = run.length === 0 ? tail + SECTOR : at
    if (next <= tail || next >= log.length) return active
    tail = next
  }
}

/** The entry at `at`, or null when there is no good one. */
function readEntry(log: Uint8Array, at: number, guid: Guid): Entry | null {
  const view = viewOf(log)
  if (view.getUint32(at, true) !== LOG_ENTRY_SIGNATURE) return null
  const length = view.getUint32(at + LogEntryHeader.at.entryLength, true)
  const tail = view.getUint32(at + LogEntryHeader.at.tail, true)
  const count = view.getUint32(at + LogEntryHeader.at.descriptorCount, true)
  const sequence = view.getBigUint64(at + LogEntryHeader.at.sequenceNumber, true)
  if (length === 0 || length % SECTOR !== 0 || length > log.length) return null
  if (sequence === 0n || tail % SECTOR !== 0 || tail >= log.length) return null
  if (readGuid(view, at + LogEntryHeader.at.logGuid) !== guid) return null
  const descriptorSectors = Math.ceil((LogEntryHeader.size + count * DESCRIPTOR_BYTES) / SECTOR)
  if (descriptorSectors * SECTOR > length) return null

  // The ring's end may lie inside: sectors never do.
  const sectorAt = (index: number): number => (at + index * SECTOR) % log.length
  let dataSectors = 0
  for (let index = 0; index < count; index += 1) {
    const byte = LogEntryHeader.size + index * DESCRIPTOR_BYTES
    const place = sectorAt(Math.floor(byte / SECTOR)) + (byte % SECTOR)
    const signature = view.getUint32(place, true)
    const numbered = view.getBigUint64(place + LogDataDescriptor.at.sequenceNumber, true)
    if (numbered !== sequence) return null
    if (signature === LOG_DATA_DESCRIPTOR) dataSectors += 1
    else if (signature !== LOG_ZERO_DESCRIPTOR) return null
  }
  if ((descriptorSectors + dataSectors) * SECTOR !== length) return null
  const low = Number(sequence & 0xffff_ffffn)
  const high = Number(sequence >> 32n)
  for (let index = 0; index < dataSectors; index += 1) {
    const place = sectorAt(descriptorSectors + index)
    if (view.getUint32(place, true) !== LOG_DATA_SECTOR) return null
    if (view.getUint32(place + LogDataSector.at.sequenceHigh, true) !== high) return null
    if (view.getUint32(place + LogDataSector.at.sequenceLow, true) !== low) return null
  }

  const bytes = new Uint8Array(length)
  const firstPart = Math.min(length, log.length - at)
  bytes.set(log.subarray(at, at + firstPart))
  bytes.set(log.subarray(0, length - firstPart), firstPart)
  const checksum = view.getUint32(at + LogEntryHeader.at.checksum, true)
  if (crc32c(bytes, 0, length, LogEntryHeader.at.checksum) !== checksum) return null
  return { at, end: (at + length) % log.length, tail, sequence, bytes }
}

/** Adds what an entry writes. */
function collect(
  file: BackingFile,
  header: HeaderValues,
  entry: Entry,
  sizeBytes: number,
  pages: Map<number, Uint8Array | null>,
): void {
  const view = viewOf(entry.bytes)
  const count = view.getUint32(LogEntryHeader.at.descriptorCount, true)
  let data = Math.ceil((LogEntryHeader.size + count * DESCRIPTOR_BYTES) / SECTOR) * SECTOR
  let zeroed = 0
  for (let index = 0; index < count; index += 1) {
    const at = LogEntryHeader.size + index * DESCRIPTOR_BYTES
    const field = `${FIELD}: entry ${entry.sequence}, descriptor ${index}`
    const offset = readU64(view, at + LogDataDescriptor.at.fileOffset)
    const isData = view.getUint32(at, true) === LOG_DATA_DESCRIPTOR
    const length = isData ? SECTOR : readU64(view, at + LogZeroDescriptor.at.zeroLength)
    if (!isData) zeroed += length
    const inLog = offset < header.logOffset + header.logLength && offset + length > header.logOffset
    if (
      offset % SECTOR !== 0 ||
      length % SECTOR !== 0 ||
      offset < REGION_TABLE_OFFSETS[0] ||
      offset + length > sizeBytes ||
      zeroed > ZEROED_BYTES_MAX ||
      inLog
    ) {
      throw new ImageError(file.name, field, `${length} bytes at ${offset} are not to be written`)
    }
    if (isData) {
      pages.set(offset, restore(entry.bytes, at, data))
      data += SECTOR
    } else {
      for (let done = 0; done < length; done += SECTOR) pages.set(offset + done, null)
    }
  }
}

/** The sector as it was before the log took twelve of its bytes into the descriptor. */
function restore(entry: Uint8Array, descriptor: number, data: number): Uint8Array {
  const page = entry.slice(data, data + SECTOR)
  const { leadingBytes, trailingBytes } = LogDataDescriptor.at
  page.set(entry.subarray(descriptor + leadingBytes, descriptor + leadingBytes + 8), 0)
  page.set(entry.subarray(descriptor + trailingBytes, descriptor + trailingBytes + 4), SECTOR - 4)
  return page
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
