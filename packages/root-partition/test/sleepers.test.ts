// Who sleeps in a simulation wakes in order.

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { Sleepers } from '../src/scheduler/sleepers.ts'

test('whoever is added when, they wake in the order of their times, and none is lost', () => {
  const times = fc.array(fc.record({ add: fc.boolean(), wakesAt: fc.nat(20) }))
  fc.assert(
    fc.property(times, (steps) => {
      const sleepers = new Sleepers<{ readonly wakesAt: number }>()
      const expected: number[] = []
      for (const { add, wakesAt } of steps) {
        if (add || expected.length === 0) {
          sleepers.add({ wakesAt })
          expected.push(wakesAt)
          expected.sort((a, b) => a - b)
        } else {
          expect(sleepers.take().wakesAt).toBe(expected.shift())
        }
        expect(sleepers.nextWake).toBe(expected[0] ?? Number.POSITIVE_INFINITY)
      }
    }),
  )
})
