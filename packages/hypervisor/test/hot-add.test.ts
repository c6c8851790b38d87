// RAM that a running partition is given: what refuses it, and who sees it when it is there.

import { GuestMemory, SlatReader, SlatRight } from '@guestyard/guestmem'
import { HvStatus, SyntheticMsr, partitionId } from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'

import { Hypervisor, VirtualProcessor, type Partition } from '../src/index.ts'

const PAGE = 4096
/** 64 KiB. */
const GRANULE = 16
const clock = { nowMs: 0, now100ns: 0 }
const silent = { ring: () => {} }

interface Machine {
  readonly hypervisor: Hypervisor
  readonly partition: Partition
  readonly memory: GuestMemory
}

function machine(hostPages = 4096): Machine {
  const hypervisor = new Hypervisor({ clock, hostPages })
  const memory = GuestMemory.create({ sizeBytes: 64 * PAGE, maximumBytes: 1024 * PAGE })
  const created = hypervisor.createPartition({ memory, vpCount: 1, wakeVp: [silent] })
  if (!created.ok) throw new Error('no partition')
  return { hypervisor, partition: created.partition, memory }
}

describe('more RAM for a partition', () => {
  test.each([0, -GRANULE, 1, GRANULE + 1, 0.5, Number.NaN, Infinity, 1024 - 64 + GRANULE])(
    '%d pages are INVALID_PARAMETER, and change nothing',
    (pages) => {
      const { hypervisor, partition, memory } = machine()
      const free = hypervisor.hostMemory.freePages
      expect(hypervisor.addRam(partition.id, pages)).toBe(HvStatus.INVALID_PARAMETER)
      expect([memory.pageCount, hypervisor.hostMemory.freePages]).toEqual([64, free])
    },
  )

  test('that is not there or has ended is refused by its state', () => {
    const { hypervisor, partition } = machine()
    expect(hypervisor.addRam(partitionId(99), GRANULE)).toBe(HvStatus.INVALID_PARTITION_ID)
    hypervisor.deletePartition(partition.id)
    expect(hypervisor.addRam(partition.id, GRANULE)).toBe(HvStatus.INVALID_PARTITION_ID)
  })

  test('that the machine has not is INSUFFICIENT_MEMORY, and changes nothing', () => {
    const { hypervisor, partition, memory } = machine(512)
    const free = hypervisor.hostMemory.freePages
    expect(free).toBeLessThan(512)
    expect(hypervisor.addRam(partition.id, 640)).toBe(HvStatus.INSUFFICIENT_MEMORY)
    expect([memory.pageCount, hypervisor.hostMemory.freePages]).toEqual([64, free])
    expect(partition.slat.ramPages).toBe(64)
  })

  test('is taken from the machine, mapped at its own place, and the machine’s again at the end', () => {
    const { hypervisor, partition, memory } = machine()
    const before = hypervisor.hostMemory.freePages
    const reader = new SlatReader(partition.handlesFor(0)!.slat)
    expect(reader.ramPage(64, SlatRight.WRITE)).toBe(-1)
    memory.u8[5] = 42
    expect(hypervisor.addRam(partition.id, 32)).toBe(HvStatus.SUCCESS)
    expect(hypervisor.addRam(partition.id, 640)).toBe(HvStatus.SUCCESS)
    expect(hypervisor.hostMemory.freePages).toBe(before - 672)
    expect(memory.u8[5]).toBe(42)
    expect([memory.pageCount, partition.slat.identityPages]).toEqual([736, 736])
    expect(reader.ramPage(735, SlatRight.WRITE)).toBe(735)
    expect(reader.ramPage(736, SlatRight.WRITE)).toBe(-1)
    hypervisor.deletePartition(partition.id)
    expect(hypervisor.hostMemory.inspect()).toMatchObject({ freePages: 4096, rootPages: 0 })
  })

  test('is found by a VP that names it, though nobody has told its thread', () => {
    const { hypervisor, partition, memory } = machine()
    const seen = GuestMemory.attach(memory.memory)
    const vp = new VirtualProcessor(partition.handlesFor(0)!, {
      memory: seen,
      wakeRoot: silent,
      clock,
    })
    const simAt = 70 * PAGE
    expect(vp.writeMsr(SyntheticMsr.SIMP, simAt | 1, 0)).toBe(false)
    hypervisor.addRam(partition.id, GRANULE)
    expect(vp.writeMsr(SyntheticMsr.SIMP, simAt | 1, 0)).toBe(true)
    expect(seen.pageCount).toBe(80)
  })
})
