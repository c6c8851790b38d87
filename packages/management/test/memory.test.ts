// RAM of VMs that run: more of it, over real threads, while a load goes through the guest.

import type { LoadSpec } from '@guestyard/load-device/protocol'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { startHost, type Host, type Vm } from '../src/index.ts'

const MIB = 1024 * 1024

let host: Host

beforeAll(async () => {
  host = await startHost({ log: { level: 'silent' } })
})

afterAll(async () => {
  await host.close()
})

function load(ringBytes: number, packets: number): LoadSpec {
  return {
    direction: 'echo',
    payloadBytes: 1024,
    batch: 8,
    loop: { kind: 'closed', window: 32 },
    warmUp: { kind: 'packets', packets: 0 },
    measure: { kind: 'packets', packets },
    channels: 2,
    sendRingBytes: ringBytes,
    receiveRingBytes: ringBytes,
    waiting: 'event-loop',
    spinMicroseconds: 20,
  }
}

async function memoryOf(vm: Vm): Promise<number | undefined> {
  const { partitions } = await host.inspect()
  return partitions.find((one) => one.name === vm.name)?.memoryBytes
}

test('a VM gets more RAM while a load runs through it, and its guest uses it', async () => {
  const vm = host.createVm({
    name: 'grows',
    memoryBytes: 2 * MIB,
    memoryMaximumBytes: 32 * MIB,
  })
  await vm.start()
  const free = (await vm.inspectGuest()).pagesFree
  // Two channels with rings of a megabyte each way: there are no pages for them yet.
  await expect(vm.runLoad(load(MIB, 100))).rejects.toThrow('no pages for its rings')

  const running = vm.runLoad(load(64 * 1024, 30_000))
  expect(await vm.addMemory(2 * MIB)).toBe(4 * MIB)
  expect(await vm.addMemory(4 * MIB)).toBe(8 * MIB)
  const result = await running
  expect(result.channels.map((one) => one.packets)).toEqual([30_000, 30_000])
  expect(result.channels.map((one) => one.sequenceErrors + one.packetsMissing)).toEqual([0, 0])

  expect((await vm.inspectGuest()).pagesFree).toBe(free + (6 * MIB) / 4096)
  expect(await memoryOf(vm)).toBe(8 * MIB)
  const large = await vm.runLoad(load(MIB, 2_000))
  expect(large.channels.map((one) => one.packets)).toEqual([2_000, 2_000])
  await vm.stop()
}, 60_000)

test('a VM gets no more than its settings allow, and is told why', async () => {
  const vm = host.createVm({ name: 'full', memoryBytes: 2 * MIB, memoryMaximumBytes: 4 * MIB })
  await vm.start()
  await expect(vm.addMemory(4 * MIB)).rejects.toThrow(
    'VM "full": addMemory: 4 MiB more: it has 2 MiB of 4 MiB at most',
  )
  await expect(async () => vm.addMemory(4096)).rejects.toThrow('not a multiple of 64 KiB')
  await expect(async () => vm.addMemory(-65_536)).rejects.toThrow('not a multiple of 64 KiB')
  expect(await vm.addMemory(2 * MIB)).toBe(4 * MIB)
  await expect(vm.addMemory(65_536)).rejects.toThrow('it has 4 MiB of 4 MiB at most')
  await vm.stop()
  await expect(vm.addMemory(65_536)).rejects.toThrow('is off')
}, 60_000)

test('a machine keeps for a VM what it may grow to: another that this leaves no room for is refused, and the first grows', async () => {
  const small = await startHost({ log: { level: 'silent' }, hostMemoryBytes: 32 * MIB })
  try {
    const tooLarge = { name: 'two', memoryBytes: 4 * MIB, memoryMaximumBytes: 64 * MIB }
    await expect(small.createVm(tooLarge).start()).rejects.toThrow('INSUFFICIENT_MEMORY for 64 MiB')
    const vm = small.createVm({ name: 'one', memoryBytes: 4 * MIB, memoryMaximumBytes: 24 * MIB })
    await vm.start()
    const other = small.createVm({ name: 'three', memoryBytes: 8 * MIB })
    await expect(other.start()).rejects.toThrow('INSUFFICIENT_MEMORY for 8 MiB')
    expect(await vm.addMemory(20 * MIB)).toBe(24 * MIB)
    const result = await vm.runLoad(load(64 * 1024, 100))
    expect(result.channels.map((one) => one.packets)).toEqual([100, 100])
  } finally {
    await small.close()
  }
}, 60_000)
