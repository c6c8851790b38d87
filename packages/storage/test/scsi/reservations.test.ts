// Two and three initiators that share a disk: who may do what, by SPC-4.

import { DiskOperation } from '@guestyard/storage'
import { DiskUnit, ScsiOutcome, ScsiTarget } from '@guestyard/storage/scsi'
import { describe, expect, test } from 'vitest'
import { HeldDisk } from './held-disk.ts'
import {
  Initiator,
  TEST_UNIT_READY,
  be,
  hex,
  inquiry,
  pattern,
  read10,
  write10,
} from './initiator.ts'

const GOOD = 0x00
const CONFLICT = 0x18
const [REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_IGNORE] = [
  0, 1, 2, 3, 4, 5, 6,
]
const [WRITE_EXCLUSIVE, EXCLUSIVE, WRITE_EXCLUSIVE_RO, EXCLUSIVE_AR] = [1, 3, 5, 8]

function scene() {
  const disk = new HeldDisk()
  const unit = new DiskUnit(disk)
  const targets = [1, 2, 3].map((initiator) => new ScsiTarget({ initiator }))
  for (const target of targets) target.attach(0, 0, 0, unit)
  const [a, b, c] = targets.map((target) => new Initiator(target)) as [
    Initiator,
    Initiator,
    Initiator,
  ]
  for (const one of [a, b, c]) one.in(TEST_UNIT_READY)
  return { disk, unit, targets, a, b, c }
}

function out(one: Initiator, action: number, own: number, other = 0, type = 0, flags = 0) {
  const list = [...be(own, 8), ...be(other, 8), 0, 0, 0, 0, flags, 0, 0, 0]
  return one.out([0x5f, action, type, 0, 0, ...be(24, 4), 0], list)
}

function reserveIn(one: Initiator, action: number): string {
  return hex(...one.in([0x5e, action, 0, 0, 0, 0, 0, ...be(4096, 2), 0]).bytes)
}

function canRead(one: Initiator): boolean {
  return one.in(read10(0, 1)).status === GOOD
}

function canWrite(one: Initiator): boolean {
  return one.out(write10(0, 1), pattern(512)).status === GOOD
}

describe('persistent reservations', () => {
  test('keys are registered, changed and taken away, and each time counted', () => {
    const { a, b } = scene()
    expect(reserveIn(a, 0)).toBe('0000000000000000')
    expect(out(a, REGISTER, 0, 0xa1).status).toBe(GOOD)
    expect(out(b, REGISTER_IGNORE, 99, 0xb1).status).toBe(GOOD)
    expect(reserveIn(b, 0)).toBe(`0000000200000010${hex(...be(0xa1, 8), ...be(0xb1, 8))}`)
    expect(out(a, REGISTER, 0, 0xa2).status).toBe(CONFLICT)
    expect(out(a, REGISTER, 0xa1, 0xa2).status).toBe(GOOD)
    expect(out(b, REGISTER, 0xb1, 0).status).toBe(GOOD)
    expect(reserveIn(b, 0)).toBe(`0000000400000008${hex(...be(0xa2, 8))}`)
  })

  test('write exclusive: others read, the holder writes, registered or not', () => {
    const { a, b, c } = scene()
    out(a, REGISTER, 0, 0xa)
    out(b, REGISTER, 0, 0xb)
    expect(out(a, RESERVE, 0xa, 0, WRITE_EXCLUSIVE).status).toBe(GOOD)
    expect(reserveIn(b, 1)).toBe(`0000000200000010${hex(...be(0xa, 8))}0000000000010000`)
    expect([a, b, c].map(canRead)).toEqual([true, true, true])
    expect([a, b, c].map(canWrite)).toEqual([true, false, false])
    for (const cdb of [TEST_UNIT_READY, inquiry(), [0x25, ...be(0, 9)], [0x1a, 0, 8, 0, 255, 0]]) {
      expect(c.in(cdb).status).toBe(GOOD)
    }
    expect(c.in([0x35, ...be(0, 9)])).toMatchObject({ status: CONFLICT, sense: '', outcome: 1 })
  })

  test('exclusive access: others neither read nor write', () => {
    const { a, b } = scene()
    out(a, REGISTER, 0, 0xa)
    out(a, RESERVE, 0xa, 0, EXCLUSIVE)
    expect([canRead(a), canRead(b), canWrite(a), canWrite(b)]).toEqual([true, false, true, false])
    expect(b.in([0x2f, ...be(0, 9)]).status).toBe(CONFLICT)
  })

  test('registrants only: who is registered may do everything', () => {
    const { a, b, c } = scene()
    out(a, REGISTER, 0, 0xa)
    out(b, REGISTER, 0, 0xb)
    out(a, RESERVE, 0xa, 0, WRITE_EXCLUSIVE_RO)
    expect([a, b, c].map(canWrite)).toEqual([true, true, false])
    expect(canRead(c)).toBe(true)
    // Released: those who were registered are told.
    expect(out(a, RELEASE, 0xa, 0, WRITE_EXCLUSIVE_RO).status).toBe(GOOD)
    expect(b.in(TEST_UNIT_READY).sense).toBe('062a04')
    expect(canWrite(c)).toBe(true)
  })

  test('all registrants hold it until the last one leaves', () => {
    const { a, b, c } = scene()
    out(a, REGISTER, 0, 0xa)
    out(b, REGISTER, 0, 0xb)
    out(a, RESERVE, 0xa, 0, EXCLUSIVE_AR)
    expect(reserveIn(c, 1)).toBe(`0000000200000010${'00'.repeat(13)}080000`)
    expect([canRead(b), canRead(c)]).toEqual([true, false])
    out(a, REGISTER, 0xa, 0)
    expect([canRead(a), canRead(b)]).toEqual([false, true])
    out(b, REGISTER, 0xb, 0)
    expect([a, b, c].map(canRead)).toEqual([true, true, true])
  })

  test('one reservation at a time, of one type, released by its holder with that type', () => {
    const { a, b } = scene()
    out(a, REGISTER, 0, 0xa)
    out(b, REGISTER, 0, 0xb)
    expect(out(a, RESERVE, 0xbad, 0, WRITE_EXCLUSIVE).status).toBe(CONFLICT)
    expect(out(a, RESERVE, 0xa, 0, WRITE_EXCLUSIVE).status).toBe(GOOD)
    expect(out(a, RESERVE, 0xa, 0, WRITE_EXCLUSIVE).status).toBe(GOOD)
    expect(out(a, RESERVE, 0xa, 0, EXCLUSIVE).status).toBe(CONFLICT)
    expect(out(b, RESERVE, 0xb, 0, WRITE_EXCLUSIVE).status).toBe(CONFLICT)
    expect(out(b, RELEASE, 0xb, 0, WRITE_EXCLUSIVE).status).toBe(GOOD)
    expect(canWrite(b)).toBe(false)
    expect(out(a, RELEASE, 0xa, 0, EXCLUSIVE).sense).toBe('052604')
    expect(out(a, RELEASE, 0xa, 0, WRITE_EXCLUSIVE).status).toBe(GOOD)
    expect(canWrite(b)).toBe(true)
  })

  test('a holder that takes its registration away releases', () => {
    const { a, b } = scene()
    out(a, REGISTER, 0, 0xa)
    out(a, RESERVE, 0xa, 0, EXCLUSIVE)
    out(a, REGISTER, 0xa, 0)
    expect(canWrite(b)).toBe(true)
    expect(out(a, RESERVE, 0, 0, EXCLUSIVE).status).toBe(CONFLICT)
  })

  test('preempting takes the registration, and the reservation with it', () => {
    const { a, b } = scene()
    out(a, REGISTER, 0, 0xa)
    out(b, REGISTER, 0, 0xb)
    out(a, RESERVE, 0xa, 0, WRITE_EXCLUSIVE)
    expect(out(b, PREEMPT, 0xb, 0xdead, EXCLUSIVE).status).toBe(CONFLICT)
    expect(out(b, PREEMPT, 0xb, 0, EXCLUSIVE).sense).toBe('052600')
    expect(out(b, PREEMPT, 0xb, 0xa, EXCLUSIVE).status).toBe(GOOD)
    expect(a.in(TEST_UNIT_READY).sense).toBe('062a05')
    expect([canRead(a), canWrite(b)]).toEqual([false, true])
    expect(reserveIn(b, 0)).toBe(`0000000300000008${hex(...be(0xb, 8))}`)
  })

  test('preempt and abort gives up what the preempted has under way', () => {
    const { disk, targets, a, b } = scene()
    out(a, REGISTER, 0, 0xa)
    out(b, REGISTER, 0, 0xb)
    disk.holds = true
    const request = a.request(read10(0, 1), 2, new Uint8Array(512))
    a.target.execute(request)
    const mine = b.request(read10(0, 1), 2, new Uint8Array(512))
    b.target.execute(mine)
    expect(out(b, PREEMPT_AND_ABORT, 0xb, 0xa, EXCLUSIVE).status).toBe(GOOD)
    expect([request.outcome, mine.outcome]).toEqual([ScsiOutcome.ABORTED, ScsiOutcome.PENDING])
    // Each target counts its own.
    expect([targets[0]!.poll(8), targets[1]!.poll(8)]).toEqual([1, 0])
  })

  test('clear forgets all keys and the reservation, and tells those who had one', () => {
    const { a, b, c } = scene()
    out(a, REGISTER, 0, 0xa)
    out(b, REGISTER, 0, 0xb)
    out(a, RESERVE, 0xa, 0, EXCLUSIVE)
    expect(out(c, CLEAR, 0xc).status).toBe(CONFLICT)
    expect(out(b, CLEAR, 0xb).status).toBe(GOOD)
    expect(a.in(TEST_UNIT_READY).sense).toBe('062a03')
    expect(reserveIn(c, 0)).toBe('0000000300000000')
    expect(canWrite(c)).toBe(true)
  })

  test('capabilities: six types, nothing that outlives the unit', () => {
    expect(reserveIn(scene().a, 2)).toBe('00080080ea010000')
  })

  test('a reset leaves them as they are', () => {
    const { a, b } = scene()
    out(a, REGISTER, 0, 0xa)
    out(a, RESERVE, 0xa, 0, EXCLUSIVE)
    b.target.resetAll()
    expect(b.in(TEST_UNIT_READY).sense).toBe('062902')
    expect(canRead(b)).toBe(false)
  })

  test('bad fields are told apart', () => {
    const { a } = scene()
    out(a, REGISTER, 0, 0xa)
    expect(out(a, RESERVE, 0xa, 0, 2).sense).toBe('052400')
    expect(out(a, RESERVE, 0xa, 0, 0x11).sense).toBe('052400')
    expect(out(a, 7, 0xa).sense).toBe('052400')
    // Keep through loss of power, all target ports, other initiators: none of it.
    for (const flag of [1, 4, 8]) expect(out(a, REGISTER, 0xa, 0xa, 0, flag).sense).toBe('052600')
    expect(a.out([0x5f, 0, 0, 0, 0, ...be(23, 4), 0], new Uint8Array(23)).sense).toBe('051a00')
    expect(a.out([0x5f, 0, 0, 0, 0, ...be(24, 4), 0], new Uint8Array(10)).sense).toBe('051a00')
    expect(a.in([0x5e, 3, 0, 0, 0, 0, 0, 0, 255, 0]).sense).toBe('052400')
  })

  test('64 initiators register, the next one finds no room', () => {
    const unit = new DiskUnit(new HeldDisk())
    const statuses: string[] = []
    for (let initiator = 0; initiator < 65; initiator++) {
      const target = new ScsiTarget({ initiator })
      target.attach(0, 0, 0, unit)
      statuses.push(out(new Initiator(target), REGISTER, 0, initiator + 1).sense)
    }
    expect(statuses.filter((sense) => sense === '').length).toBe(64)
    expect(statuses[64]).toBe('055504')
  })
})

describe('RESERVE and RELEASE', () => {
  test('another initiator may look who is there, and no more', () => {
    const { disk, a, b } = scene()
    expect(a.in([0x16, 0, 0, 0, 0, 0]).status).toBe(GOOD)
    expect([canRead(a), canRead(b), canWrite(b)]).toEqual([true, false, false])
    expect(b.in(TEST_UNIT_READY).status).toBe(CONFLICT)
    expect(b.in(inquiry()).status).toBe(GOOD)
    expect(b.in([3, 0, 0, 0, 18, 0]).status).toBe(GOOD)
    expect(b.in([0x17, 0, 0, 0, 0, 0]).status).toBe(GOOD)
    expect(canRead(b)).toBe(false)
    expect(a.in([0x57, ...be(0, 9)]).status).toBe(GOOD)
    expect(canRead(b)).toBe(true)
    expect(disk.log.every(([operation]) => operation === DiskOperation.READ)).toBe(true)
  })

  test('a reset releases, and so does who leaves', () => {
    const { targets, a, b } = scene()
    a.in([0x56, ...be(0, 9)])
    targets[1]!.resetUnit(0, 0, 0)
    b.in(TEST_UNIT_READY)
    expect(canRead(b)).toBe(true)
    a.in(TEST_UNIT_READY)
    a.in([0x56, ...be(0, 9)])
    expect(canRead(b)).toBe(false)
    targets[0]!.detach(0, 0, 0)
    targets[0]!.poll(1)
    expect(canRead(b)).toBe(true)
  })

  test('not where keys are registered', () => {
    const { a, b } = scene()
    out(a, REGISTER, 0, 0xa)
    expect(b.in([0x16, 0, 0, 0, 0, 0]).status).toBe(CONFLICT)
  })
})
