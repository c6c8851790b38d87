// Commands that a disk keeps: polled, aborted, reset, detached.

import { DiskUnit, ScsiOutcome, ScsiTarget } from '@guestyard/storage/scsi'
import { expect, test } from 'vitest'
import { HeldDisk } from './held-disk.ts'
import { Initiator, TEST_UNIT_READY, read10 } from './initiator.ts'

const { ABORTED, DONE, NO_LOGICAL_UNIT, PENDING } = ScsiOutcome

function scene() {
  const disk = new HeldDisk()
  disk.holds = true
  const unit = new DiskUnit(disk)
  const targets = [new ScsiTarget({ initiator: 1 }), new ScsiTarget({ initiator: 2 })] as const
  const initiators = targets.map((target) => {
    target.attach(0, 0, 0, unit)
    return new Initiator(target)
  })
  const read = (host: 0 | 1) => {
    const request = initiators[host]!.request(read10(0, 1), 2, new Uint8Array(512))
    targets[host].execute(request)
    return request
  }
  return { disk, unit, targets, initiators, read }
}

test('a command is pending until its disk has ended it, in whatever order', () => {
  const { disk, unit, targets, read } = scene()
  const [first, second] = [read(0), read(0)]
  expect([first.outcome, second.outcome, unit.inFlight]).toEqual([PENDING, PENDING, 2])
  expect(targets[0].poll(8)).toBe(0)
  expect(targets[0].nextDeadlineMs()).toBe(5)
  disk.release(1)
  expect(targets[0].poll(8)).toBe(1)
  expect([first.outcome, second.outcome, unit.inFlight]).toEqual([PENDING, DONE, 1])
  disk.release()
  expect(targets[0].poll(8)).toBe(1)
  expect([first.outcome, first.scsiStatus, first.transferredBytes]).toEqual([DONE, 0, 512])
  expect(targets[0].nextDeadlineMs()).toBe(Infinity)
})

test('what one target’s poll ends of another’s, the other counts', () => {
  const { disk, targets, read } = scene()
  const request = read(1)
  disk.release()
  expect(targets[0].poll(8)).toBe(0)
  expect(request.outcome).toBe(DONE)
  expect([targets[1].poll(8), targets[1].poll(8)]).toEqual([1, 0])
})

test('an aborted command has ended at once where its disk can, and later where it can’t', () => {
  const { disk, targets, read } = scene()
  const [first, second] = [read(0), read(0)]
  targets[0].abort(first)
  expect([first.outcome, second.outcome]).toEqual([ABORTED, PENDING])
  disk.abortsAtOnce = false
  targets[0].abort(second)
  expect(second.outcome).toBe(PENDING)
  expect(targets[0].poll(8)).toBe(2)
  expect([second.outcome, second.transferredBytes]).toEqual([ABORTED, 0])
  targets[0].abort(second)
  expect(targets[0].poll(8)).toBe(0)
})

test('a disk that was past giving up ends a command well', () => {
  const { disk, targets, read } = scene()
  const request = read(0)
  disk.release()
  targets[0].abort(request)
  targets[0].poll(8)
  expect([request.outcome, request.scsiStatus]).toEqual([DONE, 0])
})

test('a reset gives up what every initiator has under way, and tells each', () => {
  const { disk, targets, initiators, read } = scene()
  const [mine, theirs] = [read(0), read(1)]
  targets[0].resetUnit(0, 0, 0)
  targets[0].resetUnit(0, 0, 5)
  expect([mine.outcome, theirs.outcome]).toEqual([ABORTED, ABORTED])
  expect([targets[0].poll(8), targets[1].poll(8)]).toEqual([1, 1])
  disk.holds = false
  for (const one of initiators) {
    expect(one.in(TEST_UNIT_READY).sense).toBe('062903')
    expect(one.in(TEST_UNIT_READY).status).toBe(0)
  }
})

test('several attentions are told one by one, a reset first', () => {
  const { disk, targets, initiators } = scene()
  const [one] = initiators
  one!.in(TEST_UNIT_READY)
  targets[0].attach(0, 0, 1, new DiskUnit(new HeldDisk()))
  disk.geometry = { ...disk.geometry, blockCount: 5 }
  targets[0].resetAll()
  const told = [1, 2, 3, 4].map(() => one!.in(TEST_UNIT_READY).sense)
  expect(told).toEqual(['062902', '062a09', '063f0e', ''])
})

test('a disk that has grown says so after MODE SENSE (6), whose sense Linux throws away', () => {
  const { disk, initiators } = scene()
  const [one] = initiators
  one!.in(TEST_UNIT_READY)
  disk.geometry = { ...disk.geometry, blockCount: 5 }
  expect(one!.in([0x1a, 0, 0x3f, 0, 192, 0])).toMatchObject({ status: 0 })
  expect(one!.in([0x12, 0, 0, 0, 36, 0])).toMatchObject({ status: 0 })
  expect(one!.in(TEST_UNIT_READY).sense).toBe('062a09')
  expect(one!.in(TEST_UNIT_READY).status).toBe(0)
})

test('detached: its own commands are given up, the other target’s go on', () => {
  const { disk, unit, targets, read } = scene()
  disk.abortsAtOnce = false
  const [mine, theirs] = [read(0), read(1)]
  expect(targets[0].detach(0, 0, 0)).toBe(unit)
  expect(read(0).outcome).toBe(NO_LOGICAL_UNIT)
  expect([mine.outcome, targets[0].inspect().leaving]).toEqual([PENDING, 1])
  expect(targets[0].poll(8)).toBe(1)
  expect([mine.outcome, targets[0].inspect().leaving]).toEqual([ABORTED, 0])
  expect([theirs.outcome, unit.inFlight]).toEqual([PENDING, 1])
  disk.release()
  expect(targets[1].poll(8)).toBe(1)
  expect(theirs.outcome).toBe(DONE)
})

test('detached with nothing under way, a unit is let go of at once: nobody may ever poll again', () => {
  const { disk, targets, read } = scene()
  const request = read(0)
  targets[0].detach(0, 0, 0)
  expect([request.outcome, targets[0].inspect().leaving]).toEqual([ABORTED, 0])
  expect([targets[0].poll(8), targets[0].poll(8)]).toEqual([1, 0])
  // Its reservation goes with it.
  disk.holds = false
  const again = new DiskUnit(disk)
  targets[0].attach(0, 0, 0, again)
  targets[1].attach(0, 0, 1, again)
  expect(new Initiator(targets[0]).in([0x16, 0, 0, 0, 0, 0]).status).toBe(0)
  const other = new Initiator(targets[1], 1)
  expect(other.in(TEST_UNIT_READY).status).toBe(0x18)
  targets[0].detach(0, 0, 0)
  expect(other.in(TEST_UNIT_READY).status).toBe(0)
})

test('a disk that its owner closes meanwhile ends its commands all the same', () => {
  const { disk, targets, read } = scene()
  const request = read(0)
  // As `close` does: the statuses are set, and nobody counts them.
  disk.abort(request.io)
  expect(targets[0].poll(8)).toBe(1)
  expect(request.outcome).toBe(ABORTED)
})

test('inspect shows who is where and what is under way', () => {
  const { targets, read } = scene()
  read(0)
  expect(targets[0].inspect()).toEqual({
    units: [{ path: 0, target: 0, lun: 0, kind: 'disk', inFlight: 1 }],
    leaving: 0,
    changes: 1,
  })
})
