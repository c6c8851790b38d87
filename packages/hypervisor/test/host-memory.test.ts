import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HvStatus } from '@guestyard/hvdef'
import { HostMemoryPool } from '@guestyard/hypervisor'

const PAGES = 64

describe('the memory of a machine', () => {
  it('refuses RAM that does not fit, counts the refusal, and gives nothing', () => {
    const pool = new HostMemoryPool(PAGES)
    expect(pool.allocateRam(2, 0, 40)).toBe(HvStatus.SUCCESS)
    expect(pool.allocateRam(3, 0, 25)).toBe(HvStatus.INSUFFICIENT_MEMORY)
    expect(pool.take(25)).toBeUndefined()
    expect(pool.freePages).toBe(24)
    expect(pool.refusals).toBe(2)
    pool.release(2)
    expect(pool.allocateRam(3, 0, PAGES)).toBe(HvStatus.SUCCESS)
  })

  it('says which page of RAM a machine page is, for the partition that has it and no other', () => {
    const pool = new HostMemoryPool(PAGES)
    pool.allocateRam(2, 0, 8)
    pool.allocateRam(3, 16, 8)
    const [extent] = pool.ramOf(3)
    expect(pool.ramPageOf(3, extent!.hostPage + 5)).toBe(21)
    expect(pool.ramPageOf(2, extent!.hostPage + 5)).toBe(-1)
    expect(pool.ramPageOf(3, extent!.hostPage + 8)).toBe(-1)
    expect(pool.ramPageOf(9, 1)).toBe(-1)
  })

  it('takes deposits of pages that the root has, once each', () => {
    const pool = new HostMemoryPool(PAGES)
    const [page] = pool.take(1)!
    expect(pool.deposit(2, page!)).toBe(HvStatus.SUCCESS)
    expect(pool.deposit(2, page!)).toBe(HvStatus.INVALID_PARAMETER)
    expect(pool.deposit(2, page! + 1)).toBe(HvStatus.INVALID_PARAMETER)
    expect(pool.giveBack(page!)).toBe(HvStatus.INVALID_PARAMETER)
    expect(pool.balance(2)).toEqual({ available: 1, inUse: 0 })
  })

  it('gives back no page that the hypervisor still needs', () => {
    const pool = new HostMemoryPool(PAGES)
    for (const page of pool.take(3)!) pool.deposit(2, page)
    expect(pool.charge(2, 4)).toBe(HvStatus.INSUFFICIENT_MEMORY)
    expect(pool.charge(2, 2)).toBe(HvStatus.SUCCESS)
    expect(pool.withdraw(2)).toBeGreaterThan(0)
    expect(pool.withdraw(2)).toBe(-1)
    pool.refund(2, 2)
    expect(pool.withdraw(2)).toBeGreaterThan(0)
  })
})

const step = fc.record({
  does: fc.constantFrom('ram', 'releaseRam', 'take', 'giveBack', 'deposit', 'withdraw', 'release'),
  partition: fc.integer({ min: 2, max: 4 }),
  count: fc.integer({ min: 1, max: 24 }),
})

describe('any sequence of requests', () => {
  it('gives no page twice, and has every page again when all partitions are gone', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const pool = new HostMemoryPool(PAGES)
        const rootPages: number[] = []
        const deposited = new Map<number, number[]>()
        for (const { does, partition, count } of steps) {
          if (does === 'ram') pool.allocateRam(partition, 0, count)
          else if (does === 'releaseRam') pool.releaseRam(partition)
          else if (does === 'take') rootPages.push(...(pool.take(count) ?? []))
          else if (does === 'giveBack' && rootPages.length > 0) pool.giveBack(rootPages.pop()!)
          else if (does === 'deposit' && rootPages.length > 0) {
            const page = rootPages.pop()!
            expect(pool.deposit(partition, page)).toBe(HvStatus.SUCCESS)
            deposited.set(partition, [...(deposited.get(partition) ?? []), page])
          } else if (does === 'withdraw') {
            const page = pool.withdraw(partition)
            const held = deposited.get(partition) ?? []
            expect(page > 0).toBe(held.length > 0)
            if (page > 0) rootPages.push(page)
            deposited.set(
              partition,
              held.filter((other) => other !== page),
            )
          } else if (does === 'release') {
            pool.release(partition)
            deposited.delete(partition)
          }
          const owned = [
            ...rootPages,
            ...[...deposited.values()].flat(),
            ...[2, 3, 4].flatMap((owner) =>
              pool
                .ramOf(owner)
                .flatMap(({ hostPage, pageCount }) =>
                  Array.from({ length: pageCount }, (_, index) => hostPage + index),
                ),
            ),
          ]
          expect(new Set(owned).size).toBe(owned.length)
          expect(owned.every((page) => page >= 1 && page <= PAGES)).toBe(true)
          expect(pool.freePages).toBe(PAGES - owned.length)
        }
        for (const partition of [2, 3, 4]) pool.release(partition)
        for (const page of rootPages) pool.giveBack(page)
        expect(pool.take(PAGES)).toHaveLength(PAGES)
      }),
    )
  })
})
