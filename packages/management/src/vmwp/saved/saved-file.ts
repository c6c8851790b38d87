// The file of a saved machine: sections under one table, each with its checksum. What is wrong with a file is one line, and nothing of it
// is used then. Checksums find accidents; whoever can write a file can make one up, which is why records are taken as a guest's word.
//
//   "GYSAVED\n" | u32 version | u32 sections | u32 CRC-32 of the table | u32 0
//   table: for each section  name, 16 bytes of ASCII | f64 bytes | u32 CRC-32 | u32 0
//   ram: runs of pages that are not all zeros: u32 first page | u32 pages | u32 bytes | deflated bytes
//   state: MessagePack
//
// RAM comes first, since it is written while the machine stands still; what its disks look like once they are closed is in the state.

import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib'
import { Packr } from 'msgpackr'

/** What is wrong with a file, or keeps it from being written. Its message says so, on one line. */
export class SavedFileError extends Error {
  override readonly name = 'SavedFileError'
}

/** A saved machine. */
export interface SavedFile {
  /** Records of whoever saved it: plain data. */
  readonly state: unknown
  readonly ram: Uint8Array
}

const MAGIC = 'GYSAVED\n'
const FILE_VERSION = 2
const HEADER_BYTES = 24
const ROW_BYTES = 32
const NAME_BYTES = 16
const NAMES = ['ram', 'state'] as const
const PAGE = 4096
/** Pages of one run. */
const RUN_PAGES = 256
const RUN_HEADER_BYTES = 12

const codec = new Packr({ useRecords: false, mapsAsObjects: true })

/** A file that has its RAM and no name yet. */
export interface StagedFile {
  /** Gives it its records and its name: a file that had the name is replaced. Throws what the host says, and leaves nothing then. */
  commit(state: unknown): void
  /** It is not wanted. */
  abandon(): void
}

/** Whole, or not at all. `ram`: whole pages. Throws what the host says. */
export function writeSavedFile(path: string, { state, ram }: SavedFile): void {
  stageSavedFile(path, ram).commit(state)
}

/** Writes RAM, whole pages, as it is now, beside `path`. Throws what the host says, and leaves nothing then. */
export function stageSavedFile(path: string, ram: Uint8Array): StagedFile {
  const partial = `${path}.${randomUUID()}`
  const file = openSync(partial, 'wx')
  const abandon = (): void => {
    closeSync(file)
    rmSync(partial, { force: true })
  }
  const ramStart = HEADER_BYTES + NAMES.length * ROW_BYTES
  try {
    const packed = packRam(ram)
    const ramRow = { bytes: packed.length, crc: crc32(packed) }
    writeAll(file, packed, ramStart)
    return {
      abandon,
      commit(state) {
        try {
          const records = codec.pack(state)
          writeAll(file, records, ramStart + ramRow.bytes)
          const rows = [ramRow, { bytes: records.length, crc: crc32(records) }]
          writeAll(file, headOf(rows), 0)
          fsyncSync(file)
          renameSync(partial, path)
        } catch (error) {
          abandon()
          throw error
        }
        closeSync(file)
      },
    }
  } catch (error) {
    abandon()
    throw error
  }
}

interface SectionRow {
  readonly bytes: number
  readonly crc: number
}

/** Header and table. */
function headOf(sections: readonly SectionRow[]): Uint8Array {
  const table = new Uint8Array(ROW_BYTES * sections.length)
  const rows = new DataView(table.buffer)
  for (const [index, { bytes, crc }] of sections.entries()) {
    const at = index * ROW_BYTES
    table.set(new TextEncoder().encode(NAMES[index]), at)
    rows.setFloat64(at + NAME_BYTES, bytes, true)
    rows.setUint32(at + NAME_BYTES + 8, crc, true)
  }
  const header = new Uint8Array(HEADER_BYTES)
  const view = new DataView(header.buffer)
  header.set(new TextEncoder().encode(MAGIC))
  view.setUint32(8, FILE_VERSION, true)
  view.setUint32(12, sections.length, true)
  view.setUint32(16, crc32(table), true)
  return Buffer.concat([header, table])
}

function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length;) {
    at += writeSync(file, bytes, at, bytes.length - at, position + at)
  }
}

/** Of a machine with so much RAM. Throws a SavedFileError that names the file, in one line. */
export function readSavedFile(path: string, ramBytes: number): SavedFile {
  const problem = (what: string): SavedFileError => new SavedFileError(`${path}: ${what}`)
  let file: Uint8Array
  try {
    file = readFileSync(path)
  } catch (error) {
    throw problem(error instanceof Error ? error.message : String(error))
  }
  const sections = sectionsOf(file)
  if (typeof sections === 'string') throw problem(sections)
  const ram = unpackRam(sections.ram, ramBytes)
  if (typeof ram === 'string') throw problem(ram)
  try {
    return { state: codec.unpack(sections.state), ram }
  } catch {
    throw problem('its records are damaged')
  }
}

interface Sections {
  readonly state: Uint8Array
  readonly ram: Uint8Array
}

function sectionsOf(file: Uint8Array): Sections | string {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  if (file.length < HEADER_BYTES) return 'no saved machine'
  if (textOf(file.subarray(0, 8)) !== MAGIC) return 'no saved machine'
  const version = view.getUint32(8, true)
  if (version !== FILE_VERSION) return `saved in format ${version}, and ${FILE_VERSION} is known`
  const tableEnd = HEADER_BYTES + NAMES.length * ROW_BYTES
  if (view.getUint32(12, true) !== NAMES.length || file.length < tableEnd) return 'it is damaged'
  if (view.getUint32(20, true) !== 0) return 'it is damaged'
  if (crc32(file.subarray(HEADER_BYTES, tableEnd)) !== view.getUint32(16, true)) {
    return 'it is damaged'
  }
  let at = tableEnd
  const found: Uint8Array[] = []
  for (const [index, name] of NAMES.entries()) {
    const row = HEADER_BYTES + index * ROW_BYTES
    const length = view.getFloat64(row + NAME_BYTES, true)
    const named = textOf(file.subarray(row, row + NAME_BYTES)).replace(/\0+$/, '')
    if (named !== name) return 'it is damaged'
    if (!Number.isSafeInteger(length) || length < 0 || length > file.length - at) {
      return 'it is cut short'
    }
    const bytes = file.subarray(at, at + length)
    if (crc32(bytes) !== view.getUint32(row + NAME_BYTES + 8, true)) return 'it is damaged'
    found.push(bytes)
    at += length
  }
  const [ram, state] = found
  if (at !== file.length || state === undefined || ram === undefined) return 'it is damaged'
  return { state, ram }
}

function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

function packRam(ram: Uint8Array): Uint8Array {
  const total = new Uint8Array(8)
  new DataView(total.buffer).setFloat64(0, ram.length, true)
  const parts: Uint8Array[] = [total]
  const pages = ram.length / PAGE
  for (let page = 0; page < pages;) {
    if (isZero(ram, page)) {
      page += 1
      continue
    }
    let end = page + 1
    while (end < pages && end - page < RUN_PAGES && !isZero(ram, end)) end += 1
    // A copy: what is shared can't be compressed.
    const bytes = deflateRawSync(ram.slice(page * PAGE, end * PAGE), { level: 1 })
    const header = new DataView(new ArrayBuffer(RUN_HEADER_BYTES))
    for (const [index, word] of [page, end - page, bytes.length].entries()) {
      header.setUint32(index * 4, word, true)
    }
    parts.push(new Uint8Array(header.buffer), bytes)
    page = end
  }
  return Buffer.concat(parts)
}

function unpackRam(packed: Uint8Array, ramBytes: number): Uint8Array | string {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  if (packed.length < 8) return 'it is damaged'
  const savedBytes = view.getFloat64(0, true)
  if (savedBytes !== ramBytes) {
    return `saved with ${savedBytes} bytes of RAM, and the machine has ${ramBytes}`
  }
  const ram = new Uint8Array(ramBytes)
  for (let at = 8; at < packed.length;) {
    if (packed.length - at < RUN_HEADER_BYTES) return 'it is damaged'
    const page = view.getUint32(at, true)
    const count = view.getUint32(at + 4, true)
    const length = view.getUint32(at + 8, true)
    at += RUN_HEADER_BYTES
    if (count > RUN_PAGES || (page + count) * PAGE > ramBytes) return 'it is damaged'
    if (length > packed.length - at) return 'it is damaged'
    const pages = inflated(packed.subarray(at, at + length), count * PAGE)
    if (pages === null) return 'it is damaged'
    ram.set(pages, page * PAGE)
    at += length
  }
  return ram
}

/** Exactly so many bytes, or null. */
function inflated(bytes: Uint8Array, length: number): Uint8Array | null {
  try {
    const pages = inflateRawSync(bytes, { maxOutputLength: Math.max(1, length) })
    return pages.length === length ? pages : null
  } catch {
    return null
  }
}

function isZero(ram: Uint8Array, page: number): boolean {
  const words = new BigUint64Array(ram.buffer, ram.byteOffset + page * PAGE, PAGE / 8)
  return words.every((word) => word === 0n)
}
