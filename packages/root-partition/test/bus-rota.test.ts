// Which bus is polled when there is more work than one poll of the root may do.

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { BusRota, type PolledBus } from '../src/bus-rota.ts'

/** Always has as much to do as it is given, or as `most` says. */
class BusyBus implements PolledBus {
  done = 0
  polls = 0
  readonly #most: number

  constructor(most = Infinity) {
    this.#most = most
  }

  poll(budget: number): number {
    const units = Math.min(budget, this.#most)
    this.polls += 1
    this.done += units
    return units
  }

  arm(): boolean {
    return false
  }

  disarm(): void {}
}

function rotaOf(buses: readonly PolledBus[]): BusRota {
  const rota = new BusRota()
  for (const bus of buses) rota.add(bus)
  return rota
}

test('buses that always have work get the same', () => {
  const buses = Array.from({ length: 5 }, () => new BusyBus())
  const rota = rotaOf(buses)
  for (let poll = 0; poll < 50; poll += 1) expect(rota.poll(256)).toBe(256)
  expect(buses.map((bus) => bus.done)).toEqual(Array.from({ length: 5 }, () => 10 * 256))
})

test('whatever each does, none is polled twice before all are polled once, and a poll stays near its budget', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(0, 1, 63, 200, 255, 256, 1000), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 256 }),
      (most, budget) => {
        const buses = most.map((units) => new BusyBus(units))
        const rota = rotaOf(buses)
        for (let poll = 0; poll < 40; poll += 1) {
          expect(rota.poll(budget)).toBeLessThan(2 * budget)
          const polls = buses.map((bus) => bus.polls)
          expect(Math.max(...polls) - Math.min(...polls)).toBeLessThanOrEqual(1)
        }
        // Nobody's turn is cut short because of who came before.
        buses.forEach((bus, index) => {
          expect(bus.done).toBe(bus.polls * Math.min(most[index] ?? 0, budget))
        })
      },
    ),
  )
})

test('a bus that leaves while it is polled skips nobody', () => {
  const rota = new BusRota()
  const others = [new BusyBus(), new BusyBus()]
  const leaving: PolledBus = {
    poll: () => {
      rota.remove(leaving)
      return 1
    },
    arm: () => false,
    disarm: () => undefined,
  }
  rota.add(leaving)
  for (const bus of others) rota.add(bus)
  for (let poll = 0; poll < 6; poll += 1) rota.poll(16)
  expect(others.map((bus) => bus.polls)).toEqual([3, 3])
})

test('all are armed, and one that found work is told to the engine', () => {
  const armed: number[] = []
  const bus = (index: number, hasWork: boolean): PolledBus => ({
    poll: () => 0,
    arm: () => {
      armed.push(index)
      return hasWork
    },
    disarm: () => undefined,
  })
  expect(rotaOf([bus(0, false), bus(1, true), bus(2, false)]).arm()).toBe(true)
  expect(armed).toEqual([0, 1, 2])
  expect(rotaOf([bus(0, false)]).arm()).toBe(false)
})
