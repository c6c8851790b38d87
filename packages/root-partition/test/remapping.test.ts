import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HvStatus } from '@guestyard/hvdef'

import { DeviceInterruptCalls } from '../src/index.ts'
import type { DeviceVectors, InterruptRemapping, MsiEntry } from '../src/index.ts'
import { InterruptGuest } from './support/interrupt-guest.ts'

function mapped(
  table: InterruptRemapping,
  deviceId: number,
  vector: number,
  vps: readonly number[],
  kind: 'edge' | 'multicast' | 'level' = 'edge',
): MsiEntry {
  const result = table.map(
    deviceId,
    { vector, vps, multicast: kind === 'multicast' },
    kind === 'level',
  )
  if (!result.ok) throw new Error(`refused: ${result.status}`)
  return result.entry
}

function subject(vpCount = 3): {
  guest: InterruptGuest
  table: InterruptRemapping
  device: DeviceVectors
} {
  const guest = new InterruptGuest(vpCount)
  const table = guest.router.remapping
  return { guest, table, device: table.attach(7)! }
}

describe('an MSI', () => {
  test('arrives as the vector of its entry on the VP of its entry, once', () => {
    const { guest, table, device } = subject()
    const { address, data } = mapped(table, 7, 0x61, [2])
    expect(device.raise(address, data)).toBe(HvStatus.SUCCESS)
    expect(guest.takeAll()).toEqual([[2, 0x61]])
  })

  test('for several VPs goes to the lowest of them, or to each when it is multicast', () => {
    const { guest, table, device } = subject()
    const one = mapped(table, 7, 0x61, [2, 1])
    const all = mapped(table, 7, 0x62, [2, 1, 2], 'multicast')
    device.raise(one.address, one.data)
    device.raise(all.address, all.data)
    expect(guest.takeAll()).toEqual([
      [1, 0x62],
      [2, 0x62],
      [1, 0x61],
    ])
  })

  test('goes to its new target after a retarget, and what was raised before to the old', () => {
    const { guest, table, device } = subject()
    const entry = mapped(table, 7, 0x61, [0])
    device.raise(entry.address, entry.data)
    expect(table.retarget(7, entry, { vector: 0x71, vps: [1], multicast: false })).toBe(
      HvStatus.SUCCESS,
    )
    device.raise(entry.address, entry.data)
    expect(guest.takeAll()).toEqual([
      [0, 0x61],
      [1, 0x71],
    ])
  })
})

describe('what a device was not given', () => {
  test.each<[string, (entry: MsiEntry) => MsiEntry, string]>([
    [
      'a vector and destination of its own choice',
      () => ({ address: 0xfee0_1000, data: 0x4061 }),
      'not-remapped',
    ],
    ['another data', ({ address }) => ({ address, data: 1 }), 'not-remapped'],
    ['no MSI address at all', () => ({ address: 0x1000, data: 0 }), 'not-remapped'],
    [
      'a stray bit in the address',
      ({ address, data }) => ({ address: address | 4, data }),
      'not-remapped',
    ],
    [
      'an entry that is not there',
      ({ address, data }) => ({ address: address + (9 << 5), data }),
      'not-mapped',
    ],
  ])('%s is refused, counted and reported', (_, wrong, reason) => {
    const { guest, table, device } = subject()
    const { address, data } = wrong(mapped(table, 7, 0x61, [0]))
    expect(device.raise(address, data)).toBe(HvStatus.ACCESS_DENIED)
    expect(guest.takeAll()).toEqual([])
    expect(table.inspect()).toMatchObject({
      refused: 1,
      latestRefusals: [{ deviceId: 7, address, data, reason }],
      devices: [{ raised: 0 }],
    })
  })

  test('is another device’s entry, one that was unmapped, and all of them once it is detached', () => {
    const { guest, table, device } = subject()
    const other = table.attach(8)!
    const entry = mapped(table, 7, 0x61, [0])
    const gone = mapped(table, 7, 0x62, [0])
    expect(other.raise(entry.address, entry.data)).toBe(HvStatus.ACCESS_DENIED)
    expect(table.unmap(8, entry)).toBe(HvStatus.INVALID_PARAMETER)
    expect(table.unmap(7, gone)).toBe(HvStatus.SUCCESS)
    expect(device.raise(gone.address, gone.data)).toBe(HvStatus.ACCESS_DENIED)
    table.detach(device)
    expect(device.raise(entry.address, entry.data)).toBe(HvStatus.ACCESS_DENIED)
    // The index is another's now: the old device does not come back to it.
    mapped(table, 8, 0x63, [0])
    expect(device.raise(entry.address, entry.data)).toBe(HvStatus.ACCESS_DENIED)
    expect(guest.takeAll()).toEqual([])
    expect(table.inspect().latestRefusals.map(({ reason }) => reason)).toEqual([
      'not-its-own',
      'not-mapped',
      'detached',
      'detached',
    ])
  })

  test('is an MSI by a line’s entry, and a line by an MSI’s', () => {
    const { table, device } = subject()
    const line = mapped(table, 7, 0x61, [0], 'level')
    const msi = mapped(table, 7, 0x62, [0])
    expect(device.raise(line.address, line.data)).toBe(HvStatus.ACCESS_DENIED)
    expect(device.setLine(msi, true)).toBe(HvStatus.ACCESS_DENIED)
  })

  test('keeps the latest sixteen refusals and counts the rest', () => {
    const { table, device } = subject()
    for (let n = 0; n < 20; n += 1) device.raise(n, 0)
    const { refused, latestRefusals } = table.inspect()
    expect(refused).toBe(20)
    expect(latestRefusals.map(({ address }) => address)).toEqual(
      Array.from({ length: 16 }, (_, index) => index + 4),
    )
  })
})

describe('mapping', () => {
  test.each<[string, number, readonly number[], boolean, boolean, number]>([
    ['a vector below 16', 15, [0], false, false, HvStatus.INVALID_PARAMETER],
    ['a vector above 255', 256, [0], false, false, HvStatus.INVALID_PARAMETER],
    ['half a vector', 32.5, [0], false, false, HvStatus.INVALID_PARAMETER],
    ['no VP', 0x61, [], false, false, HvStatus.INVALID_PARAMETER],
    ['a VP that is not there', 0x61, [0, 3], false, false, HvStatus.INVALID_VP_INDEX],
    ['a line to several VPs', 0x61, [0, 1], true, true, HvStatus.INVALID_PARAMETER],
  ])('%s is refused with a status', (_, vector, vps, multicast, level, status) => {
    const { table } = subject()
    expect(table.map(7, { vector, vps, multicast }, level)).toEqual({ ok: false, status })
    const entry = mapped(table, 7, 0x70, [0], level ? 'level' : 'edge')
    expect(table.retarget(7, entry, { vector, vps, multicast })).toBe(status)
  })

  test('for a device that is not there is INVALID_DEVICE_ID', () => {
    const { table } = subject()
    const target = { vector: 0x61, vps: [0], multicast: false }
    const entry = mapped(table, 7, 0x61, [0])
    expect(table.map(9, target, false)).toEqual({ ok: false, status: HvStatus.INVALID_DEVICE_ID })
    expect(table.unmap(9, entry)).toBe(HvStatus.INVALID_DEVICE_ID)
    expect(table.retarget(9, entry, target)).toBe(HvStatus.INVALID_DEVICE_ID)
    expect(table.attach(7)).toBeUndefined()
  })

  test('ends with NO_RESOURCES when the table is full, and goes on when an entry is free', () => {
    const { table } = subject()
    const target = { vector: 0x61, vps: [0], multicast: false }
    const first = mapped(table, 7, 0x61, [0])
    while (table.map(7, target, false).ok);
    expect(table.inspect().devices).toMatchObject([{ entries: 2048 }])
    expect(table.map(7, target, false)).toEqual({ ok: false, status: HvStatus.NO_RESOURCES })
    table.unmap(7, first)
    expect(table.map(7, target, false)).toEqual({ ok: true, entry: first })
  })
})

describe('the hypercalls', () => {
  const everyVp = { isLevel: false, vpsLow: 0xffff_ffff, vpsHigh: 0xffff_ffff }

  test('reach the table of the partition they name, and VPs that are there', () => {
    const { guest, table, device } = subject()
    const calls = new DeviceInterruptCalls()
    calls.add(guest.partition.id, table)
    const message = { address: 0, data: 0 }
    const all = { ...everyVp, vector: 0x61, isMulticast: true }
    expect(calls.map(guest.partition.id, 7, all, message)).toBe(HvStatus.SUCCESS)
    device.raise(message.address, message.data)
    expect(guest.takeAll()).toHaveLength(3)
    const last = { vector: 0x62, isLevel: false, isMulticast: false, vpsLow: 0b110, vpsHigh: 1 }
    expect(calls.retarget(guest.partition.id, 7, message, last)).toBe(HvStatus.SUCCESS)
    device.raise(message.address, message.data)
    expect(guest.takeAll()).toEqual([[1, 0x62]])
    const absent = { ...last, vpsLow: 0 }
    expect(calls.retarget(guest.partition.id, 7, message, absent)).toBe(HvStatus.INVALID_PARAMETER)
    expect(calls.unmap(guest.partition.id, 7, message)).toBe(HvStatus.SUCCESS)
    expect(device.raise(message.address, message.data)).toBe(HvStatus.ACCESS_DENIED)
  })

  test('answer INVALID_PARTITION_ID for any other', () => {
    const { guest, table } = subject()
    const calls = new DeviceInterruptCalls()
    calls.add(guest.partition.id, table)
    calls.remove(guest.partition.id)
    const message = { address: 0, data: 0 }
    const all = { ...everyVp, vector: 0x61, isMulticast: true }
    const { id } = guest.partition
    expect([
      calls.map(id, 7, all, message),
      calls.unmap(id, 7, message),
      calls.retarget(id, 7, message, all),
    ]).toEqual(Array.from({ length: 3 }, () => HvStatus.INVALID_PARTITION_ID))
  })
})

describe('a level-triggered line', () => {
  test('asks again at every end while it is asserted, and not after its release', () => {
    const { guest, table, device } = subject()
    const line = mapped(table, 7, 0x61, [1], 'level')
    device.setLine(line, true)
    expect(guest.takeAll(3)).toEqual([
      [1, 0x61],
      [1, 0x61],
      [1, 0x61],
    ])
    device.setLine(line, false)
    // The one that was asked for at the third end, and none after it.
    expect(guest.takeAll()).toEqual([[1, 0x61]])
  })

  test('that is shared asks until each device has released it', () => {
    const { guest, table, device } = subject()
    const other = table.attach(8)!
    const line = mapped(table, 7, 0x61, [0], 'level')
    expect(other.setLine(line, true)).toBe(HvStatus.ACCESS_DENIED)
    expect(table.share(7, line, other)).toBe(HvStatus.SUCCESS)
    device.setLine(line, true)
    other.setLine(line, true)
    device.setLine(line, false)
    expect(guest.takeAll(2)).toHaveLength(2)
    table.detach(other)
    expect(guest.takeAll()).toHaveLength(1)
  })

  test('that shares its vector with another line is served for both', () => {
    const { guest, table, device } = subject()
    const one = mapped(table, 7, 0x61, [0], 'level')
    const two = mapped(table, 7, 0x61, [0], 'level')
    device.setLine(one, true)
    device.setLine(two, true)
    guest.take(0, () => void device.setLine(one, false))
    guest.hypervisor.poll(64)
    expect(guest.take(0, () => void device.setLine(two, false))).toBe(0x61)
    guest.hypervisor.poll(64)
    expect(guest.takeAll()).toEqual([])
  })

  test('is deaf to ends that a guest makes up', () => {
    const { guest, table, device } = subject()
    const line = mapped(table, 7, 0x61, [0], 'level')
    device.setLine(line, true)
    for (let n = 0; n < 50; n += 1) guest.router.ended(1, 0x61)
    for (let n = 0; n < 50; n += 1) guest.router.ended(0, 0x62)
    device.setLine(line, false)
    expect(guest.takeAll()).toEqual([[0, 0x61]])
  })
})

const any = fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.double(), fc.constant(-1))

test('whatever a device raises, nothing arrives but what its own entries say', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(any, any), { maxLength: 40 }), (raised) => {
      const { guest, table, device } = subject(2)
      mapped(table, 7, 0x61, [1])
      table.attach(8)
      mapped(table, 8, 0x62, [0])
      for (const [address, data] of raised) device.raise(address, data)
      for (const [vp, vector] of guest.takeAll()) expect([vp, vector]).toEqual([1, 0x61])
    }),
  )
})
