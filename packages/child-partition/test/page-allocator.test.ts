import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { PageAllocator } from '../src/kernel/page-allocator.ts'

describe('page allocator', () => {
  test('contiguous placement gives one run while there is one', () => {
    const pages = new PageAllocator(16, 100, 'contiguous')
    const pfns = pages.allocate(10)!
    expect([...pfns]).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25])
  })

  test('contiguous placement falls back to any free pages when no run is long enough', () => {
    const pages = new PageAllocator(0, 6, 'contiguous')
    const first = pages.allocate(6)!
    pages.free([first[1]!, first[3]!, first[5]!])
    expect([...pages.allocate(3)!].toSorted((a, b) => a - b)).toEqual([1, 3, 5])
  })

  test('scattered placement never gives two neighbours in a row while half the pages are free', () => {
    const pages = new PageAllocator(16, 100, 'scattered')
    const pfns = [...pages.allocate(40)!]
    for (let i = 1; i < pfns.length; i += 1) expect(Math.abs(pfns[i]! - pfns[i - 1]!)).not.toBe(1)
  })

  test('more pages than are free are refused and nothing is taken', () => {
    const pages = new PageAllocator(0, 4, 'contiguous')
    expect(pages.allocate(5)).toBeUndefined()
    expect(pages.freePages).toBe(4)
  })

  test('pages given back twice, or never given out, are counted once', () => {
    const pages = new PageAllocator(8, 4, 'contiguous')
    const pfns = pages.allocate(2)!
    pages.free(pfns)
    pages.free(pfns)
    pages.free([0, 7, 12, 1_000_000])
    expect(pages.freePages).toBe(4)
  })

  test('no page is ever given to two owners, whatever is allocated and freed', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('contiguous' as const, 'scattered' as const),
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 12 })), { maxLength: 40 }),
        (placement, steps) => {
          const pages = new PageAllocator(5, 50, placement)
          const held: Uint32Array[] = []
          for (const [give, count] of steps) {
            const pfns = give ? held.shift() : pages.allocate(count)
            if (pfns === undefined) continue
            if (give) pages.free(pfns)
            else held.push(pfns)
            const all = held.flatMap((list) => [...list])
            expect(new Set(all).size).toBe(all.length)
            expect(all.every((pfn) => pfn >= 5 && pfn < 55)).toBe(true)
            expect(pages.freePages).toBe(50 - all.length)
          }
        },
      ),
    )
  })
})
