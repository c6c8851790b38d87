// RAM that a running partition is given: what refuses it, and who sees it when it is there.

import { GuestMemory, SlatReader, SlatRight } from '@guestyard/guestmem'
import {
  HvStatus,
  HypercallCode,
  SyntheticMsr,
  hypercallInputHigh,
  hypercallInputLow,
  partitionId,
} from '@guestyard/hvdef'
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

  test('that the machine has not is INSUFFICIENT_MEMORY when the partition is made: its guest could take it', () => {
    const hypervisor = new Hypervisor({ clock, hostPages: 512 })
    const memory = GuestMemory.create({ sizeBytes: 64 * PAGE, maximumBytes: 1024 * PAGE })
    const created = hypervisor.createPartition({ memory, vpCount: 1, wakeVp: [silent] })
    expect(created).toEqual({ ok: false, status: HvStatus.INSUFFICIENT_MEMORY })
    expect(hypervisor.hostMemory.inspect()).toMatchObject({ freePages: 512, rootPages: 0 })
  })

  test('is kept for it from the start, and nobody else’s until it ends', () => {
    const { hypervisor, partition } = machine(1536)
    const memory = GuestMemory.create({ sizeBytes: 512 * PAGE })
    const options = { memory, vpCount: 1, wakeVp: [silent] }
    expect(hypervisor.createPartition(options)).toMatchObject({
      status: HvStatus.INSUFFICIENT_MEMORY,
    })
    hypervisor.deletePartition(partition.id)
    expect(hypervisor.createPartition(options).ok).toBe(true)
  })

  test('that has not been given is not its RAM: ACCESS_DENIED for whoever maps it', () => {
    const { hypervisor, partition } = machine()
    const [extent] = hypervisor.hostMemory.ramOf(partition.id, 64)
    expect(extent!.ramPage).toBe(64)
    const { view } = hypervisor.root.memory
    view.setBigUint64(PAGE, BigInt(partition.id), true)
    view.setBigUint64(PAGE + 8, 64n, true)
    view.setUint32(PAGE + 16, 15, true)
    view.setBigUint64(PAGE + 24, BigInt(extent!.hostPage), true)
    const code = hypercallInputLow(HypercallCode.MAP_GPA_PAGES, false)
    const reps = hypercallInputHigh(1, 0)
    expect(hypervisor.root.hypercall(code, reps, PAGE, 0, 2 * PAGE, 0)).toBe(HvStatus.ACCESS_DENIED)
  })

  test('follows what it was given, whatever length the guest has given its memory', () => {
    const { hypervisor, partition, memory } = machine()
    const guest = GuestMemory.attach(memory.memory)
    expect(guest.grow(16 * PAGE)).toBe(true)
    guest.u8.fill(9, 64 * PAGE)
    expect(partition.ramPages).toBe(64)
    const reader = new SlatReader(partition.handlesFor(0)!.slat)
    expect(reader.ramPage(64, SlatRight.READ)).toBe(-1)
    expect(hypervisor.addRam(partition.id, 32)).toBe(HvStatus.SUCCESS)
    expect([partition.slat.identityPages, reader.ramPage(95, SlatRight.WRITE)]).toEqual([96, 95])
    expect(memory.u8.subarray(64 * PAGE, 96 * PAGE).every((byte) => byte === 0)).toBe(true)
    // All that it could take is there already.
    while (guest.grow(16 * PAGE));
    expect(hypervisor.addRam(partition.id, 1024 - 96)).toBe(HvStatus.SUCCESS)
    expect(partition.slat.identityPages).toBe(1024)
    expect(hypervisor.addRam(partition.id, GRANULE)).toBe(HvStatus.INVALID_PARAMETER)
  })

  test('for which the SLAT has no leaf is INSUFFICIENT_MEMORY, and changes nothing', () => {
    const { hypervisor, partition } = machine()
    for (let chunk = 2; chunk < 67; chunk++) partition.slat.mapMmio(chunk * 512, 1, 1)
    expect(hypervisor.addRam(partition.id, 464)).toBe(HvStatus.INSUFFICIENT_MEMORY)
    expect(partition.slat.inspect()).toMatchObject({ ramPagesGiven: 64, ramPagesMapped: 64 })
    expect(hypervisor.addRam(partition.id, 448)).toBe(HvStatus.SUCCESS)
    expect(partition.slat.inspect()).toMatchObject({ ramPagesGiven: 512, ramPagesMapped: 512 })
  })

  test('is mapped at its own place, and the machine’s again at the end', () => {
    const { hypervisor, partition, memory } = machine()
    const before = hypervisor.hostMemory.freePages
    const reader = new SlatReader(partition.handlesFor(0)!.slat)
    expect(reader.ramPage(64, SlatRight.WRITE)).toBe(-1)
    memory.u8[5] = 42
    expect(hypervisor.addRam(partition.id, 32)).toBe(HvStatus.SUCCESS)
    expect(hypervisor.addRam(partition.id, 640)).toBe(HvStatus.SUCCESS)
    expect(hypervisor.hostMemory.freePages).toBe(before)
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
