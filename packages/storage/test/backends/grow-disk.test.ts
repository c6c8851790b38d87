// Disks that become larger while they are used.

import { DiskOperation, DiskRequest, DiskStatus, ImageError, MemoryDisk } from '@guestyard/storage'
import { LimitedDisk, RawDisk, growDisk } from '@guestyard/storage'
import { MemoryFile } from '@guestyard/storage/testing'
import { describe, expect, test } from 'vitest'

const BYTES = 8 * 512

function fileOf(options: { readOnly?: boolean; slowSyncs?: boolean } = {}): MemoryFile {
  return new MemoryFile({ name: 'a.img', bytes: new Uint8Array(BYTES), ...options })
}

function problemOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof ImageError) return error.message
    throw error
  }
  return ''
}

describe('a raw disk', () => {
  test('has its new blocks when its larger file is durable, and not before', () => {
    const file = fileOf({ slowSyncs: true })
    const disk = new RawDisk(file)
    const limited = new LimitedDisk(disk, { nowMs: 0 }, { iops: 1000 })
    const job = growDisk(disk, 2 * BYTES, 'a.img')
    expect(job.step()).toBe(false)
    expect([file.sizeBytes, disk.geometry.blockCount]).toEqual([2 * BYTES, 8])
    file.endSyncs()
    expect(job.step()).toBe(true)
    expect([disk.geometry.blockCount, limited.geometry.blockCount]).toEqual([16, 16])
    const read = new DiskRequest(1)
    read.operation = DiskOperation.READ
    read.block = 15
    read.blockCount = 1
    const into = new Uint8Array(512).fill(1)
    read.data.beginBytes(into)
    read.data.add(0, 512)
    disk.submit(read)
    expect([read.status, into[0]]).toEqual([DiskStatus.OK, 0])
  })

  test('keeps its size when the host has no room, or the disk is closed before it is done', () => {
    const full = fileOf()
    full.roomBytes = BYTES
    const disk = new RawDisk(full)
    const job = growDisk(disk, 2 * BYTES, 'a.img')
    expect(problemOf(() => job.step())).toMatch(/^a\.img: size: ./)
    expect(disk.geometry.blockCount).toBe(8)

    const file = fileOf({ slowSyncs: true })
    const closing = new RawDisk(file)
    const late = growDisk(closing, 2 * BYTES, 'a.img')
    expect(late.step()).toBe(false)
    closing.close()
    file.endSyncs()
    closing.poll(1)
    expect(problemOf(() => late.step())).toBe('a.img: size: the disk was closed')
  })
})

test('sizes that can not be, and disks that can not grow, are refused in one line', () => {
  const disk = new RawDisk(fileOf())
  const sizes = [BYTES - 512, BYTES + 1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]
  const problems = sizes.map((sizeBytes) => problemOf(() => growDisk(disk, sizeBytes, 'a.img')))
  expect(problems[0]).toBe(
    'a.img: size: 3584 bytes are fewer than the 4096 it has: a disk in use gets no smaller',
  )
  for (const problem of problems.slice(1)) expect(problem).toMatch(/are no whole number of blocks/)
  expect(disk.geometry.blockCount).toBe(8)

  const only = 'only VHDX and raw images grow while they are used'
  const memory = new MemoryDisk({ sizeBytes: BYTES })
  expect(problemOf(() => growDisk(memory, 2 * BYTES, 'memory'))).toBe(`memory: size: ${only}`)
  // As the disk of a fixed VHD has it: a footer follows.
  const part = new RawDisk(fileOf(), { sizeBytes: BYTES - 512 })
  expect(problemOf(() => growDisk(part, 2 * BYTES, 'a.vhd'))).toBe(`a.vhd: size: ${only}`)
  const readOnly = new RawDisk(fileOf({ readOnly: true }))
  expect(problemOf(() => growDisk(readOnly, 2 * BYTES, 'a.img'))).toContain('is only read')
})
