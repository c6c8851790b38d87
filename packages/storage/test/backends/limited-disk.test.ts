import { DiskOperation, DiskRequest, DiskStatus, LimitedDisk, MemoryDisk } from '@guestyard/storage'
import { diskContract } from '@guestyard/storage/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const SIZE_BYTES = 2 ** 20

function memoryDisk(): MemoryDisk {
  return new MemoryDisk({ sizeBytes: SIZE_BYTES })
}

describe('a limited disk', () => {
  const clock = { nowMs: 0 }
  const suite = diskContract(fc, {
    make: () => new LimitedDisk(memoryDisk(), clock, { iops: 10, bytesPerSecond: 100_000 }),
    turn: (disk) => {
      const deadlineMs = disk.nextDeadlineMs()
      if (deadlineMs !== Infinity) clock.nowMs = Math.max(clock.nowMs, deadlineMs)
      return Promise.resolve()
    },
    runs: 30,
  })
  for (const { name, run } of suite) test(name, run)
})

/** How many of `count` reads a second lets through, for so many seconds. */
function readsPerSecond(limits: object, blocks: number, seconds: number): number {
  const clock = { nowMs: 5000 }
  const disk = new LimitedDisk(memoryDisk(), clock, limits)
  const requests = Array.from({ length: 20_000 }, () => read(blocks))
  for (const request of requests) disk.submit(request)
  let polls = 0
  for (;;) {
    const deadlineMs = disk.nextDeadlineMs()
    if (deadlineMs > 5000 + seconds * 1000) break
    clock.nowMs = Math.max(clock.nowMs, deadlineMs)
    expect(disk.poll(1)).toBe(1)
    polls += 1
  }
  expect(polls).toBeLessThan(20_000)
  return requests.filter((request) => request.status === DiskStatus.OK).length / seconds
}

test('operations are counted in units of 8 KiB', () => {
  expect(readsPerSecond({ iops: 200 }, 1, 20)).toBeCloseTo(200, -1)
  expect(readsPerSecond({ iops: 200 }, 16, 20)).toBeCloseTo(200, -1)
  expect(readsPerSecond({ iops: 200 }, 17, 20)).toBeCloseTo(100, -1)
})

test('bytes are counted as they are, and the tighter limit holds', () => {
  expect(readsPerSecond({ bytesPerSecond: 51_200 }, 1, 20)).toBeCloseTo(100, -1)
  expect(readsPerSecond({ bytesPerSecond: 51_200, iops: 40 }, 1, 20)).toBeCloseTo(40, -1)
})

test('a disk that rested long may do no more at once than in 50 ms', () => {
  const clock = { nowMs: 0 }
  const disk = new LimitedDisk(memoryDisk(), clock, { iops: 1000 })
  clock.nowMs = 3_600_000
  const requests = Array.from({ length: 200 }, () => read(1))
  for (const request of requests) disk.submit(request)
  const atOnce = requests.filter((request) => request.status === DiskStatus.OK).length
  expect(atOnce).toBe(51)
})

test('a flush goes ahead of reads that wait, and an abort takes one out', () => {
  const clock = { nowMs: 0 }
  const disk = new LimitedDisk(memoryDisk(), clock, { iops: 1 })
  const [first, second, third] = [read(1), read(1), read(1)]
  for (const request of [first, second, third]) disk.submit(request)
  const flush = new DiskRequest(0)
  flush.operation = DiskOperation.FLUSH
  disk.submit(flush)
  disk.abort(second)
  expect([first, second, third, flush].map((request) => request.status)).toEqual([
    DiskStatus.OK,
    DiskStatus.ABORTED,
    DiskStatus.PENDING,
    DiskStatus.OK,
  ])
  disk.close()
  expect([third.status, disk.closed]).toEqual([DiskStatus.ABORTED, true])
})

test('zeros that are written count as a write of as many bytes', () => {
  const clock = { nowMs: 0 }
  const disk = new LimitedDisk(memoryDisk(), clock, { bytesPerSecond: 512_000 })
  const requests = [new DiskRequest(0), new DiskRequest(0)]
  for (const request of requests) {
    request.operation = DiskOperation.WRITE_ZEROES
    request.blockCount = 256
    disk.submit(request)
  }
  for (const nowMs of [0, 205, 207]) {
    clock.nowMs = nowMs
    // What is let through goes on in the next poll.
    disk.poll(256)
    disk.poll(256)
    expect(requests.map(({ status }) => status)).toEqual([0, nowMs > 206 ? 0 : DiskStatus.PENDING])
  }
})

test('other limits hold from the next request on', () => {
  const clock = { nowMs: 0 }
  const disk = new LimitedDisk(memoryDisk(), clock, { iops: 0.001 })
  disk.submit(read(1))
  const waiting = read(1)
  disk.submit(waiting)
  expect(disk.nextDeadlineMs()).toBeGreaterThan(900_000)
  disk.setLimits({})
  expect(disk.poll(1)).toBe(1)
})

function read(blocks: number): DiskRequest {
  const request = new DiskRequest(1)
  request.blockCount = blocks
  request.data.beginBytes(BYTES)
  request.data.add(0, blocks * 512)
  return request
}

const BYTES = new Uint8Array(32 * 512)
