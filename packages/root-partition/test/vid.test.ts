// WinHv and VID against a hypervisor, in one thread.

import { describe, expect, test } from 'vitest'
import { HvPartitionProperty, HvRegister, HvStatus, PAGE_SIZE } from '@guestyard/hvdef'
import { GuestMemory, SlatKind, slatKind } from '@guestyard/guestmem'
import { Hypervisor, type PartitionListener } from '@guestyard/hypervisor'

import { Vid } from '../src/vid/index.ts'
import { WinHv } from '../src/index.ts'

const MIB = 1024 * 1024

class Machine {
  readonly hypervisor: Hypervisor
  readonly winhv: WinHv
  readonly vid: Vid
  readonly open: Set<number> = new Set()

  constructor(hostPages: number) {
    this.hypervisor = new Hypervisor({ clock: { nowMs: 0, now100ns: 0 }, hostPages })
    this.winhv = new WinHv(this.hypervisor)
    this.vid = new Vid(this.hypervisor, this.winhv)
  }

  create(
    memoryBytes: number,
    vpCount = 1,
    properties: readonly (readonly [number, number])[] = [],
    memoryMaximumBytes = memoryBytes,
  ) {
    const listener: PartitionListener = { queueSpace() {} }
    return this.vid.create({
      memoryBytes,
      memoryMaximumBytes,
      vpCount,
      properties,
      openDoorbell: (vp) => {
        this.open.add(vp)
        return { wake: { ring() {} }, buffer: null }
      },
      closeDoorbell: (vp) => void this.open.delete(vp),
      listener,
    })
  }

  get freePages(): number {
    return this.hypervisor.hostMemory.freePages
  }
}

describe('VID', () => {
  test('makes a partition whose RAM is mapped at its place and whose VPs wait to be started', () => {
    const machine = new Machine(8192)
    const made = machine.create(8 * MIB, 2, [[HvPartitionProperty.CPU_WEIGHT, 300]])
    if (!made.ok) throw new Error(made.reason)
    const { partition } = made
    expect(partition.slat.inspect()).toMatchObject({
      ramPagesMapped: 2048,
      identityFirst: 0,
      identityPages: 2048,
      leaves: 0,
    })
    expect(machine.winhv.children()).toEqual([partition.id])
    expect(machine.winhv.partitionProperty(partition.id, HvPartitionProperty.CPU_WEIGHT)).toBe(300)
    const suspended = () => machine.winhv.vpRegister(partition.id, 1, HvRegister.EXPLICIT_SUSPEND)
    expect(suspended()).toEqual({ low: 1, high: 0 })
    machine.vid.start(partition)
    expect(suspended()).toEqual({ low: 0, high: 0 })
    expect(partition.handlesFor(1)).toMatchObject({ vpIndex: 1, vpCount: 2 })
    expect(() => partition.handlesFor(2)).toThrow('handles for each')
  })

  test('gives every page and doorbell back when a partition goes', () => {
    const machine = new Machine(8192)
    const before = machine.freePages
    const made = machine.create(4 * MIB, 3)
    if (!made.ok) throw new Error(made.reason)
    expect(machine.freePages).toBeLessThan(before - 1024)
    machine.vid.delete(made.partition.id)
    expect(machine.freePages).toBe(before)
    expect(machine.open.size).toBe(0)
    expect(machine.winhv.children()).toEqual([])
  })

  test('has no VP that was deleted by call', () => {
    const machine = new Machine(8192)
    const made = machine.create(4 * MIB, 2)
    if (!made.ok) throw new Error(made.reason)
    const { partition } = made
    expect(machine.winhv.deleteVp(partition.id, 1)).toBe(HvStatus.SUCCESS)
    expect([0, 1, 2, 0xffff_fffe].map((vp) => partition.hasVp(vp))).toEqual([
      true,
      false,
      false,
      false,
    ])
    expect(partition.signalEventToVp(1, 2, 5)).toBe(HvStatus.INVALID_VP_INDEX)
  })

  test('keeps of the machine what RAM may grow to, and tells RAM by what it gave', () => {
    const machine = new Machine(4096)
    const refused = machine.create(2 * MIB, 1, [], 64 * MIB)
    expect(refused).toMatchObject({
      reason: 'HV_STATUS_INSUFFICIENT_MEMORY for 64 MiB of RAM; the host has 15 MiB of 16 MiB left',
    })
    const made = machine.create(2 * MIB, 1, [], 8 * MIB)
    if (!made.ok) throw new Error(made.reason)
    const { partition } = made
    const free = machine.freePages
    expect(free).toBeLessThan(2048)
    GuestMemory.attach(partition.memory.memory).grow(MIB)
    expect(partition.memoryBytes).toBe(2 * MIB)
    expect(machine.vid.addMemory(partition, 3 * MIB)).toBe(null)
    expect([partition.memoryBytes, partition.slat.identityPages]).toEqual([5 * MIB, 1280])
    expect(machine.freePages).toBe(free)
  })

  test('refuses more RAM that its SLAT has no leaf for, and has what it had', () => {
    const machine = new Machine(4096)
    const made = machine.create(64 * 1024, 1, [], 4 * MIB)
    if (!made.ok) throw new Error(made.reason)
    const { partition } = made
    for (let chunk = 2; chunk < 67; chunk++) partition.slat.mapMmio(chunk * 512, 1, 1)
    expect(machine.vid.addMemory(partition, 2 * MIB)).toMatchObject({
      ok: false,
      status: HvStatus.INSUFFICIENT_MEMORY,
    })
    expect(partition.slat.inspect()).toMatchObject({ ramPagesGiven: 16, ramPagesMapped: 16 })
    expect(machine.vid.addMemory(partition, 2 * MIB - 64 * 1024)).toBe(null)
    expect(partition.slat.inspect()).toMatchObject({ ramPagesGiven: 512, ramPagesMapped: 512 })
  })

  test('refuses what does not fit with INSUFFICIENT_MEMORY and a line, and keeps nothing of it', () => {
    const machine = new Machine(4096) //  16 MiB
    const before = machine.freePages
    const made = machine.create(32 * MIB)
    expect(made).toMatchObject({
      ok: false,
      status: HvStatus.INSUFFICIENT_MEMORY,
      reason: 'HV_STATUS_INSUFFICIENT_MEMORY for 32 MiB of RAM; the host has 15 MiB of 16 MiB left',
    })
    expect([machine.freePages, machine.winhv.children()]).toEqual([before, []])
    expect(machine.create(8 * MIB).ok).toBe(true)
  })

  test('refuses a partition whose VPs the rest of the machine has no pages for', () => {
    const machine = new Machine(1024 + 128)
    const before = machine.freePages
    const made = machine.create(4 * MIB, 64)
    expect(made).toMatchObject({ ok: false, status: HvStatus.INSUFFICIENT_MEMORY })
    expect([machine.freePages, machine.open.size]).toEqual([before, 0])
  })

  test('refuses a property that is out of range by its name', () => {
    const machine = new Machine(4096)
    const made = machine.create(2 * MIB, 1, [[HvPartitionProperty.CPU_WEIGHT, 0]])
    expect(made).toMatchObject({
      ok: false,
      reason: 'HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE for its property CPU_WEIGHT',
    })
    expect(machine.winhv.children()).toEqual([])
  })

  test('maps RAM that starts between large pages with small ones around them', () => {
    const machine = new Machine(16_384)
    // Pages of the machine are taken so that no stretch of 2048 begins at a large page any more.
    const taken = machine.hypervisor.hostMemory.take(300)!
    const first = machine.create(8 * MIB)
    const second = machine.create(6 * MIB)
    if (!first.ok || !second.ok) throw new Error('it fits')
    for (const { partition } of [first, second]) {
      const pages = partition.memory.sizeBytes / PAGE_SIZE
      for (let page = 0; page < pages; page += 97) {
        expect(slatKind(partition.slat.lookUp(page))).toBe(SlatKind.RAM)
      }
      expect(slatKind(partition.slat.lookUp(pages))).toBe(SlatKind.NOTHING)
    }
    expect(taken.length).toBe(300)
  })
})

describe('WinHv', () => {
  test('deposits and makes the call again while it is INSUFFICIENT_MEMORY, and not for other statuses', () => {
    const machine = new Machine(4096)
    const { winhv } = machine
    expect(winhv.createPartition()).toBe(HvStatus.SUCCESS)
    const id = winhv.created
    expect(winhv.memoryBalance(id)).toEqual({ available: 0, inUse: 0 })
    expect(winhv.initializePartition(id)).toBe(HvStatus.SUCCESS)
    expect(winhv.deposits).toBeGreaterThan(0)
    const { deposits } = winhv
    expect(winhv.initializePartition(id)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(winhv.createVp(99, 0)).toBe(HvStatus.INVALID_PARTITION_ID)
    expect(winhv.deposits).toBe(deposits)
    const balance = winhv.memoryBalance(id)!
    winhv.finalizePartition(id)
    expect(winhv.withdrawMemory(id)).toBe(balance.available + balance.inUse)
    expect(winhv.deletePartition(id)).toBe(HvStatus.SUCCESS)
  })

  test('answers INSUFFICIENT_MEMORY when the machine has no more', () => {
    const machine = new Machine(10)
    expect(machine.winhv.createPartition()).toBe(HvStatus.SUCCESS)
    expect(machine.winhv.initializePartition(machine.winhv.created)).toBe(
      HvStatus.INSUFFICIENT_MEMORY,
    )
    expect(machine.freePages).toBe(10)
  })

  test('a VP that was deleted is no VP any more', () => {
    const machine = new Machine(4096)
    const made = machine.create(2 * MIB, 2)
    if (!made.ok) throw new Error(made.reason)
    const { id } = made.partition
    expect(machine.winhv.deleteVp(id, 1)).toBe(HvStatus.SUCCESS)
    expect(made.partition.hasVp(1)).toBe(false)
    expect(made.partition.signalEventToVp(1, 2, 0)).toBe(HvStatus.INVALID_VP_INDEX)
    expect(machine.winhv.unmapGpaPages(id, 0, 3, 0)).toBe(HvStatus.SUCCESS)
    expect(slatKind(made.partition.slat.lookUp(2))).toBe(SlatKind.NOTHING)
    expect(slatKind(made.partition.slat.lookUp(3))).toBe(SlatKind.RAM)
  })
})
