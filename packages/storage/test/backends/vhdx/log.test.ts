// Logs as others write them: wrapped, of several entries, torn, with zeros.

import { ImageError, openVhdx } from '@guestyard/storage'
import { readGuid } from '@guestyard/hvdef'
import { expect, test } from 'vitest'

import { crc32c } from '../../../src/backends/vhdx/crc32c.ts'
import { encodeHeader, readHeaders } from '../../../src/backends/vhdx/header.ts'
import { encodeLogEntry, entryBytes } from '../../../src/backends/vhdx/log-entry.ts'
import { readReplay } from '../../../src/backends/vhdx/log-replay.ts'
import { SparseFile, type SparseBytes } from '../../support/sparse-file.ts'
import {
  MIB,
  filled,
  flush,
  newGuid,
  newImage,
  openCopy,
  read,
  write,
} from '../../support/vhdx-images.ts'

const LOG = MIB
const SECTOR = 4096
/** Any place where a log may write: behind everything in use. */
const TARGET = 5 * MIB
const HEADER = { checksum: 4, length: 8, tail: 12, flushed: 48, last: 56 }

/** An image whose log is in use, and its log's GUID. The log itself is empty. */
function imageInUse(): { bytes: SparseBytes; guid: ReturnType<typeof readGuid> } {
  const { disk, file } = openCopy(newImage())
  write(disk, 0, filled(512, 1))
  flush(disk)
  const bytes = file.bytes.copy()
  bytes.resize(6 * MIB)
  bytes.write(LOG, new Uint8Array(MIB), 0, MIB)
  return { bytes, guid: disk.journal.header.logGuid }
}

interface NewEntry {
  readonly at: number
  readonly sequence: number
  readonly tail?: number
  /** Bytes of the page at TARGET + 4096 x row. */
  readonly pages: readonly number[]
  readonly firstRow?: number
}

function entryOf(guid: ReturnType<typeof readGuid>, entry: NewEntry): Uint8Array {
  const bytes = new Uint8Array(entryBytes(entry.pages.length))
  const pages = new Uint8Array(entry.pages.length * SECTOR)
  const offsets = new Float64Array(entry.pages.length)
  for (const [row, value] of entry.pages.entries()) {
    pages.fill(value, row * SECTOR, (row + 1) * SECTOR)
    offsets[row] = TARGET + (row + (entry.firstRow ?? 0)) * SECTOR
  }
  const { at, sequence } = entry
  const values = { logGuid: guid, at, sequence, flushedBytes: 6 * MIB, lastBytes: 6 * MIB }
  encodeLogEntry(bytes, values, pages, offsets, entry.pages.length)
  if (entry.tail !== undefined) patch(bytes, HEADER.tail, entry.tail)
  return bytes
}

/** Changes a word of an entry's header, and its checksum. */
function patch(entry: Uint8Array, at: number, value: number): void {
  const view = new DataView(entry.buffer)
  view.setUint32(at, value, true)
  view.setUint32(HEADER.checksum, crc32c(entry, 0, entry.length, HEADER.checksum), true)
}

function put(image: SparseBytes, at: number, entry: Uint8Array): void {
  for (let done = 0; done < entry.length; done += SECTOR) {
    image.write(LOG + ((at + done) % MIB), entry, done, SECTOR)
  }
}

/** First byte of each page that a log writes, by row; null: zeros. Null when the log is refused. */
function replayed(image: SparseBytes): Map<number, number | null> | null {
  const file = new SparseFile({ bytes: image })
  try {
    const { pages } = readReplay(file, readHeaders(file).current)
    const rows = [...pages].map(
      ([offset, page]) => [(offset - TARGET) / SECTOR, page === null ? null : page[0]!] as const,
    )
    for (const page of pages.values()) {
      if (page !== null) expect(page.every((byte) => byte === page[0])).toBe(true)
    }
    return new Map(rows)
  } catch (error) {
    expect(error).toBeInstanceOf(ImageError)
    return null
  }
}

test('an entry that goes over the end of the ring is replayed', () => {
  const { bytes, guid } = imageInUse()
  const at = MIB - 2 * SECTOR
  put(bytes, at, entryOf(guid, { at, sequence: 9, pages: [1, 2, 3] }))
  expect([...replayed(bytes)!]).toEqual([
    [0, 1],
    [1, 2],
    [2, 3],
  ])
})

test('a sequence is replayed from its tail on, later entries over earlier ones', () => {
  const { bytes, guid } = imageInUse()
  put(bytes, 0, entryOf(guid, { at: 0, sequence: 5, pages: [7] }))
  put(bytes, 8192, entryOf(guid, { at: 8192, sequence: 6, tail: 8192, pages: [1], firstRow: 1 }))
  put(
    bytes,
    16384,
    entryOf(guid, { at: 16384, sequence: 7, tail: 8192, pages: [2, 3], firstRow: 1 }),
  )
  expect([...replayed(bytes)!]).toEqual([
    [1, 2],
    [2, 3],
  ])
})

test('a sequence may go over the end of the ring', () => {
  const { bytes, guid } = imageInUse()
  const at = MIB - 8192
  put(bytes, at, entryOf(guid, { at, sequence: 5, pages: [1] }))
  put(bytes, 0, entryOf(guid, { at: 0, sequence: 6, tail: at, pages: [2], firstRow: 1 }))
  expect([...replayed(bytes)!]).toEqual([
    [0, 1],
    [1, 2],
  ])
})

test('a newest entry that is torn counts for nothing, at each of its sectors', () => {
  for (let torn = 0; torn < 3; torn += 1) {
    const { bytes, guid } = imageInUse()
    put(bytes, 0, entryOf(guid, { at: 0, sequence: 5, pages: [1] }))
    put(bytes, 8192, entryOf(guid, { at: 8192, sequence: 6, pages: [2, 3] }))
    bytes.write(LOG + 8192 + torn * SECTOR + 512, filled(512, 0xaa), 0, 512)
    expect([...replayed(bytes)!]).toEqual([[0, 1]])
  }
})

test('of two sequences the newer counts, and none of another log', () => {
  const { bytes, guid } = imageInUse()
  put(bytes, 0, entryOf(guid, { at: 0, sequence: 50, pages: [1] }))
  put(bytes, 40960, entryOf(guid, { at: 40960, sequence: 51, pages: [2] }))
  put(bytes, 81920, entryOf(newGuid(), { at: 81920, sequence: 99, pages: [3] }))
  expect([...replayed(bytes)!]).toEqual([[0, 2]])
})

test('a sequence whose tail is not there is none', () => {
  const { bytes, guid } = imageInUse()
  put(bytes, 40960, entryOf(guid, { at: 40960, sequence: 6, tail: 8192, pages: [2] }))
  expect(replayed(bytes)).toBeNull()
})

test('a long log of entries that make no sequence is searched in no time', () => {
  const { bytes, guid } = imageInUse()
  const logOffset = 6 * MIB
  const logLength = 16 * MIB
  bytes.resize(logOffset + logLength)
  const { current } = readHeaders(new SparseFile({ bytes }))
  for (const slot of [1, 2]) {
    const header = encodeHeader({
      ...current,
      logOffset,
      logLength,
      sequenceNumber: BigInt(99 + slot),
    })
    bytes.write(slot * 64 * 1024, header, 0, header.length)
  }
  for (let at = 0; at < logLength; at += SECTOR) {
    const sequence = 1 + at / SECTOR
    const tail = at === 0 ? 0 : logLength - SECTOR
    bytes.write(logOffset + at, entryOf(guid, { at, sequence, tail, pages: [] }), 0, SECTOR)
  }
  // The last entry would be its own tail: it is torn.
  bytes.write(logOffset + logLength - 512, filled(512, 1), 0, 512)
  const began = performance.now()
  expect(replayed(bytes)).toBeNull()
  expect(performance.now() - began).toBeLessThan(2000)
})

test('a file that is shorter than its log says was cut', () => {
  const { bytes, guid } = imageInUse()
  const entry = entryOf(guid, { at: 0, sequence: 1, pages: [1] })
  patch(entry, HEADER.flushed, 7 * MIB)
  put(bytes, 0, entry)
  const open = (): unknown => openVhdx(new SparseFile({ bytes }), { newGuid })
  expect(open).toThrow(
    /flushed file offset: the file had 7340032 bytes and has 6291456: it was cut/,
  )
})

test('a log may make the file longer, but never write beyond, nor over headers or itself', () => {
  for (const [offset, isGood] of [
    [6 * MIB, false],
    [8 * MIB - SECTOR, true],
    [8 * MIB, false],
    [64 * 1024, false],
    [LOG + 65536, false],
  ] as const) {
    const { bytes, guid } = imageInUse()
    const entry = entryOf(guid, { at: 0, sequence: 1, pages: [1] })
    patch(entry, HEADER.last, isGood || offset === 8 * MIB ? 8 * MIB : 6 * MIB)
    patch(entry, 64 + 16, offset)
    put(bytes, 0, entry)
    expect(replayed(bytes) !== null).toBe(isGood)
  }
})

test('zeros are replayed without a sector for each, up to a limit', () => {
  for (const [length, isGood] of [
    [8192, true],
    [100, false],
    [2 ** 31, false],
  ] as const) {
    const { bytes, guid } = imageInUse()
    const entry = entryOf(guid, { at: 0, sequence: 1, pages: [1] }).slice(0, SECTOR)
    const view = new DataView(entry.buffer)
    view.setUint32(HEADER.length, SECTOR, true)
    view.setUint32(64, 0x6f72_657a, true)
    view.setUint32(68, 0, true)
    patch(entry, 72, length)
    view.setUint32(76, 0, true)
    patch(entry, 72, length)
    put(bytes, 0, entry)
    const rows = replayed(bytes)
    expect(rows === null ? null : [...rows]).toEqual(
      isGood
        ? [
            [0, null],
            [1, null],
          ]
        : null,
    )
  }
})

test('a log is replayed into the file when that is opened for writing, and only then', () => {
  const { disk, file } = openCopy(newImage())
  write(disk, MIB, filled(4096, 5))
  flush(disk)
  // The last pages never came to their places.
  const bat = new Uint8Array(SECTOR)
  const { bytes } = file
  bytes.write(3 * MIB, bat, 0, SECTOR)
  const before = Buffer.from(bytes.bytes())
  const { disk: reader } = openCopy(bytes, { readOnly: true })
  expect(read(reader, MIB, 4096)).toEqual(filled(4096, 5))
  expect(before.equals(bytes.bytes())).toBe(true)
  const { disk: writer, file: written } = openCopy(bytes)
  expect(read(writer, MIB, 4096)).toEqual(filled(4096, 5))
  written.bytes.read(3 * MIB, bat, 0, SECTOR)
  expect(bat.some((byte) => byte !== 0)).toBe(true)
  expect(readGuid(new DataView(headerOf(written.bytes)), 48)).toMatch(/^0{8}-/)
})

/** The bytes of the current header. */
function headerOf(bytes: SparseBytes): ArrayBuffer {
  const slot = readHeaders(new SparseFile({ bytes, readOnly: true })).currentSlot
  const header = new Uint8Array(SECTOR)
  bytes.read((slot + 1) * 64 * 1024, header, 0, SECTOR)
  return header.buffer
}
