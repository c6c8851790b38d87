// The power goes at change after change of the image, while a guest writes to it over the bus: whatever of the changes had reached the file,
// what the guest was told is flushed is there. One thread and a seed.

import { describe, expect, test } from 'vitest'

import type { Guest } from '@guestyard/child-partition'
import { parseGuid, type Guid } from '@guestyard/hvdef'
import {
  DiskRequest,
  DiskStatus,
  RawDisk,
  createVhd,
  createVhdx,
  openVhd,
  openVhdx,
  type Disk,
} from '@guestyard/storage'
import { MemoryFile } from '@guestyard/storage/testing'

import { Yard, diskAt } from '../yard.ts'
import { Oracle, batchOf, fillBlock } from './work.ts'

const SEED = 11
const BATCHES = 3

interface Format {
  readonly name: string
  readonly sizeBytes: number
  /** Changes from one cut to the next: an image that is changed often is cut less often here. */
  readonly stride: number
  readonly create: (sizeBytes: number) => MemoryFile
  readonly open: (file: MemoryFile) => Disk
}

const FORMATS: readonly Format[] = [
  {
    name: 'raw',
    sizeBytes: 2 ** 20,
    stride: 1,
    create: (sizeBytes) => new MemoryFile({ bytes: new Uint8Array(sizeBytes) }),
    open: (file) => new RawDisk(file),
  },
  {
    name: 'dynamic VHD',
    sizeBytes: 4 * 2 ** 20,
    stride: 2,
    create(sizeBytes) {
      const file = new MemoryFile()
      const uniqueId = new Uint8Array(16).fill(1)
      const blockBytes = 512 * 1024
      createVhd(file, { sizeBytes, blockBytes, uniqueId, createdAtMs: 0 })
      file.sync()
      return file
    },
    open: (file) => openVhd(file),
  },
  {
    name: 'dynamic VHDX',
    sizeBytes: 8 * 2 ** 20,
    stride: 5,
    create(sizeBytes) {
      const file = new MemoryFile()
      createVhdx(file, { virtualBytes: sizeBytes, blockBytes: 2 ** 20, newGuid: guids() })
      file.sync()
      return file
    },
    open: (file) => openVhdx(file, { newGuid: guids() }),
  },
]

/** GUIDs that are the same in each run. */
function guids(): () => Guid {
  let count = 0
  return () => {
    count += 1
    return parseGuid(`${String(count).padStart(8, '0')}-0000-4000-8000-000000000000`)
  }
}

/** Writes batches until the power is gone. The latest that was flushed. */
async function work(guest: Guest, location: number, blockCount: number): Promise<number> {
  const disk = await guest.disks.get(`scsi0:${location}`)
  for (let batch = 1; batch <= BATCHES; batch += 1) {
    const requests = batchOf(SEED, batch, blockCount).map((write) => {
      const { block, count, zeroes, durable } = write
      if (zeroes) return disk.writeZeroes(block, count)
      const words = new Uint32Array(count * 128)
      for (let index = 0; index < count; index += 1) {
        fillBlock(words, index * 128, block + index, batch)
      }
      return disk.write(block, new Uint8Array(words.buffer), { durable })
    })
    const results = await Promise.allSettled(requests)
    if (results.some(({ status }) => status === 'rejected')) return batch - 1
    const flushed = await disk.flush().then(
      () => true,
      () => false,
    )
    if (!flushed) return batch - 1
  }
  return BATCHES
}

function check(disk: Disk, oracle: Oracle): void {
  oracle.check((block, words) => {
    const request = new DiskRequest(1)
    request.block = block
    request.blockCount = 1
    request.data.beginBytes(new Uint8Array(words.buffer))
    request.data.add(0, words.byteLength)
    disk.submit(request)
    while (request.status === DiskStatus.PENDING) disk.poll(64)
    if (request.status !== DiskStatus.OK) throw new Error(`block ${block} can't be read`)
  })
}

/** Numbers from 0 up to 1, by a seed. */
function chanceOf(seed: number): () => number {
  let word = seed >>> 0 || 1
  return () => {
    word ^= word << 13
    word ^= word >>> 17
    word = (word ^ (word << 5)) >>> 0
    return word / 2 ** 32
  }
}

describe('power that goes', { timeout: 60_000 }, () => {
  test.each(FORMATS)(
    'at changes of a $name image takes nothing that was flushed',
    async ({ sizeBytes, stride, create, open }) => {
      const files = new Map<string, MemoryFile>()
      const yard = new Yard((path) => open(files.get(path)!))
      const { guest, partitionId } = await yard.start('writer', [])
      const blockCount = sizeBytes / 512
      let cuts = 0
      for (let changes = 1; ; changes += stride) {
        const path = String(changes)
        const location = changes % 64
        const file = create(sizeBytes)
        files.set(path, file)
        expect(yard.root.disksOf(partitionId)!.attach(diskAt(location, path))).toBeNull()
        await yard.until(guest.disks.get(`scsi0:${location}`))
        file.changesLeft = changes
        const flushed = await yard.until(work(guest, location, blockCount))
        for (const seed of [changes, changes + 1000]) {
          const oracle = new Oracle(SEED, blockCount)
          oracle.flushed(flushed)
          const bytes = file.afterPowerLoss(chanceOf(seed))
          check(open(new MemoryFile({ bytes })), oracle)
        }
        await yard.until(yard.root.disksOf(partitionId)!.detach(diskAt(location, path))!)
        files.delete(path)
        if (flushed === BATCHES) break
        cuts += 1
      }
      expect(cuts * stride).toBeGreaterThan(BATCHES * 8)
    },
  )
})
