// What a damaged or hostile file gets: an ImageError that names the field, and not one write.

import { FileStatus, ImageError, checkVhdx, openVhdx } from '@guestyard/storage'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { crc32c } from '../../../src/backends/vhdx/crc32c.ts'
import { SparseFile, type SparseBytes } from '../../support/sparse-file.ts'
import {
  MIB,
  close,
  filled,
  flush,
  newGuid,
  newImage,
  openCopy,
  parentsOf,
  read,
  referenceTo,
  write,
} from '../../support/vhdx-images.ts'

const KIB = 1024
const HEADERS = [64 * KIB, 128 * KIB]
const REGION_TABLES = [192 * KIB, 256 * KIB]
const LOG = MIB
const METADATA = 2 * MIB
const BAT = 3 * MIB

/** A dynamic image with two blocks; headers 1 and 2 are 3 and 4 or so. */
function soundImage(): SparseBytes {
  const { disk, file } = openCopy(newImage())
  write(disk, 0, filled(4096, 1))
  write(disk, 3 * MIB, filled(4096, 2))
  close(disk)
  return file.bytes
}

/** One whose log must be replayed. */
function dirtyImage(): SparseBytes {
  const { disk, file } = openCopy(newImage())
  write(disk, 0, filled(4096, 1))
  flush(disk)
  write(disk, 3 * MIB, filled(4096, 2))
  flush(disk)
  return file.bytes
}

const parent = soundImage()
const sound = soundImage()
const dirty = dirtyImage()
const child = ((): SparseBytes => {
  const { disk, file } = openCopy(newImage({ parent: referenceTo(parent) }), { parents: [parent] })
  write(disk, 4096, filled(4096, 3))
  close(disk)
  return file.bytes
})()

/** Opens for writing; nothing may be written where it fails. Its message; empty: it opened. */
function opening(bytes: SparseBytes, parents: SparseBytes[] = []): string {
  const file = new SparseFile({ bytes: bytes.copy(), name: 'disk.vhdx' })
  try {
    openVhdx(file, { newGuid, openParent: parentsOf(parents) })
    return ''
  } catch (error) {
    expect(error).toBeInstanceOf(ImageError)
    expect(file.writeCount).toBe(0)
    expect(file.closed).toBe(false)
    return (error as ImageError).message
  }
}

/** A copy with other bytes at a place, and checksums that agree with them. */
function altered(bytes: SparseBytes, position: number, value: readonly number[]): SparseBytes {
  const changed = bytes.copy()
  changed.write(position, Uint8Array.from(value), 0, value.length)
  for (const at of HEADERS) reseal(changed, at, 4096)
  for (const at of REGION_TABLES) reseal(changed, at, 64 * KIB)
  return changed
}

function reseal(bytes: SparseBytes, at: number, length: number): void {
  const part = new Uint8Array(length)
  bytes.read(at, part, 0, length)
  const sum = crc32c(part, 0, length, 4)
  new DataView(part.buffer).setUint32(4, sum, true)
  bytes.write(at + 4, part, 4, 4)
}

/** The same change in both copies. */
function inBoth(
  bytes: SparseBytes,
  places: number[],
  offset: number,
  value: number[],
): SparseBytes {
  return places.reduce((changed, at) => altered(changed, at + offset, value), bytes)
}

const u32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)]
const u64 = (value: bigint): number[] => [...new Uint8Array(BigUint64Array.of(value).buffer)]
const mib = (value: number, state: number): number[] => u64((BigInt(value) << 20n) | BigInt(state))

const damaged: [string, SparseBytes, string][] = [
  ['identifier', altered(sound, 0, [0x56]), 'file identifier'],
  ['header signatures', inBoth(sound, HEADERS, 0, [0]), 'headers: neither is good'],
  ['header version', inBoth(sound, HEADERS, 66, [2]), 'version 2'],
  ['log version', inBoth(sound, HEADERS, 64, [1]), 'log version 1'],
  ['log length', inBoth(sound, HEADERS, 68, u32(4096)), 'log length'],
  ['log length beyond reason', inBoth(sound, HEADERS, 68, u32(0xfff0_0000)), 'log length'],
  ['log offset', inBoth(sound, HEADERS, 72, u64(4096n)), 'log offset'],
  ['log beyond the end', inBoth(sound, HEADERS, 72, u64(1n << 40n)), 'log offset'],
  ['log over the BAT', inBoth(sound, HEADERS, 72, u64(BigInt(BAT))), 'region'],
  ['region signatures', inBoth(sound, REGION_TABLES, 0, [0]), 'region tables: neither is good'],
  ['region count', inBoth(sound, REGION_TABLES, 8, u32(2048)), 'region tables'],
  ['no BAT', inBoth(sound, REGION_TABLES, 8, u32(0)), 'it has no BAT'],
  ['no metadata', inBoth(sound, REGION_TABLES, 8, u32(1)), 'it has no metadata'],
  ['BAT offset', inBoth(sound, REGION_TABLES, 16 + 16, u64(512n)), 'region BAT: offset'],
  ['BAT length', inBoth(sound, REGION_TABLES, 16 + 24, u32(77)), 'region BAT: length'],
  ['BAT too long', inBoth(sound, REGION_TABLES, 16 + 24, u32(0x7ff0_0000)), 'region BAT: length'],
  ['BAT over metadata', inBoth(sound, REGION_TABLES, 32, u64(BigInt(METADATA))), 'region'],
  ['metadata signature', altered(sound, METADATA, [0]), 'metadata table'],
  ['metadata count', altered(sound, METADATA + 10, [0xff, 0xff]), 'metadata table'],
  ['no file parameters', altered(sound, METADATA + 10, [0, 0]), 'file parameters'],
  ['item offset', altered(sound, METADATA + 32 + 16, u32(0)), 'file parameters'],
  ['item length', altered(sound, METADATA + 32 + 20, u32(9)), 'file parameters: 9 bytes where 8'],
  ['block size', altered(sound, METADATA + 64 * KIB, u32(3 * MIB)), 'file parameters: block size'],
  ['virtual size', altered(sound, METADATA + 64 * KIB + 8, u64(513n)), 'virtual disk size'],
  ['huge size', altered(sound, METADATA + 64 * KIB + 8, u64(1n << 46n)), 'region BAT: length'],
  [
    'size beyond 64 TiB',
    altered(sound, METADATA + 64 * KIB + 8, u64(1n << 60n)),
    'virtual disk size',
  ],
  ['logical sectors', altered(sound, METADATA + 64 * KIB + 32, u32(1024)), 'logical sector size'],
  ['physical sectors', altered(sound, METADATA + 64 * KIB + 36, u32(0)), 'physical sector size'],
  ['BAT state', altered(sound, BAT, mib(4, 4)), 'BAT entry 0 (block 0): state 4'],
  ['BAT reserved bits', altered(sound, BAT, u64((4n << 20n) | 0x16n)), 'BAT entry 0 (block 0)'],
  ['BAT in the headers', altered(sound, BAT, mib(0, 6)), 'BAT entry 0 (block 0)'],
  ['BAT beyond the end', altered(sound, BAT, mib(900, 6)), 'BAT entry 0 (block 0): the file ends'],
  ['BAT far beyond', altered(sound, BAT, u64(0xffff_ffff_fff0_0006n)), 'BAT entry 0 (block 0)'],
  ['BAT over itself', altered(sound, BAT, mib(3, 6)), 'BAT entry 0 (block 0): the block at 3 MiB'],
  ['two blocks in one place', altered(sound, BAT + 8, mib(4, 6)), 'lies over another structure'],
  ['partial without a parent', altered(sound, BAT, mib(4, 7)), 'BAT entry 0 (block 0): partially'],
  ['log without an entry', altered(dirty, LOG, filledWith(2 * 8192)), 'log: it is in use'],
]

function filledWith(length: number): number[] {
  return Array.from({ length }, () => 0)
}

for (const [what, bytes, field] of damaged) {
  test(`damage is named, and the file not touched: ${what}`, () => {
    expect(opening(bytes)).toContain(`disk.vhdx: `)
    expect(opening(bytes)).toContain(field)
    const { findings } = checkVhdx(new SparseFile({ bytes, readOnly: true }))
    expect(findings.some(({ severity }) => severity === 'error')).toBe(true)
  })
}

test('a file that ends anywhere is refused, or is as it was', () => {
  const property = fc.property(fc.integer({ min: 0, max: sound.size - 1 }), (size) => {
    for (const image of [sound, dirty]) {
      const cut = image.copy()
      cut.resize(size)
      expect(opening(cut)).not.toBe('')
    }
  })
  fc.assert(property, { numRuns: 40 })
})

test('one good header is enough, and one good region table', () => {
  for (const places of [HEADERS, REGION_TABLES]) {
    for (const at of places) {
      const hurt = sound.copy()
      hurt.write(at + 100, Uint8Array.of(1), 0, 1)
      // The older header is not the same, and it may only be used where the newer is bad.
      expect(opening(hurt)).toBe('')
      expect(checkVhdx(new SparseFile({ bytes: hurt, readOnly: true })).findings).toHaveLength(1)
    }
  }
})

test('random damage is an ImageError or none, is never written to, and never takes long', () => {
  const place = fc.oneof(
    fc.integer({ min: 0, max: 320 * KIB }),
    fc
      .constantFrom(...HEADERS, ...REGION_TABLES)
      .chain((at) => fc.integer({ min: at, max: at + 128 })),
    fc.integer({ min: LOG, max: LOG + 3 * 8192 }),
    fc.integer({ min: METADATA, max: METADATA + 256 }),
    fc.integer({ min: METADATA + 64 * KIB, max: METADATA + 64 * KIB + 4096 + 512 }),
    fc.integer({ min: BAT, max: BAT + 64 }),
  )
  const value = fc.oneof(
    fc.integer({ min: 0, max: 255 }).map((byte) => [byte]),
    fc.constantFrom(0, 1, 0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 4096, MIB).map(u32),
    fc.constantFrom(0n, 2n ** 64n - 1n, 2n ** 63n, 1n << 40n, 7n).map(u64),
  )
  const changes = fc.array(fc.tuple(place, value), { minLength: 1, maxLength: 4 })
  const image = fc.constantFrom(sound, dirty, child)
  fc.assert(
    fc.property(image, changes, fc.boolean(), (bytes, list, sealed) => {
      let changed = bytes.copy()
      for (const [position, to] of list) {
        if (sealed) changed = altered(changed, position, to)
        else changed.write(position, Uint8Array.from(to), 0, to.length)
      }
      opening(changed, [parent])
      checkVhdx(new SparseFile({ bytes: changed, readOnly: true }))
      const file = new SparseFile({ bytes: changed, readOnly: true })
      try {
        const disk = openVhdx(file, { newGuid, openParent: parentsOf([parent]) })
        if (disk.geometry.blockCount >= 8) read(disk, 0, 4096)
      } catch (error) {
        if (!(error instanceof ImageError)) expect(String(error)).toContain('the read ended')
      }
    }),
    { numRuns: 120 },
  )
})

test('what is optional and unknown is left alone; what is required and unknown is refused', () => {
  const id = Array.from({ length: 16 }, (_, index) => index + 1)
  const region = (required: number): SparseBytes => {
    let image = sound.copy()
    image.resize(image.size + MIB)
    const entry = [...id, ...u64(BigInt(image.size - MIB)), ...u32(MIB), ...u32(required)]
    image = inBoth(image, REGION_TABLES, 16 + 64, entry)
    return inBoth(image, REGION_TABLES, 8, u32(3))
  }
  expect(opening(region(0))).toBe('')
  expect(opening(region(1))).toContain('it is required, and nobody here knows it')
  const item = (flags: number): SparseBytes => {
    const entry = [...id, ...u32(64 * KIB + 512), ...u32(10), ...u32(flags), ...u32(0)]
    return altered(altered(sound, METADATA + 32 + 5 * 32, entry), METADATA + 10, [6, 0])
  }
  expect(opening(item(0))).toBe('')
  expect(opening(item(1))).toBe('')
  expect(opening(item(4))).toContain('it is required, and nobody here knows it')
  // A region that nobody knows keeps its bytes: no block goes there.
  const file = new SparseFile({ bytes: region(0) })
  file.bytes.write(file.sizeBytes - MIB, filled(MIB, 9), 0, MIB)
  const disk = openVhdx(file, { newGuid })
  for (let block = 0; block < 4; block += 1) write(disk, block * MIB, filled(MIB, 1))
  close(disk)
  const kept = new Uint8Array(MIB)
  file.bytes.read(sound.size, kept, 0, MIB)
  expect(kept.every((byte) => byte === 9)).toBe(true)
})

test('a child is refused over a parent that was written since, and without one', () => {
  expect(opening(child, [parent])).toBe('')
  const { disk, file } = openCopy(parent)
  write(disk, 0, filled(512, 7))
  close(disk)
  expect(opening(child, [file.bytes])).toContain('parent_linkage: parent 1 was written since')
  expect(() => openVhdx(new SparseFile({ bytes: child }), { newGuid })).toThrow(/nobody to find it/)
})

test('a child is not its own parent', () => {
  const itself = (): SparseFile => new SparseFile({ bytes: child, readOnly: true })
  const open = (): unknown => openVhdx(itself(), { newGuid, openParent: itself })
  expect(open).toThrow(ImageError)
})

test('a log of one MiB full of starts of entries is searched in no time', () => {
  const hostile = dirty.copy()
  const entry = new Uint8Array(4096)
  hostile.read(LOG, entry, 0, 4096)
  for (let at = 0; at < MIB; at += 4096) hostile.write(LOG + at, entry, 0, 4096)
  const began = performance.now()
  expect(opening(hostile)).toContain('log: it is in use')
  expect(performance.now() - began).toBeLessThan(1000)
})

test('a file that fails to be read is an error, or the status of one request', () => {
  const file = new SparseFile({ bytes: sound })
  const disk = openVhdx(file, { newGuid })
  file.read = () => FileStatus.IO_ERROR
  expect(() => read(disk, 0, 512)).toThrow('the read ended with 4')
  expect(() => openVhdx(file, { newGuid })).toThrow(ImageError)
})
