import { describe, expect, test } from 'vitest'

import { schedulerSettings, vmSettings } from '../src/index.ts'

const MIB = 1024 * 1024

const IDE = { memoryBytes: 2 ** 20, controllerType: 'ide' } as const

describe('VM settings', () => {
  test('a name alone is enough, and every default is filled in', () => {
    expect(vmSettings({ name: 'a' })).toEqual({
      name: 'a',
      memoryBytes: 64 * MIB,
      memoryMaximumBytes: 64 * MIB,
      vpCount: 1,
      weight: 100,
      cap: 65_536,
      reserve: 0,
      relay: 'default',
      program: null,
      linux: null,
      args: null,
      placement: 'contiguous',
      spinMicroseconds: 20,
      bootTimeoutMs: 60_000,
      notRespondingMs: 30_000,
      heapBytes: 1024 * MIB,
      youngHeapBytes: 32 * MIB,
      disks: [],
      nics: [],
    })
  })

  test('a VM is of the relay group that it names, or relays nothing', () => {
    expect(vmSettings({ name: 'a', relay: 'accounts' }).relay).toBe('accounts')
    expect(vmSettings({ name: 'a', relay: false }).relay).toBe(false)
  })

  test.each([
    [{ name: '' }, 'name: "" is not 1 to 64 characters'],
    [
      { name: 'a', memoryBytes: 1 },
      'VM "a": memoryBytes: 1 is not a whole number from 2097152 to 4294901760',
    ],
    [
      { name: 'a', memoryBytes: 4 * MIB, memoryMaximumBytes: 2 * MIB },
      'VM "a": memoryMaximumBytes: 2097152 is not a whole number from 4194304 to 4294901760',
    ],
    [
      { name: 'a', memoryBytes: 2 * MIB + 4096 },
      'VM "a": memoryBytes: 2101248 is not a multiple of 64 KiB',
    ],
    [{ name: 'a', relay: '' }, 'VM "a": relay: "" is neither 1 to 64 characters nor false'],
    [{ name: 'a', weight: 0 }, 'VM "a": weight: 0 is not a whole number from 1 to 10000'],
    [
      { name: 'a', weight: Number.NaN },
      'VM "a": weight: NaN is not a whole number from 1 to 10000',
    ],
    [
      { name: 'a', spinMicroseconds: 0.5 },
      'VM "a": spinMicroseconds: 0.5 is not a whole number from 0 to 1000000',
    ],
    [
      { name: 'a', heapBytes: 20 * MIB + 1 },
      'VM "a": heapBytes: 20971521 is not a multiple of 1 MiB',
    ],
    [
      { name: 'a', youngHeapBytes: 0 },
      'VM "a": youngHeapBytes: 0 is not a whole number from 1048576 to 1073741824',
    ],
  ])('%o is refused with one line that names the field', (options, line) => {
    expect(() => vmSettings(options)).toThrow(new RangeError(line))
  })
})

describe('processors of a VM and of a host', () => {
  test("cap and reserve are fractions of a processor, in the hypervisor's units", () => {
    expect(vmSettings({ name: 'a', cap: 0.25, reserve: 0.125 })).toMatchObject({
      cap: 0x4000,
      reserve: 0x2000,
    })
    expect(() => vmSettings({ name: 'a', cap: 1.5 })).toThrow(
      'VM "a": cap: 1.5 is not a fraction from 0 to 1',
    )
    expect(() => vmSettings({ name: 'a', cap: 0 })).toThrow('VM "a": cap: 0 would never')
    expect(() => vmSettings({ name: 'a', cap: 0.1, reserve: 0.2 })).toThrow('more than its cap')
  })

  test('a host says who schedules, and what it says is checked', () => {
    expect(schedulerSettings({}, 2)).toEqual({
      policy: 'root',
      threadsPerCore: 1,
      sliceMs: 2,
      periodMs: 50,
    })
    expect(() => schedulerSettings({ threadsPerCore: 2 }, 3)).toThrow('no whole cores of 2')
    expect(() => schedulerSettings({ threadsPerCore: 9 }, 9)).toThrow('from 1 to 8')
    expect(() => schedulerSettings({ sliceMs: 0 }, 1)).toThrow('host.sliceMs: 0')
    expect(() => schedulerSettings({ scheduler: 'fair' as 'root' }, 1)).toThrow(
      'host.scheduler: fair is not classic, core or root',
    )
  })
})

describe('Linux guests', () => {
  test('a Linux guest has defaults of its own', () => {
    expect(vmSettings({ name: 'a', linux: {} })).toMatchObject({
      memoryBytes: 256 * MIB,
      bootTimeoutMs: 300_000,
      linux: { folder: null, append: '', shell: false, generation: 2 },
    })
  })

  test.each([
    [{ memoryBytes: 32 * MIB }, 'memoryBytes: 33554432 is not a whole number from 67108864'],
    [{ memoryBytes: 64 * MIB + 65_536 }, 'memoryBytes: 67174400 is not a multiple of 128 KiB'],
    [{ memoryMaximumBytes: 512 * MIB }, 'memoryMaximumBytes: RAM of a Linux guest does not grow'],
    [{ program: '/guest.ts' }, 'linux: a Linux guest has neither program nor args'],
    [{ linux: { append: 'x'.repeat(2000) } }, 'linux.append: is not text of at most 1024'],
    [{ linux: { shell: 1 as unknown as boolean } }, 'linux.shell: is neither true nor false'],
    [{ linux: { generation: 3 as 1 } }, 'linux.generation: 3 is neither 1 nor 2'],
    [{ disks: [IDE] }, 'disks: ide 0:0: generation 2 has no IDE'],
    [
      { linux: { generation: 1 as const }, disks: [IDE, IDE] },
      'a Linux guest has one disk on IDE, at controller 0, location 0',
    ],
    [{ linux: { folder: 7 as unknown as string } }, 'linux.folder: is not the path of a folder'],
  ])('%j is refused by name', (options, message) => {
    expect(() => vmSettings({ name: 'a', linux: {}, ...options })).toThrow(message)
  })
})
