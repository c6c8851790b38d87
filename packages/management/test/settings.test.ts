import { describe, expect, test } from 'vitest'

import { vmSettings } from '../src/index.ts'

const MIB = 1024 * 1024

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
      program: null,
      args: null,
      placement: 'contiguous',
      spinMicroseconds: 20,
      bootTimeoutMs: 60_000,
      notRespondingMs: 30_000,
      heapBytes: 1024 * MIB,
      youngHeapBytes: 32 * MIB,
    })
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
