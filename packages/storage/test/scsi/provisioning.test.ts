// UNMAP and WRITE SAME: all of a list is checked before anything is done, and what is done in steps ends once.

import { DiskOperation, DiskStatus } from '@guestyard/storage'
import { DiskUnit, ScsiOutcome, ScsiTarget } from '@guestyard/storage/scsi'
import { describe, expect, test } from 'vitest'
import { HeldDisk } from './held-disk.ts'
import { Initiator, be, pattern } from './initiator.ts'

const GOOD = { outcome: 1, status: 0, sense: '' }
const { UNMAP, WRITE, WRITE_ZEROES } = DiskOperation

function scene(disk: HeldDisk = new HeldDisk()) {
  const target = new ScsiTarget()
  target.attach(0, 0, 0, new DiskUnit(disk))
  disk.inner.bytes.fill(0xee)
  return { disk, target, initiator: new Initiator(target) }
}

function unmap(lengthBytes: number, flags = 0): number[] {
  return [0x42, flags, 0, 0, 0, 0, 0, ...be(lengthBytes, 2), 0]
}

function unmapList(...ranges: [number, number][]): number[] {
  const descriptors = ranges.flatMap(([block, count]) => [
    ...be(block, 8),
    ...be(count, 4),
    0,
    0,
    0,
    0,
  ])
  return [
    ...be(descriptors.length + 6, 2),
    ...be(descriptors.length, 2),
    0,
    0,
    0,
    0,
    ...descriptors,
  ]
}

function many(ranges: number, blocks: number): [number, number][] {
  return Array.from({ length: ranges }, () => [0, blocks])
}

function writeSame16(block: number, count: number, flags = 0): number[] {
  return [0x93, flags, ...be(block, 8), ...be(count, 4), 0, 0]
}

function writeSame10(block: number, count: number, flags = 0): number[] {
  return [0x41, flags, ...be(block, 4), 0, ...be(count, 2), 0]
}

describe('UNMAP', () => {
  test('each range is given up, overlapping or not, and none of no blocks', () => {
    const { disk, initiator } = scene()
    const list = unmapList([8, 8], [4, 8], [100, 0], [2047, 1])
    expect(initiator.out(unmap(list.length), list)).toMatchObject({ ...GOOD, transferred: 72 })
    expect(disk.log).toEqual([
      [UNMAP, 8, 8, false],
      [UNMAP, 4, 8, false],
      [UNMAP, 2047, 1, false],
    ])
    expect(disk.inner.bytes.findIndex((byte) => byte === 0)).toBe(4 * 512)
    expect(disk.inner.bytes.subarray(16 * 512, 2047 * 512).every((byte) => byte === 0xee)).toBe(
      true,
    )
  })

  test('nothing to give up is well', () => {
    const { disk, initiator } = scene()
    for (const list of [[], unmapList(), unmapList([3, 0])]) {
      expect(initiator.out(unmap(list.length), list)).toMatchObject(GOOD)
    }
    expect(disk.log).toEqual([])
  })

  test.each([
    ['a header that ends early', unmap(7), unmapList().slice(0, 7), '051a00'],
    ['less data than the CDB says', unmap(24), unmapList([0, 1]).slice(0, 20), '051a00'],
    [
      'a list that says it is longer',
      unmap(24),
      [0, 200, 0, 16, ...unmapList([0, 1]).slice(4)],
      '051a00',
    ],
    [
      'descriptors beyond the list',
      unmap(24),
      [0, 22, 0, 32, ...unmapList([0, 1]).slice(4)],
      '051a00',
    ],
    ['a range beyond the end', unmap(40), unmapList([0, 1], [2047, 2]), '052100'],
    [
      'a range at the end of numbers',
      unmap(24),
      [0, 22, 0, 16, 0, 0, 0, 0, ...Array<number>(12).fill(255), 0, 0, 0, 0],
      '052100',
    ],
    ['more ranges than stated', unmap(8 + 257 * 16), unmapList(...many(257, 1)), '052600'],
    ['more blocks than stated', unmap(8 + 256 * 16), unmapList(...many(256, 2049)), '052100'],
    ['ANCHOR', unmap(24, 1), unmapList([0, 1]), '052400'],
  ])('%s is refused whole', (_, cdb, list, sense) => {
    const { disk, initiator } = scene()
    expect(initiator.out(cdb, list)).toMatchObject({ status: 2, sense, transferred: 0 })
    expect(disk.log).toEqual([])
  })

  test('more blocks in all than VPD page 0xb0 states are refused', () => {
    const disk = new HeldDisk()
    disk.geometry = { ...disk.geometry, blockCount: 2 ** 32 }
    const { initiator } = scene(disk)
    const list = unmapList([0, 2 ** 19], [0, 1])
    expect(initiator.out(unmap(list.length), list).sense).toBe('052600')
  })

  test('a partial descriptor at the end is passed over', () => {
    const { disk, initiator } = scene()
    const list = [0, 30, 0, 24, ...unmapList([5, 1]).slice(4), ...Array<number>(8).fill(255)]
    expect(initiator.out(unmap(list.length), list)).toMatchObject(GOOD)
    expect(disk.log).toEqual([[UNMAP, 5, 1, false]])
  })

  test('a disk without it doesn’t know the command', () => {
    const { initiator } = scene(new HeldDisk(1 << 20, { canUnmap: false }))
    expect(initiator.out(unmap(24), unmapList([0, 1])).sense).toBe('052000')
  })

  test('the list is a copy: the guest changes what it likes meanwhile', () => {
    const { disk, initiator, target } = scene()
    disk.holds = true
    const list = Uint8Array.from(unmapList([1, 1], [2, 1]))
    const request = initiator.request(unmap(list.length), 1, list)
    target.execute(request)
    request.data.bytes.fill(0xff)
    disk.release()
    expect(target.poll(1)).toBe(0)
    disk.release()
    expect(target.poll(1)).toBe(1)
    expect(disk.log).toEqual([
      [UNMAP, 1, 1, false],
      [UNMAP, 2, 1, false],
    ])
  })

  test('a step that fails ends the command, and the next steps are not begun', () => {
    const { disk, initiator, target } = scene()
    disk.holds = true
    const list = unmapList([1, 1], [2, 1], [3, 1])
    const request = initiator.request(unmap(list.length), 1, Uint8Array.from(list))
    target.execute(request)
    disk.release()
    target.poll(1)
    disk.release(0, DiskStatus.NO_SPACE)
    expect(target.poll(1)).toBe(1)
    expect([request.scsiStatus, request.sense[2], disk.log.length]).toEqual([2, 3, 2])
  })

  test('aborted between two steps: what is left is not done', () => {
    const { disk, initiator, target } = scene()
    disk.holds = true
    const list = unmapList([1, 1], [2, 1], [3, 1])
    const request = initiator.request(unmap(list.length), 1, Uint8Array.from(list))
    target.execute(request)
    // The disk is past giving up: the step ends well, the command doesn't.
    disk.release()
    target.abort(request)
    expect(request.outcome).toBe(ScsiOutcome.PENDING)
    expect(target.poll(1)).toBe(1)
    expect([request.outcome, disk.log.length]).toEqual([ScsiOutcome.ABORTED, 1])
  })
})

describe('WRITE SAME', () => {
  test.each([
    ['10', writeSame10],
    ['16', writeSame16],
  ])('(%s) writes its block everywhere', (_, writeSame) => {
    const { disk, initiator } = scene()
    const data = pattern(512)
    expect(initiator.out(writeSame(3, 300), data)).toMatchObject({ ...GOOD, transferred: 512 })
    for (let block = 3; block < 303; block++) {
      expect(disk.inner.bytes.subarray(block * 512, block * 512 + 512)).toEqual(data)
    }
    expect([disk.inner.bytes[3 * 512 - 1], disk.inner.bytes[303 * 512]]).toEqual([0xee, 0xee])
    // 64 KiB a step.
    expect(disk.log.map(([operation, block, count]) => [operation, block, count])).toEqual([
      [WRITE, 3, 128],
      [WRITE, 131, 128],
      [WRITE, 259, 44],
    ])
  })

  test('zeros travel as what they are: zeroing, or giving up where that reads zeros', () => {
    const { disk, initiator } = scene()
    expect(initiator.out(writeSame16(1, 100), new Uint8Array(512))).toMatchObject(GOOD)
    expect(initiator.out(writeSame16(1, 100, 0x08), new Uint8Array(512))).toMatchObject(GOOD)
    // NDOB: no block of data at all.
    expect(initiator.in(writeSame16(1, 100, 0x01))).toMatchObject({ ...GOOD, transferred: 0 })
    expect(initiator.in(writeSame16(1, 100, 0x09))).toMatchObject(GOOD)
    disk.geometry = { ...disk.geometry, unmapReadsZeros: false }
    expect(initiator.out(writeSame16(1, 100, 0x08), new Uint8Array(512))).toMatchObject(GOOD)
    expect(disk.log.map(([operation]) => operation)).toEqual([
      WRITE_ZEROES,
      UNMAP,
      WRITE_ZEROES,
      UNMAP,
      WRITE_ZEROES,
    ])
    expect(disk.inner.bytes.subarray(512, 101 * 512).every((byte) => byte === 0)).toBe(true)
  })

  test.each([
    ['no blocks', writeSame16(0, 0), '052400'],
    ['more blocks than stated', writeSame16(0, 2049), '052400'],
    ['blocks beyond the end', writeSame10(2047, 2), '052100'],
    ['ANCHOR', writeSame16(0, 1, 0x10), '052400'],
    ['protection information', writeSame10(0, 1, 0x20), '052400'],
  ])('%s: refused', (_, cdb, sense) => {
    const { disk, initiator } = scene()
    expect(initiator.out(cdb, pattern(512))).toMatchObject({ status: 2, sense })
    expect(disk.log).toEqual([])
  })

  test('less than a block of data, or giving up on a disk that can’t, is refused', () => {
    expect(scene().initiator.out(writeSame16(0, 1), pattern(511)).sense).toBe('051a00')
    const { initiator } = scene(new HeldDisk(1 << 20, { canUnmap: false }))
    expect(initiator.out(writeSame16(0, 1, 0x08), pattern(512)).sense).toBe('052400')
    expect(initiator.out(writeSame16(0, 1), pattern(512))).toMatchObject(GOOD)
  })

  test('a long one goes on poll by poll, within each budget, and is due at once', () => {
    const { disk, initiator, target } = scene()
    const request = initiator.request(writeSame16(0, 2048), 1, pattern(512))
    target.execute(request)
    // 16 steps in all.
    expect([request.outcome, disk.log.length]).toEqual([ScsiOutcome.PENDING, 1])
    expect(target.nextDeadlineMs()).toBe(0)
    // A step may take as long as sixteen small requests.
    expect([target.poll(112), disk.log.length]).toEqual([0, 8])
    expect([target.poll(100), disk.log.length]).toEqual([0, 15])
    expect([target.poll(1), disk.log.length]).toEqual([1, 16])
    expect([request.outcome, request.scsiStatus]).toEqual([ScsiOutcome.DONE, 0])
    expect(target.nextDeadlineMs()).toBe(Infinity)
  })

  test('a reset ends it between two polls', () => {
    const { disk, initiator, target } = scene()
    const request = initiator.request(writeSame16(0, 2048), 1, pattern(512))
    target.execute(request)
    target.resetUnit(0, 0, 0)
    expect([request.outcome, disk.log.length, target.poll(1)]).toEqual([ScsiOutcome.ABORTED, 1, 1])
  })

  test('only so many at once: the next ones are told to come again', () => {
    const { disk, initiator, target } = scene()
    disk.holds = true
    const send = (cdb: number[], data: Uint8Array) => {
      const request = initiator.request(cdb, 1, data)
      target.execute(request)
      return request
    }
    const sames = Array.from({ length: 33 }, () => send(writeSame16(0, 1), pattern(512)))
    const list = Uint8Array.from(unmapList([0, 1]))
    const unmaps = Array.from({ length: 513 }, () => send(unmap(24), list))
    for (const last of [sames.pop()!, unmaps.pop()!]) {
      expect([last.outcome, last.scsiStatus, last.senseLength]).toEqual([ScsiOutcome.DONE, 0x28, 0])
    }
    for (const one of [...sames, ...unmaps]) expect(one.outcome).toBe(ScsiOutcome.PENDING)
    // One ended, one more may come.
    disk.release()
    target.poll(1)
    expect(send(writeSame16(0, 1), pattern(512)).outcome).toBe(ScsiOutcome.PENDING)
    target.resetAll()
    expect(target.poll(1)).toBe(32 + 512)
    expect(send(unmap(24), list).sense[2]).toBe(6)
    expect(send(unmap(24), list).outcome).toBe(ScsiOutcome.PENDING)
  })

  test('two at once keep their blocks apart', () => {
    const { disk, initiator, target } = scene()
    disk.holds = true
    const requests = [1, 2].map((seed) =>
      initiator.request(writeSame16(seed * 500, 200), 1, pattern(512, seed)),
    )
    for (const request of requests) target.execute(request)
    let ended = 0
    for (let turns = 0; ended < 2 && turns < 10; turns++) {
      disk.release()
      ended += target.poll(8)
    }
    for (const seed of [1, 2]) {
      const at = (seed * 500 + 199) * 512
      expect(disk.inner.bytes.subarray(at, at + 512)).toEqual(pattern(512, seed))
    }
  })
})
