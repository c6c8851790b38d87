import { describe, expect, test } from 'vitest'

import { Watchdog } from '../src/watchdog.ts'

/** A timer that a test cranks. */
class Crank {
  now = 0
  #due = Number.POSITIVE_INFINITY
  #look: (() => void) | null = null
  looks = 0

  nowMs(): number {
    return this.now
  }

  after(ms: number, look: () => void): () => void {
    this.#due = this.now + ms
    this.#look = look
    return () => {
      this.#look = null
    }
  }

  to(ms: number): void {
    while (this.#look !== null && this.#due <= ms) {
      this.now = this.#due
      const look = this.#look
      this.#look = null
      this.looks += 1
      look()
    }
    this.now = ms
  }
}

class Guests {
  readonly silent: Set<number> = new Set()
  readonly limits: Set<number> = new Set()
  readonly #asked: Set<number> = new Set()

  ping(partitionId: number): void {
    if (this.silent.has(partitionId)) this.#asked.add(partitionId)
  }

  answered(partitionId: number, limitMs: number): boolean {
    this.limits.add(limitMs)
    return !this.#asked.has(partitionId)
  }
}

describe('the watchdog', () => {
  function setUp() {
    const crank = new Crank()
    const guests = new Guests()
    const gone: number[] = []
    const watchdog = new Watchdog(guests, crank)
    const watch = (id: number, limitMs: number): void => {
      void watchdog.watch(id, limitMs).then(() => gone.push(id))
    }
    return { crank, guests, gone, watchdog, watch }
  }

  test('a guest that stops polling is given up after its limit, and its neighbour is not', async () => {
    const { crank, guests, gone, watch } = setUp()
    watch(2, 1_000)
    watch(3, 1_000)
    crank.to(10_000)
    guests.silent.add(3)
    crank.to(10_400)
    await Promise.resolve()
    expect(gone).toEqual([])
    crank.to(11_500)
    await Promise.resolve()
    expect(gone).toEqual([3])
  })

  test('each look says how long a processor may be kept', () => {
    const { crank, guests, watch } = setUp()
    watch(2, 1_000)
    watch(3, 400)
    crank.to(3_000)
    expect([...guests.limits].toSorted((a, b) => a - b)).toEqual([400, 1_000])
  })

  test('looks at many guests fall together: one timer a period, not one a guest', () => {
    const { crank, watch } = setUp()
    for (let id = 2; id < 18; id += 1) watch(id, 10_000)
    crank.to(20_000)
    expect(crank.looks).toBeLessThanOrEqual(5)
  })

  test('a guest that is forgotten is not looked at again, and no timer is left for it', () => {
    const { crank, watchdog, watch } = setUp()
    watch(2, 100)
    crank.to(100)
    const { looks } = crank
    watchdog.forget(2)
    crank.to(10_000)
    expect(crank.looks).toBe(looks)
  })
})
