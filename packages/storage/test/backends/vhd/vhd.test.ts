import { DiskOperation, DiskRequest, DiskStatus, ImageError } from '@guestyard/storage'
import { createVhd, openVhd } from '@guestyard/storage'
import { MemoryFile, diskContract, losePower } from '@guestyard/storage/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { seeded } from '../../support/seeded.ts'

const MIB = 2 ** 20
const BLOCK_BYTES = MIB / 2
const UNIQUE_ID = Uint8Array.from({ length: 16 }, (_, index) => index + 1)

function image(fixed: boolean, sizeBytes = 4 * MIB): MemoryFile {
  const file = new MemoryFile()
  const createdAtMs = Date.UTC(2026, 0, 1)
  createVhd(file, {
    sizeBytes,
    fixed,
    blockBytes: BLOCK_BYTES,
    uniqueId: UNIQUE_ID,
    createdAtMs,
  })
  return new MemoryFile({ name: 'disk.vhd', bytes: file.contents() })
}

const files = new Map<object, MemoryFile>()
for (const fixed of [true, false]) {
  const open = (file: MemoryFile): ReturnType<typeof openVhd> => {
    const disk = openVhd(file)
    files.set(disk, file)
    return disk
  }
  const fresh = image(fixed, MIB).contents()
  describe(fixed ? 'a fixed VHD' : 'a dynamic VHD', () => {
    const suite = diskContract(fc, {
      make: () => open(new MemoryFile({ bytes: fresh })),
      makeReadOnly: () => open(new MemoryFile({ bytes: fresh, readOnly: true })),
      reopen: (closed) => open(new MemoryFile({ bytes: files.get(closed)!.contents() })),
      runs: 25,
    })
    for (const { name, run } of suite) test(name, run)
  })
}

test('the footer is laid out as the specification has it', () => {
  const bytes = image(false, 64 * MIB).contents()
  const footer = Buffer.from(bytes.subarray(bytes.length - 512))
  expect(footer.subarray(0, 84).toString('hex')).toBe(
    [
      '636f6e6563746978', //  conectix
      '0000000200010000', //  features, version
      '0000000000000200', //  data offset
      '30e87580', //          2026-01-01, in seconds since 2000
      '77696e20', //          win
      '000a0000',
      '5769326b', //          Wi2k
      '0000000004000000', //  original size
      '0000000004000000', //  current size
      '03c3', //              963 cylinders
      '0811', //              8 heads, 17 sectors
      '00000003', //          dynamic
      checksum(footer),
      '0102030405060708090a0b0c0d0e0f10',
    ].join(''),
  )
})

/** By the definition, and nothing of ours. */
function checksum(footer: Uint8Array): string {
  let sum = 0
  for (const [at, byte] of footer.entries()) if (at < 64 || at > 67) sum += byte
  return (0xffff_ffff - sum).toString(16).padStart(8, '0')
}

test('a disk whose last footer is lost is read by its copy, and gets it back', () => {
  const file = image(false)
  const disk = openVhd(file)
  disk.submit(write(0, 5))
  disk.close()
  const bytes = file.contents()
  const cut = new MemoryFile({ bytes: bytes.subarray(0, bytes.length - 100), readOnly: true })
  expect(readBlock(openVhd(cut), 0)[0]).toBe(5)
  const repaired = new MemoryFile({ bytes: bytes.subarray(0, bytes.length - 100) })
  expect(readBlock(openVhd(repaired), 0)[0]).toBe(5)
  expect(repaired.contents()).toEqual(bytes)
})

test('whenever the power goes, what was flushed is there and nothing that was not written', () => {
  const fresh = image(false).contents()
  for (let seed = 1; seed <= 3; seed++) {
    const reopen = (bytes: Uint8Array): ReturnType<typeof openVhd> =>
      openVhd(new MemoryFile({ bytes }))
    const attempt = (cutAt: number): number =>
      losePower(
        {
          make: () => new MemoryFile({ bytes: fresh }),
          open: openVhd,
          chance: seeded(seed * 1000),
          requests: 10,
          cutAt,
        },
        reopen,
      ).changes
    const changes = attempt(Infinity)
    for (let cutAt = 0; cutAt < changes; cutAt++) attempt(cutAt)
  }
})

test('a block that comes during a flush is not in the table before its own flush', () => {
  const file = new MemoryFile({ bytes: image(false).contents(), slowSyncs: true })
  const disk = openVhd(file)
  const inTable = (): boolean[] => {
    const table = new DataView(file.contents().buffer, 1536)
    return [0, 1].map((block) => table.getUint32(block * 4) !== 0xffff_ffff)
  }
  const flush = new DiskRequest(0)
  flush.operation = DiskOperation.FLUSH
  disk.submit(write(0, 1))
  disk.submit(flush)
  disk.submit(write(BLOCK_BYTES / 512, 2))
  expect([flush.status, ...inTable()]).toEqual([DiskStatus.PENDING, false, false])
  file.endSyncs()
  disk.poll(1)
  expect([flush.status, ...inTable()]).toEqual([DiskStatus.PENDING, true, false])
  file.endSyncs()
  disk.poll(1)
  expect([flush.status, ...inTable()]).toEqual([DiskStatus.OK, true, false])
  disk.submit(flush)
  file.endSyncs()
  disk.poll(1)
  expect(inTable()).toEqual([true, true])
})

test('a full host ends a write with NO_SPACE, and room makes it work again', () => {
  const file = image(false)
  const disk = openVhd(file)
  disk.submit(write(0, 1))
  file.roomBytes = file.sizeBytes + 1000
  const late = write(4096, 2)
  disk.submit(late)
  expect(late.status).toBe(DiskStatus.NO_SPACE)
  expect(readBlock(disk, 0)[0]).toBe(1)
  expect(readBlock(disk, 4096)[0]).toBe(0)
  expect(readBlock(openVhd(new MemoryFile({ bytes: file.contents() })), 4096)[0]).toBe(0)
  file.roomBytes = Infinity
  disk.submit(late)
  expect(late.status).toBe(DiskStatus.OK)
  disk.close()
  expect(readBlock(openVhd(new MemoryFile({ bytes: file.contents() })), 4096)[0]).toBe(2)
})

describe('a field that is wrong is named', () => {
  const END = -512
  const cases: readonly [string, number, readonly number[]][] = [
    ['footer: cookie', END, [0x43]],
    ['footer: checksum', END + 64, [0]],
    ['footer: checksum', END + 100, [1]],
    ['header: cookie', 512, [0x43]],
    ['header: checksum', 512 + 700, [1]],
    ['BAT entry 0', 1536, [0, 0, 0, 1]],
    ['BAT entry 1', 1540, [0, 0, 0, 6]],
    ['BAT entry 7', 1564, [0x7f, 0, 0, 0]],
  ]
  for (const [field, at, values] of cases) {
    test(`${field}, at ${at}`, () => {
      const file = image(false)
      const disk = openVhd(file)
      disk.submit(write(0, 1))
      disk.submit(write(4096, 1))
      disk.close()
      const bytes = file.contents()
      bytes.set(values, at < 0 ? bytes.length + at : at)
      if (at < 0) bytes.set([0], 0) //  the copy is damaged too
      expect(errorOf(bytes)?.field).toBe(field)
    })
  }

  test('a size that the file does not hold', () => {
    expect(errorOf(image(true).contents().subarray(MIB))?.field).toBe('footer: current size')
    expect(errorOf(new Uint8Array(100))?.field).toBe('size')
    expect(errorOf(image(false).contents().subarray(0, 1000))?.field).toBe('header')
  })
})

test('no damage throws anything but an ImageError, or changes a file that is refused', () => {
  const file = image(false)
  const disk = openVhd(file)
  disk.submit(write(1000, 1))
  disk.close()
  const sound = file.contents()
  const place = fc.oneof(
    fc.integer({ min: 0, max: 1700 }),
    fc.integer({ min: sound.length - 512, max: sound.length - 1 }),
  )
  const damage = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(damage, fc.option(fc.nat(sound.length)), fc.boolean(), (changes, cut, sealed) => {
      const bytes = sound.slice()
      for (const [at, value] of changes) bytes[at] = value
      if (sealed) seal(bytes)
      const damaged = new MemoryFile({ bytes: cut === null ? bytes : bytes.subarray(0, cut) })
      const before = damaged.contents()
      try {
        const opened = openVhd(damaged)
        readBlock(opened, 0)
        opened.submit(write(opened.geometry.blockCount - 1, 3))
      } catch (error) {
        expect(error).toBeInstanceOf(ImageError)
        expect(Buffer.compare(damaged.contents(), before)).toBe(0)
      }
    }),
  )
})

/** Makes the checksums right, so that the fields behind them are looked at. */
function seal(bytes: Uint8Array): void {
  const sealAt = (at: number, length: number, field: number): void => {
    let sum = 0
    for (let index = 0; index < length; index++) {
      if (index < field || index >= field + 4) sum += bytes[at + index]!
    }
    new DataView(bytes.buffer).setUint32(at + field, ~sum >>> 0)
  }
  sealAt(0, 512, 64)
  sealAt(512, 1024, 36)
  sealAt(bytes.length - 512, 512, 64)
}

function errorOf(bytes: Uint8Array): ImageError | undefined {
  try {
    openVhd(new MemoryFile({ name: 'disk.vhd', bytes }))
  } catch (error) {
    if (error instanceof ImageError) return error
    throw error
  }
  return undefined
}

function write(block: number, byte: number): DiskRequest {
  const request = new DiskRequest(1)
  request.operation = DiskOperation.WRITE
  request.block = block
  request.blockCount = 1
  request.data.beginBytes(new Uint8Array(512).fill(byte))
  request.data.add(0, 512)
  return request
}

function readBlock(disk: ReturnType<typeof openVhd>, block: number): Uint8Array {
  const request = write(block, 0xee)
  request.operation = DiskOperation.READ
  disk.submit(request)
  return request.data.bytes
}
