// MODE SENSE and MODE SELECT of a disk.

import { DiskOperation } from '@guestyard/storage'
import { DiskUnit, ScsiOutcome, ScsiTarget } from '@guestyard/storage/scsi'
import { expect, test } from 'vitest'
import { HeldDisk } from './held-disk.ts'
import { Initiator, TEST_UNIT_READY, be, hex, packed, pattern, write10 } from './initiator.ts'

const CACHING = `081204${'00'.repeat(17)}`
const CONTROL = packed('0a0a00100000 0000ffff0000')

function scene() {
  const disk = new HeldDisk()
  const unit = new DiskUnit(disk)
  const target = new ScsiTarget()
  target.attach(0, 0, 0, unit)
  return { disk, unit, target, initiator: new Initiator(target) }
}

function sense6(page: number, allocation = 255): number[] {
  return [0x1a, 0x08, page, 0, allocation, 0]
}

function sense10(page: number, allocation = 4096): number[] {
  return [0x5a, 0x08, page, 0, 0, 0, 0, ...be(allocation, 2), 0]
}

function cachingPage(writeCache: boolean): number[] {
  return [0x08, 18, writeCache ? 4 : 0, ...be(0, 17)]
}

function select6(list: readonly number[], flags = 0x10): number[] {
  return [0x15, flags, 0, 0, list.length, 0]
}

test('MODE SENSE has a caching page and a control page, with no block descriptors', () => {
  const { initiator } = scene()
  expect(hex(...initiator.in(sense6(0x3f)).bytes)).toBe(`23001000${CACHING}${CONTROL}`)
  expect(hex(...initiator.in(sense6(0x08)).bytes)).toBe(`17001000${CACHING}`)
  expect(hex(...initiator.in(sense10(0x0a)).bytes)).toBe(`0012001000000000${CONTROL}`)
  expect(hex(...initiator.in([0x1a, 0, 0x3f, 0xff, 255, 0]).bytes)).toBe(
    `23001000${CACHING}${CONTROL}`,
  )
})

test('an answer is cut to the allocation length, its own length says how much there is', () => {
  const { initiator } = scene()
  expect(hex(...initiator.in(sense6(0x3f, 4)).bytes)).toBe('23001000')
  expect(initiator.in(sense6(0x3f, 0))).toMatchObject({ status: 0, transferred: 0 })
})

test('the write cache is what can be changed; the default is on; nothing is saved', () => {
  const { initiator } = scene()
  const changeable = initiator.in(sense6(0x7f)).bytes
  expect(hex(...changeable.subarray(4))).toBe(`081204${'00'.repeat(17)}0a0a${'00'.repeat(10)}`)
  expect(hex(...initiator.in(sense6(0xbf)).bytes.subarray(4))).toBe(`${CACHING}${CONTROL}`)
  expect(initiator.in(sense6(0xff)).sense).toBe('053900')
})

test('other pages and subpages are bad fields', () => {
  const { initiator } = scene()
  expect(initiator.in(sense6(0x1c)).sense).toBe('052400')
  expect(initiator.in([0x1a, 0, 0x08, 1, 255, 0]).sense).toBe('052400')
  expect(initiator.in([0x1a, 0, 0x3f, 1, 255, 0]).sense).toBe('052400')
})

test('MODE SELECT turns the write cache off: after a flush, and for every write that follows', () => {
  const { disk, unit, initiator, target } = scene()
  disk.holds = true
  const list = [0, 0, 0, 0, ...cachingPage(false)]
  const request = initiator.request(select6(list), 1, Uint8Array.from(list))
  target.execute(request)
  expect(request.outcome).toBe(ScsiOutcome.PENDING)
  expect(disk.log).toEqual([[DiskOperation.FLUSH, 0, 0, false]])
  disk.release()
  expect(target.poll(1)).toBe(1)
  expect([request.outcome, request.scsiStatus, request.transferredBytes]).toEqual([1, 0, 24])
  expect(unit.writeCache).toBe(false)
  disk.holds = false
  disk.log.length = 0
  initiator.out(write10(0, 1), pattern(512))
  expect(disk.log).toEqual([[DiskOperation.WRITE, 0, 1, true]])
  expect(initiator.in(sense6(0x08)).bytes[6]).toBe(0)
  expect(initiator.in(sense6(0x88)).bytes[6]).toBe(4)
  // A reset brings the default back.
  target.resetAll()
  expect(unit.writeCache).toBe(true)
})

test('MODE SELECT (10) turns it on again, and other initiators are told', () => {
  const { unit, initiator } = scene()
  const second = new ScsiTarget({ initiator: 2 })
  second.attach(0, 0, 0, unit)
  const other = new Initiator(second)
  other.in(TEST_UNIT_READY)
  const list = [...be(0, 8), ...cachingPage(false)]
  const select = [0x55, 0x10, 0, 0, 0, 0, 0, ...be(list.length, 2), 0]
  expect(initiator.out(select, list).status).toBe(0)
  expect(unit.writeCache).toBe(false)
  expect(initiator.in(TEST_UNIT_READY).status).toBe(0)
  expect(other.in(TEST_UNIT_READY).sense).toBe('062a01')
  expect(initiator.out(select, [...be(0, 8), ...cachingPage(true)]).status).toBe(0)
  expect(unit.writeCache).toBe(true)
})

test('what MODE SENSE shows may be sent back', () => {
  const { initiator } = scene()
  const shown = [...initiator.in(sense6(0x3f)).bytes]
  const list = [0, 0, 0, 0, ...shown.slice(4)]
  expect(initiator.out(select6(list), list)).toMatchObject({ status: 0, transferred: 36 })
})

test.each([
  ['a page that isn’t there', [0, 0, 0, 0, 0x1c, 10, ...be(0, 10)], '052600'],
  ['a page that ends early', [0, 0, 0, 0, 0x08, 18, 4], '051a00'],
  ['a page of another length', [0, 0, 0, 0, 0x08, 10, 4, ...be(0, 17)], '052600'],
  ['a bit that can’t be changed', [0, 0, 0, 0, 0x08, 18, 5, ...be(0, 17)], '052600'],
  ['a block descriptor', [0, 0, 0, 8, ...be(0, 8), ...cachingPage(true)], '052600'],
  ['a header that ends early', [0, 0, 0], '051a00'],
  ['a good page and a bad one', [0, 0, 0, 0, ...cachingPage(false), 0x01, 10], '052600'],
])('MODE SELECT with %s changes nothing', (_, list, sense) => {
  const { unit, initiator } = scene()
  expect(initiator.out(select6(list), list)).toMatchObject({ status: 2, sense, transferred: 0 })
  expect(unit.writeCache).toBe(true)
})

test('MODE SELECT saves nothing, knows no other format, and takes nothing well', () => {
  const { initiator } = scene()
  const list = [0, 0, 0, 0, ...cachingPage(false)]
  expect(initiator.out(select6(list, 0x11), list).sense).toBe('052400')
  expect(initiator.out(select6(list, 0x00), list).sense).toBe('052400')
  expect(initiator.out(select6(list), list.slice(0, 10)).sense).toBe('051a00')
  expect(initiator.out(select6([]), [])).toMatchObject({ status: 0 })
  // A list longer than any there is.
  expect(
    initiator.out([0x55, 0x10, 0, 0, 0, 0, 0, 0xff, 0xff, 0], new Uint8Array(65535)).sense,
  ).toBe('051a00')
})
