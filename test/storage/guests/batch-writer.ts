// A guest that writes batch after batch to its disk until somebody pulls the plug. It tells of each batch once that is flushed, on the
// process's own standard output and at once: what is told must be there afterwards.

import { writeSync } from 'node:fs'

import type { Guest, GuestDisk } from '@guestyard/child-partition'

import { batchOf, fillBlock, type PlannedWrite } from '../power-loss/work.ts'

const STDOUT = 1

export async function main(guest: Guest): Promise<void> {
  const { seed, firstBatch } = guest.args as { readonly seed: number; readonly firstBatch: number }
  const disk = await guest.disks.get(0)
  for (let batch = firstBatch; !guest.signal.aborted; batch += 1) {
    const planned = batchOf(seed, batch, disk.blockCount)
    await Promise.all(planned.map((write) => run(disk, write, batch)))
    await disk.flush()
    writeSync(STDOUT, `${batch}\n`)
  }
}

async function run(disk: GuestDisk, write: PlannedWrite, batch: number): Promise<void> {
  const { block, count, zeroes, durable } = write
  if (zeroes) return disk.writeZeroes(block, count)
  const bytes = new Uint8Array(count * disk.blockBytes)
  const words = new Uint32Array(bytes.buffer)
  const step = disk.blockBytes / 4
  for (let index = 0; index < count; index += 1) {
    fillBlock(words, index * step, block + index, batch)
  }
  await disk.write(block, bytes, { durable })
}
