// Who is where: addresses, what the absent answer, LUNs that come and go, units that several targets share.

import { DiskUnit, ScsiTarget } from '@guestyard/storage/scsi'
import { describe, expect, test } from 'vitest'
import { HeldDisk } from './held-disk.ts'
import { Initiator, TEST_UNIT_READY, be, hex, packed, inquiry, read10 } from './initiator.ts'

const REPORT_LUNS = [0xa0, 0, 0, 0, 0, 0, ...be(4096, 4), 0, 0]

function at(target: ScsiTarget, path: number, targetId: number, lun: number): Initiator {
  const initiator = new Initiator(target, lun)
  initiator.path = path
  initiator.targetId = targetId
  return initiator
}

describe('where nobody is', () => {
  const target = new ScsiTarget()
  target.attach(0, 0, 0, new DiskUnit(new HeldDisk()))

  test('a command finds no logical unit', () => {
    for (const cdb of [TEST_UNIT_READY, read10(0, 1), [0x25, ...be(0, 9)], [3, 0, 0, 0, 18, 0]]) {
      expect(at(target, 0, 0, 1).in(cdb)).toMatchObject({ outcome: 2, transferred: 0 })
    }
  })

  test('INQUIRY says so in its first byte; LUN 0 has the strings of a disk', () => {
    const lun0 = at(target, 1, 0, 0).in(inquiry())
    expect(lun0).toMatchObject({ outcome: 1, status: 0, transferred: 96 })
    expect(hex(...lun0.bytes.subarray(0, 8))).toBe('7f0005025b000002')
    expect(new TextDecoder().decode(lun0.bytes.subarray(8, 36))).toBe(
      'Msft    Virtual Disk    1.0 ',
    )
    const lun1 = at(target, 0, 0, 1).in(inquiry(36))
    expect(hex(...lun1.bytes)).toBe(`7f0005025b000002${'00'.repeat(28)}`)
  })

  test('INQUIRY of a page is an invalid request', () => {
    for (const cdb of [inquiry(255, 0), inquiry(255, 0x83), [0x12, 0, 0x80, 0, 255, 0]]) {
      expect(at(target, 0, 1, 0).in(cdb)).toMatchObject({ outcome: 4, status: 2, sense: '052400' })
    }
  })

  test('REPORT LUNS works on every path and target, and names nobody', () => {
    expect(hex(...at(target, 3, 1, 0).in(REPORT_LUNS).bytes)).toBe('0000000000000000')
  })
})

describe('LUNs', () => {
  test('an address is path, target and LUN, all three', () => {
    const target = new ScsiTarget()
    const places: [number, number, number][] = [
      [0, 0, 0],
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
      [0, 0, 63],
    ]
    for (const [index, place] of places.entries()) {
      target.attach(...place, new DiskUnit(new HeldDisk(512 * (index + 1))))
    }
    for (const [index, place] of places.entries()) {
      expect(at(target, ...place).in([0x25, ...be(0, 9)]).bytes[3]).toBe(index)
    }
    const reported = at(target, 0, 0, 7).in(REPORT_LUNS).bytes
    expect(hex(...reported)).toBe(
      packed('0000001800000000 0000000000000000 0001000000000000 003f000000000000'),
    )
    expect(hex(...at(target, 1, 0, 0).in(REPORT_LUNS).bytes)).toBe(
      '00000008000000000000000000000000',
    )
  })

  test('REPORT LUNS keeps to its lengths', () => {
    const target = new ScsiTarget()
    target.attach(0, 0, 0, new DiskUnit(new HeldDisk()))
    const unit = at(target, 0, 0, 0)
    expect(unit.in([0xa0, 0, 0, 0, 0, 0, ...be(15, 4), 0, 0]).sense).toBe('052400')
    expect(unit.in([0xa0, 0, 3, 0, 0, 0, ...be(64, 4), 0, 0]).sense).toBe('052400')
    expect(unit.in([0xa0, 0, 1, 0, 0, 0, ...be(64, 4), 0, 0]).bytes.length).toBe(8)
    expect(unit.in(REPORT_LUNS, 10)).toMatchObject({ transferred: 10, asked: 16 })
  })

  test('a place is taken once, and numbers are bytes', () => {
    const target = new ScsiTarget()
    target.attach(0, 0, 0, new DiskUnit(new HeldDisk()))
    expect(() => target.attach(0, 0, 0, new DiskUnit(new HeldDisk()))).toThrow(RangeError)
    expect(() => target.attach(0, 0, 256, new DiskUnit(new HeldDisk()))).toThrow(RangeError)
    expect(target.detach(0, 0, 1)).toBeNull()
  })

  test('changes are counted, told to the listener, and to the other LUNs of that target', () => {
    const target = new ScsiTarget()
    let heard = 0
    target.watch(() => {
      heard += 1
    })
    for (const [path, lun] of [
      [0, 0],
      [0, 1],
      [1, 0],
    ] as const) {
      target.attach(path, 0, lun, new DiskUnit(new HeldDisk()))
    }
    const [first, second, elsewhere] = [
      at(target, 0, 0, 0),
      at(target, 0, 0, 1),
      at(target, 1, 0, 0),
    ]
    // Nobody has asked for anything yet: nobody is told.
    for (const unit of [first, second, elsewhere]) expect(unit.in(TEST_UNIT_READY).status).toBe(0)
    target.attach(0, 0, 2, new DiskUnit(new HeldDisk()))
    expect(first.in(inquiry()).status).toBe(0)
    expect(first.in(TEST_UNIT_READY).sense).toBe('063f0e')
    expect(first.in(TEST_UNIT_READY).status).toBe(0)
    expect(elsewhere.in(TEST_UNIT_READY).status).toBe(0)
    // REPORT LUNS tells it too.
    expect(second.in(REPORT_LUNS).bytes[3]).toBe(24)
    expect(second.in(TEST_UNIT_READY).status).toBe(0)
    target.detach(0, 0, 2)
    expect(first.in(TEST_UNIT_READY).sense).toBe('063f0e')
    expect([heard, target.changes]).toEqual([5, 5])
    expect(at(target, 0, 0, 2).in(TEST_UNIT_READY).outcome).toBe(2)
  })
})
