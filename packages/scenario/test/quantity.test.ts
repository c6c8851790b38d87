import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { formatBytes, formatCount, formatNs, parseByteSize, parseDurationMs } from '../src/index.ts'

describe('sizes', () => {
  test('every whole number of a unit is read exactly, with and without a space', () => {
    const units = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 20 }),
        fc.constantFrom(...(['B', 'KiB', 'MiB', 'GiB'] as const)),
        fc.constantFrom('', ' '),
        (count, unit, space) => {
          const parsed = parseByteSize(`${count}${space}${unit}`)
          expect(parsed).toEqual({ ok: true, value: count * units[unit] })
        },
      ),
    )
  })

  test('a fraction is taken when it makes whole bytes, and refused when it does not', () => {
    expect(parseByteSize('1.5 KiB')).toEqual({ ok: true, value: 1536 })
    expect(parseByteSize('0.3 KiB').ok).toBe(false)
  })

  test('text that is not one number and one unit is refused, and never throws', () => {
    for (const text of [
      '',
      '64',
      '64MB',
      '64 mib',
      ' 64 MiB',
      '64  MiB',
      '64 MiB ',
      '1e3 B',
      '-1 B',
    ]) {
      expect(parseByteSize(text), text).toMatchObject({ ok: false })
    }
    fc.assert(
      fc.property(fc.anything(), (input) => {
        const parsed = parseByteSize(input)
        if (parsed.ok) expect(Number.isSafeInteger(parsed.value)).toBe(true)
        else expect(parsed.problem).not.toMatch(/\n/)
      }),
    )
  })

  test('plain numbers are bytes, unless negative, broken or beyond exact integers', () => {
    expect(parseByteSize(4096)).toEqual({ ok: true, value: 4096 })
    for (const number of [-1, 0.5, Number.NaN, Infinity, 2 ** 53]) {
      expect(parseByteSize(number)).toMatchObject({ ok: false })
    }
  })
})

describe('durations', () => {
  test('each unit is read in milliseconds', () => {
    const cases = {
      '5 s': 5000,
      '250ms': 250,
      '20 us': 0.02,
      '7 ns': 7e-6,
      '1.5 min': 9e4,
      '1 h': 3.6e6,
    }
    for (const [text, value] of Object.entries(cases)) {
      const parsed = parseDurationMs(text)
      expect(parsed.ok && parsed.value, text).toBeCloseTo(value, 12)
    }
  })

  test('a number without a unit is refused: nobody knows whether it is seconds', () => {
    expect(parseDurationMs(5)).toEqual({
      ok: false,
      problem: "expected a duration such as '5 s', got 5",
    })
    expect(parseDurationMs('5')).toMatchObject({ ok: false })
  })

  test('arbitrary input is refused on one line, or read as a finite time', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.anything()), (input) => {
        const parsed = parseDurationMs(input)
        if (parsed.ok) expect(Number.isFinite(parsed.value)).toBe(true)
        else expect(parsed.problem).not.toMatch(/\n/)
      }),
    )
  })
})

describe('figures for people', () => {
  test('sizes are written so that they read back within the three digits shown', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1024, max: 2 ** 50 }), (bytes) => {
        const parsed = /^([\d.]+) (KiB|MiB|GiB|TiB)$/.exec(formatBytes(bytes))
        const units = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }
        const unit = units[parsed?.[2] as 'KiB']
        expect(Math.abs(Number(parsed?.[1]) * unit - bytes) / bytes).toBeLessThan(0.006)
      }),
    )
  })

  test('times and counts carry the unit that keeps them short', () => {
    expect([640, 1234, 52_700, 1.6e6, 2e9].map(formatNs)).toEqual([
      '640 ns',
      '1.23 µs',
      '52.7 µs',
      '1.6 ms',
      '2 s',
    ])
    expect([0, 0.00042, 9.5, 9999, 25_300, 1.23e7, 4e9].map(formatCount)).toEqual([
      '0',
      '0.00042',
      '9.5',
      '9999',
      '25.3 k',
      '12.3 M',
      '4 G',
    ])
  })
})
