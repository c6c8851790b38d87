// RAM added to a guest while it is at work: a channel runs through it, and the next one lies in the new pages.

import { expect, test } from 'vitest'

import { Echo, MIB, boot, yard } from './one-thread.ts'

function growing() {
  const on = yard()
  const guest = boot(on, { memoryBytes: 2 * MIB, memoryMaximumBytes: 16 * MIB })
  const echo = (packets: number): Echo =>
    new Echo(on, guest, { packets, payloadBytes: 512, ringBytes: 64 * 4096 })
  return { ...on, ...guest, echo }
}

test('a guest gets more RAM while a channel runs, and the next channel lies in it', () => {
  const { root, kernel, memory, threads, partitionId, echo } = growing()
  const first = echo(40_000)
  for (let turn = 0; turn < 200; turn += 1) threads.turn()
  expect(first.result).toBeNull()

  // In the middle of it, twice.
  const before = kernel.pages.freePages
  const pfns = Array.from(first.channel.pfns)
  for (const total of [4 * MIB, 12 * MIB]) {
    const added = root.addMemory(partitionId, total - memory.sizeBytes)
    expect(added).toEqual({ ok: true, memoryBytes: total })
    for (let turn = 0; turn < 20; turn += 1) threads.turn()
    kernel.memoryAdded(total)
    for (let turn = 0; turn < 20; turn += 1) threads.turn()
  }
  expect(kernel.pages.freePages).toBe(before + (10 * MIB) / 4096)
  expect(first.result).toBeNull()
  expect(Array.from(first.channel.pfns)).toEqual(pfns)
  const done = first.finish()
  expect([
    done.packets,
    done.sequenceErrors + done.peerSequenceErrors,
    done.packetsMissing,
  ]).toEqual([40_000, 0, 0])

  // Every old page is taken: the rings of the next channel can only be new ones.
  kernel.pages.allocate((2 * MIB) / 4096 - 16)
  const second = echo(500)
  expect(Math.min(...Array.from(second.channel.pfns))).toBeGreaterThanOrEqual((2 * MIB) / 4096 - 16)
  expect(Math.max(...Array.from(second.channel.pfns))).toBeGreaterThanOrEqual((2 * MIB) / 4096)
  expect(second.finish().packets).toBe(500)
})

test('a guest is given no more than its largest RAM, and none that the root was not asked for', () => {
  const on = growing()
  expect(on.root.addMemory(on.partitionId, 15 * MIB)).toMatchObject({ ok: false })
  expect(on.root.addMemory(on.partitionId, 4096)).toMatchObject({ ok: false })
  expect(on.root.addMemory(99, MIB)).toMatchObject({ ok: false })
  const free = on.kernel.pages.freePages
  // The host's word about memory that is not there changes nothing.
  expect(on.kernel.memoryAdded(8 * MIB)).toBe(free)
  expect(on.kernel.memoryAdded(MIB)).toBe(free)
})
