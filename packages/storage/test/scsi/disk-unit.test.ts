import { DiskOperation, DiskStatus } from '@guestyard/storage'
import { DiskUnit, ScsiTarget } from '@guestyard/storage/scsi'
import { describe, expect, test } from 'vitest'
import { HeldDisk } from './held-disk.ts'
import { Initiator, TEST_UNIT_READY, be, hex, pattern, read10, write10 } from './initiator.ts'

const GOOD = { outcome: 1, status: 0, sense: '' }

function scene(disk: HeldDisk = new HeldDisk(), options = {}) {
  const target = new ScsiTarget()
  const unit = new DiskUnit(disk, options)
  target.attach(0, 0, 0, unit)
  return { disk, target, unit, initiator: new Initiator(target) }
}

describe('reading and writing', () => {
  const data = pattern(2 * 512)
  const forms: [string, number[], number[]][] = [
    ['6', [0x08, 0, 0, 7, 2, 0], [0x0a, 0, 0, 7, 2, 0]],
    ['10', read10(7, 2), write10(7, 2)],
    ['12', [0xa8, 0, ...be(7, 4), ...be(2, 4), 0, 0], [0xaa, 0, ...be(7, 4), ...be(2, 4), 0, 0]],
    ['16', [0x88, 0, ...be(7, 8), ...be(2, 4), 0, 0], [0x8a, 0, ...be(7, 8), ...be(2, 4), 0, 0]],
  ]

  test.each(forms)('READ and WRITE (%s) move the same blocks', (_, read, write) => {
    const { disk, initiator } = scene()
    expect(initiator.out(write, data)).toMatchObject({ ...GOOD, transferred: 1024 })
    expect(disk.inner.bytes.subarray(7 * 512, 9 * 512)).toEqual(data)
    const { bytes, ...answer } = initiator.in(read, 1024)
    expect(answer).toMatchObject({ ...GOOD, transferred: 1024, asked: 1024 })
    expect(bytes).toEqual(data)
    expect(disk.log).toEqual([
      [DiskOperation.WRITE, 7, 2, false],
      [DiskOperation.READ, 7, 2, false],
    ])
  })

  test('READ (6) of length 0 is 256 blocks, others of length 0 move nothing', () => {
    const { disk, initiator } = scene()
    expect(initiator.in([0x08, 0, 0, 0, 0, 0], 1 << 17).transferred).toBe(256 * 512)
    disk.log.length = 0
    for (const cdb of [read10(0, 0), [0xa8, ...be(0, 11)], [0x88, ...be(0, 15)], read10(2048, 0)]) {
      expect(initiator.in(cdb)).toMatchObject({ ...GOOD, transferred: 0 })
    }
    expect(initiator.out(write10(0, 0), [])).toMatchObject(GOOD)
    expect(disk.log).toEqual([])
    expect(initiator.in(read10(2049, 0)).sense).toBe('052100')
  })

  test('FUA and a write cache that is off make a write durable', () => {
    const { disk, initiator } = scene()
    initiator.out(write10(0, 1, 0x08), pattern(512))
    expect(disk.log).toEqual([[DiskOperation.WRITE, 0, 1, true]])
    const uncached = scene(new HeldDisk(), { writeCache: false })
    uncached.initiator.out(write10(0, 1), pattern(512))
    expect(uncached.disk.log).toEqual([[DiskOperation.WRITE, 0, 1, true]])
  })

  test('DPO is ignored, protection information refused', () => {
    const { initiator } = scene()
    expect(initiator.out(write10(0, 1, 0x10), pattern(512))).toMatchObject(GOOD)
    expect(initiator.out(write10(0, 1, 0x20), pattern(512)).sense).toBe('052400')
    expect(initiator.in([0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0]).sense).toBe('052400')
  })

  test('the last block is there, the next one is not', () => {
    const { initiator } = scene()
    expect(initiator.in(read10(2047, 1))).toMatchObject(GOOD)
    for (const cdb of [
      read10(2047, 2),
      read10(2048, 1),
      read10(0xffffffff, 1),
      [0x88, ...be(2048, 9), ...be(1, 4), 0, 0],
      [0x88, 0, ...Array<number>(8).fill(0xff), ...Array<number>(4).fill(0xff), 0, 0],
    ]) {
      expect(initiator.in(cdb)).toMatchObject({ outcome: 1, status: 2, sense: '052100' })
    }
  })

  test('room for less: the whole blocks that fit are read, and the overrun shows', () => {
    const { disk, initiator } = scene()
    disk.inner.bytes.set(pattern(4096))
    const { bytes, ...answer } = initiator.in(read10(0, 8), 1700)
    expect(answer).toMatchObject({ ...GOOD, transferred: 1536, asked: 4096 })
    expect(bytes).toEqual(pattern(4096).subarray(0, 1536))
    expect(initiator.in(read10(0, 1), 511)).toMatchObject({ ...GOOD, transferred: 0, asked: 512 })
  })

  test('room for more: as many bytes as the CDB asks, and none behind them', () => {
    const { disk, initiator } = scene()
    disk.inner.bytes.fill(0xee)
    const request = initiator.request(read10(0, 3), 2, new Uint8Array(5000))
    initiator.target.execute(request)
    expect([request.transferredBytes, request.askedBytes]).toEqual([1536, 1536])
    expect(request.data.bytes.filter((byte) => byte === 0xee).length).toBe(1536)
  })

  test('a write with more data takes its blocks, one with less takes none', () => {
    const { disk, initiator } = scene()
    expect(initiator.out(write10(0, 1), pattern(700))).toMatchObject({ ...GOOD, transferred: 512 })
    expect(disk.inner.bytes[512]).toBe(0)
    disk.log.length = 0
    expect(initiator.out(write10(0, 2), pattern(1023))).toMatchObject({
      status: 2,
      sense: '052400',
      transferred: 0,
      asked: 1024,
    })
    expect(disk.log).toEqual([])
  })

  test('data that goes the wrong way is no room, and nothing is touched', () => {
    const { disk, initiator } = scene()
    const read = initiator.request(read10(0, 1), 1, new Uint8Array(512))
    initiator.target.execute(read)
    expect([read.scsiStatus, read.transferredBytes, read.askedBytes]).toEqual([0, 0, 512])
    const write = initiator.request(write10(0, 1), 2, new Uint8Array(512))
    initiator.target.execute(write)
    expect([write.scsiStatus, write.transferredBytes]).toEqual([2, 0])
    expect(disk.log).toEqual([])
  })

  test('the disk gets the pieces of the command, not a copy', () => {
    const { disk, initiator } = scene()
    disk.holds = true
    const request = initiator.request(read10(0, 100), 2, new Uint8Array(51_200))
    initiator.target.execute(request)
    expect(disk.held[0]!.data).toBe(request.data)
  })
})

describe('how a disk fails', () => {
  test.each([
    [DiskStatus.READ_ERROR, '031100'],
    [DiskStatus.WRITE_ERROR, '030c00'],
    [DiskStatus.NO_SPACE, '030c00'],
    [DiskStatus.READ_ONLY, '072700'],
    [DiskStatus.OUT_OF_RANGE, '052100'],
    [DiskStatus.UNSUPPORTED, '052000'],
  ])('disk status %i has the sense %s', (status, sense) => {
    const { disk, initiator } = scene()
    disk.fails = status
    const failed = { outcome: 1, status: 2, sense, transferred: 0 }
    expect(initiator.out(write10(0, 1), pattern(512))).toMatchObject(failed)
    expect(initiator.in(read10(0, 1), 512)).toMatchObject(failed)
    expect(initiator.in([0x35, ...be(0, 9)])).toMatchObject(failed)
  })

  test('sense data is 18 bytes of the fixed format', () => {
    const { initiator } = scene()
    const request = initiator.request(read10(4096, 1), 2, new Uint8Array(512))
    initiator.target.execute(request)
    expect(request.senseLength).toBe(18)
    expect(hex(...request.sense)).toBe('700005000000000a00000000210000000000')
  })

  test('a disk that is only read refuses every write, and says so before', () => {
    const { disk, initiator } = scene(new HeldDisk(1 << 20, { readOnly: true }))
    expect(initiator.out(write10(0, 1), pattern(512)).sense).toBe('072700')
    expect(initiator.out([0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0], pattern(24)).sense).toBe('072700')
    expect(initiator.out([0x41, 0, ...be(0, 4), 0, 0, 1, 0], pattern(512)).sense).toBe('072700')
    expect(disk.log).toEqual([])
    expect(initiator.in([0x1a, 0, 0x3f, 0, 255, 0]).bytes[2]).toBe(0x90)
  })
})

test('what is no disk is not taken', () => {
  const disk = new HeldDisk()
  expect(() => new DiskUnit(disk, { serialNumber: '1'.repeat(65) })).toThrow(RangeError)
  disk.geometry = { ...disk.geometry, blockCount: 0 }
  expect(() => new DiskUnit(disk)).toThrow(RangeError)
})

describe('capacity', () => {
  test('READ CAPACITY (10) and (16) tell the last block and both block sizes', () => {
    const { initiator } = scene()
    expect(hex(...initiator.in([0x25, ...be(0, 9)]).bytes)).toBe('000007ff00000200')
    const long = initiator.in([0x9e, 0x10, ...be(0, 8), ...be(32, 4), 0, 0])
    expect(hex(...long.bytes)).toBe(`00000000000007ff000002000003c000${'00'.repeat(16)}`)
    expect(initiator.in([0x9e, 0x12, ...be(0, 14)]).sense).toBe('052000')
  })

  test('more blocks than 32 bits: (10) says so, (16) says how many', () => {
    const disk = new HeldDisk()
    disk.geometry = { ...disk.geometry, blockCount: 2 ** 33 + 5, canUnmap: false }
    const { initiator } = scene(disk)
    expect(hex(...initiator.in([0x25, ...be(0, 9)]).bytes)).toBe('ffffffff00000200')
    const { bytes } = initiator.in([0x9e, 0x10, ...be(0, 8), ...be(32, 4), 0, 0])
    expect(hex(...bytes.subarray(0, 16))).toBe('00000002000000040000020000030000')
  })

  test('another size is nothing new to who comes after', () => {
    const { disk, initiator } = scene()
    disk.geometry = { ...disk.geometry, blockCount: 4096 }
    expect(initiator.in(read10(4000, 1)).sense).not.toBe('062a09')
  })

  test('another size is told once, with the next command, to who was there before', () => {
    const { disk, initiator } = scene()
    initiator.in(TEST_UNIT_READY)
    disk.geometry = { ...disk.geometry, blockCount: 4096 }
    expect(initiator.in(read10(0, 1))).toMatchObject({ status: 2, sense: '062a09' })
    expect(initiator.in(read10(0, 1))).toMatchObject(GOOD)
    expect(hex(...initiator.in([0x25, ...be(0, 9)]).bytes)).toBe('00000fff00000200')
  })
})

describe('the rest', () => {
  test('SYNCHRONIZE CACHE (10) and (16) flush, whatever their range', () => {
    const { disk, initiator } = scene()
    expect(initiator.in([0x35, 0x02, ...be(9999, 4), 0, ...be(1, 2), 0])).toMatchObject(GOOD)
    expect(initiator.in([0x91, ...be(0, 15)])).toMatchObject(GOOD)
    expect(disk.log.map(([operation]) => operation)).toEqual([
      DiskOperation.FLUSH,
      DiskOperation.FLUSH,
    ])
  })

  test('VERIFY checks the range, compares nothing', () => {
    const { initiator } = scene()
    expect(initiator.in([0x2f, 0, ...be(0, 4), 0, ...be(8, 2), 0])).toMatchObject(GOOD)
    expect(initiator.in([0xaf, 0, ...be(2047, 4), ...be(2, 4), 0, 0]).sense).toBe('052100')
    expect(initiator.in([0x8f, 0, ...be(2048, 8), ...be(1, 4), 0, 0]).sense).toBe('052100')
    expect(initiator.in([0x2f, 2, ...be(0, 4), 0, ...be(8, 2), 0]).sense).toBe('052400')
  })

  test('START STOP UNIT: stopping flushes, a fixed disk ejects nothing', () => {
    const { disk, initiator } = scene()
    expect(initiator.in([0x1b, 0, 0, 0, 1, 0])).toMatchObject(GOOD)
    expect(disk.log).toEqual([])
    expect(initiator.in([0x1b, 0, 0, 0, 0, 0])).toMatchObject(GOOD)
    expect(disk.log[0]![0]).toBe(DiskOperation.FLUSH)
    expect(initiator.in([0x1b, 0, 0, 0, 2, 0]).sense).toBe('052400')
  })

  test('REQUEST SENSE has nothing to say but attentions', () => {
    const { target, initiator } = scene()
    initiator.in(TEST_UNIT_READY)
    const none = '700000000000000a' + '00'.repeat(10)
    expect(hex(...initiator.in([3, 0, 0, 0, 252, 0]).bytes)).toBe(none)
    target.resetUnit(0, 0, 0)
    expect(hex(...initiator.in([3, 0, 0, 0, 252, 0]).bytes)).toBe(
      '700006000000000a00000000290300000000',
    )
    expect(initiator.in(TEST_UNIT_READY)).toMatchObject(GOOD)
    expect(initiator.in([3, 1, 0, 0, 252, 0]).sense).toBe('052400')
  })

  test.each([
    ['REPORT SUPPORTED OPERATION CODES', [0xa3, 0x0c, ...be(0, 10)]],
    ['ATA PASS-THROUGH (16)', [0x85, ...be(0, 15)]],
    ['ATA PASS-THROUGH (12)', [0xa1, ...be(0, 11)]],
    ['LOG SENSE', [0x4d, ...be(0, 9)]],
    ['COMPARE AND WRITE', [0x89, ...be(0, 15)]],
    ['variable length', [0x7f, ...be(0, 15)]],
    ['a vendor’s', [0xc0, ...be(0, 5)]],
  ])('%s is no command of this disk', (_, cdb) => {
    expect(scene().initiator.in(cdb)).toMatchObject({ status: 2, sense: '052000' })
  })

  test('a CDB that ends early, or asks for NACA, is a bad field', () => {
    const { initiator } = scene()
    expect(initiator.in(read10(0, 1).slice(0, 9)).sense).toBe('052400')
    expect(initiator.in([0x00]).sense).toBe('052400')
    expect(initiator.in([0x28, ...be(0, 8), 0x04]).sense).toBe('052400')
    expect(initiator.in([...read10(0, 0), 0, 0])).toMatchObject(GOOD)
  })
})
