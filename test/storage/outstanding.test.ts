// Requests that are under way when something ends: the disk goes, the guest goes, or both stay and only time passes.

import { expect, test } from 'vitest'

import type { GuestDisk } from '@guestyard/child-partition'

import { SlowDisk } from './slow-disk.ts'
import { Yard, diskAt } from './yard.ts'

interface Slow {
  readonly yard: Yard
  readonly disks: Map<string, SlowDisk>
}

/** A yard whose disks hold every request; those that are still looked at by a driver are quick. */
function slowYard(): Slow {
  const disks = new Map<string, SlowDisk>()
  const yard: Yard = new Yard((path, wake) => {
    const disk = new SlowDisk(wake, () => yard.clock.nowMs)
    disks.set(path, disk)
    return disk
  })
  return { yard, disks }
}

/** What becomes of a promise, without waiting for it. */
function outcomeOf(promise: Promise<unknown>): { text: string } {
  const outcome = { text: 'pending' }
  promise.then(
    () => (outcome.text = 'done'),
    (error: unknown) => (outcome.text = (error as Error).message),
  )
  return outcome
}

async function held(yard: Yard, disk: SlowDisk, count: number): Promise<void> {
  for (let loop = 0; loop < 100 && disk.heldCount < count; loop += 1) await yard.turns()
  expect(disk.heldCount).toBe(count)
}

async function diskOf(
  yard: Yard,
  name: string,
): Promise<{ stop: () => void; id: number; disk: GuestDisk }> {
  const { guest, stop, partitionId } = await yard.start(name, [name])
  return { stop, id: partitionId, disk: await yard.until(guest.disks.get(0)) }
}

test('a disk that ends its requests later wakes its guest, and nobody polls it meanwhile', async () => {
  const { yard, disks } = slowYard()
  const { disk } = await diskOf(yard, 'a')
  const slow = disks.get('a')!
  const restMs = yard.root.nextDeadlineMs()
  const reads = [0, 8, 16].map((block) => disk.read(block, 8))
  await held(yard, slow, 3)
  // Asleep: the channel is armed, and no deadline is near.
  for (let loop = 0; loop < 20; loop += 1) await yard.turns()
  expect(yard.root.arm()).toBe(false)
  expect(yard.root.nextDeadlineMs()).toBe(restMs)
  const before = slow.polls
  for (let turn = 0; turn < 50; turn += 1) yard.root.poll(64)
  expect(slow.polls).toBe(before)
  slow.release()
  expect((await yard.until(Promise.all(reads))).map((bytes) => bytes.length)).toEqual([
    4096, 4096, 4096,
  ])
})

test("a disk's deadline is the root's, and what is due is done when it comes", async () => {
  const { yard, disks } = slowYard()
  const { disk } = await diskOf(yard, 'a')
  const slow = disks.get('a')!
  const restMs = yard.root.nextDeadlineMs()
  const read = outcomeOf(disk.read(0, 8))
  await held(yard, slow, 1)
  slow.dueMs = yard.clock.nowMs + 250
  for (let loop = 0; loop < 20; loop += 1) await yard.turns()
  expect(yard.root.nextDeadlineMs()).toBe(slow.dueMs)
  yard.clock.advanceMs(249)
  for (let loop = 0; loop < 5; loop += 1) await yard.turns()
  expect(read.text).toBe('pending')
  yard.clock.advanceMs(1)
  for (let loop = 0; loop < 5; loop += 1) await yard.turns()
  expect(read.text).toBe('done')
  expect(yard.root.nextDeadlineMs()).toBe(restMs)
})

test('a disk that is taken out gives up what it has; a flush it must end first, and then its image is free', async () => {
  const { yard, disks } = slowYard()
  const { disk, id } = await diskOf(yard, 'a')
  const slow = disks.get('a')!
  const read = outcomeOf(disk.read(0, 8))
  const flush = outcomeOf(disk.flush())
  await held(yard, slow, 2)
  let isFree = false
  void yard.root
    .disksOf(id)!
    .detach(diskAt(0, 'a'))!
    .then(() => (isFree = true))
  for (let loop = 0; loop < 10; loop += 1) await yard.turns()
  expect(slow.aborted).toBe(1)
  expect(read.text).toMatch(/^scsi0:0: read of block 0: /)
  expect([flush.text, isFree, slow.closed]).toEqual(['pending', false, false])
  slow.release()
  for (let loop = 0; loop < 10; loop += 1) await yard.turns()
  expect(flush.text).not.toBe('pending')
  expect([isFree, slow.closed]).toEqual([true, true])
  expect(disk.isPresent).toBe(false)
})

test('a partition that is deleted in the middle of its requests lets its images go, and its neighbour works on', async () => {
  const { yard, disks } = slowYard()
  const first = await diskOf(yard, 'a')
  const second = await diskOf(yard, 'b')
  const slow = disks.get('a')!
  for (let block = 0; block < 10; block += 1) first.disk.read(block, 1).catch(() => {})
  first.disk.flush().catch(() => {})
  await held(yard, slow, 11)
  first.stop()
  let isFree = false
  void yard.root.deletePartition(first.id).then(() => (isFree = true))
  expect(slow.heldCount).toBe(1)
  disks.get('b')!.isQuick = true
  expect(await yard.until(second.disk.read(0, 8))).toHaveLength(4096)
  expect(isFree).toBe(false)
  slow.release()
  for (let loop = 0; loop < 10; loop += 1) await yard.turns()
  expect([isFree, slow.closed, yard.lost]).toEqual([true, true, []])
  expect(yard.root.inspect().partitions.map(({ name }) => name)).toEqual(['b'])
})
