// What VPs get that run in short pieces: that halt for a moment after each, or give the rest of the slice up.

import { CPU_FRACTION_ONE } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  CPU_PROPERTIES_DEFAULT,
  Simulation,
  fairShares,
  type CpuProperties,
  type SchedulerPolicyName,
} from '../src/index.ts'

const SLICE = 20_000
const US = 10
/** What a dispatch counts for at the least. */
const CHARGE_MIN = SLICE / 32
/** Long enough that a slice is less than 1 % of the least that anybody is due. */
const SPAN = SLICE * 6_000

interface Pieces {
  readonly properties: Partial<CpuProperties>
  /** Of each piece, and of the halt after it; 0: it yields. 100 ns units. */
  readonly run: number
  readonly sleep: number
}

/** What one VP that runs in pieces and its rivals, which never stop, got, as fractions of what they are due. */
function outcome(
  one: Pieces,
  rivals: readonly Partial<CpuProperties>[],
  logicalProcessors = 1,
  policy: SchedulerPolicyName = 'classic',
): readonly number[] {
  const all = [one.properties, ...rivals].map((some) => ({ ...CPU_PROPERTIES_DEFAULT, ...some }))
  const vps = all.map((properties, index) => ({ partitionId: index + 2, vpIndex: 0, properties }))
  const behaviour = (step: { run: number; sleep: number }): void => {
    step.run = one.run
    step.sleep = one.sleep
  }
  const simulation = new Simulation({ policy, logicalProcessors }, [
    { ...vps[0]!, behaviour },
    ...vps.slice(1),
  ])
  simulation.runUntil(SPAN)
  const due = fairShares(all, logicalProcessors)
  return simulation.inspect().vps.map((vp, index) => vp.guestRunTime / simulation.now / due[index]!)
}

const reserve80 = { reserve: Math.round(0.8 * CPU_FRACTION_ONE) }
const run = fc.oneof(
  fc.integer({ min: 10 * US, max: SLICE }),
  fc.integer({ min: SLICE - 100 * US, max: SLICE }),
)
const sleep = fc.oneof(fc.constant(0), fc.constant(1), fc.integer({ min: 1, max: 3 * SLICE }))
const weight = fc.constantFrom(50, 100, 200, 300)

describe.each(['classic', 'core'] as const)(
  'a VP that runs in pieces, under the %s policy',
  (policy) => {
    test.each([
      ['weight 10000 beside 1, 0.1 ms and a halt', { weight: 10_000 }, { weight: 1 }, 1_000, 1],
      ['a reserve of 80 %, 0.1 ms and a halt', reserve80, {}, 1_000, 1],
      ['a reserve of 80 %, 0.2 ms and a halt', reserve80, {}, 2_000, 1],
      ['a reserve of 80 %, 0.4 ms and a halt', reserve80, {}, 4_000, 1],
      ['a reserve of 80 %, 0.8 ms and a halt', reserve80, {}, 8_000, 1],
      ['a reserve of 80 %, 1 ms and a yield', reserve80, {}, 10_000, 0],
      ['an equal, 0.1 ms and a halt', {}, {}, 1_000, 1],
      ['an equal that yields 0.5 ms before its slice ends', {}, {}, SLICE - 5_000, 0],
      ['an equal that yields 0.1 ms before its slice ends', {}, {}, SLICE - 1_000, 0],
    ])('%s: within 1 %% of its due', (_, properties, rival, piece, halt) => {
      const [got] = outcome({ properties, run: piece, sleep: halt }, [rival], 1, policy)
      expect(Math.abs(got! - 1)).toBeLessThanOrEqual(0.01)
    })

    test('gets no more than 1.01 of its share with any piece from 10 µs to a slice and any halt, and others no less than 0.99', () => {
      fc.assert(
        fc.property(
          fc.record({ run, sleep, weight }),
          fc.array(weight, { minLength: 1, maxLength: 7 }),
          (one, rivals) => {
            const got = outcome(
              { ...one, properties: { weight: one.weight } },
              rivals.map((some) => ({ weight: some })),
              1,
              policy,
            )
            expect(got[0]).toBeLessThanOrEqual(1.01)
            for (const other of got.slice(1)) expect(other).toBeGreaterThanOrEqual(0.99)
          },
        ),
        { numRuns: 15 },
      )
    })
  },
)

describe('a VP that is ready but for moments', () => {
  test('gets its share within 1 % with any piece worth a dispatch, on one processor or two', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: CHARGE_MIN, max: SLICE }),
        fc.constantFrom(0, 1),
        fc.constantFrom({ weight: 50 }, { weight: 100 }, { weight: 300 }, reserve80),
        fc.integer({ min: 1, max: 2 }),
        (piece, halt, properties, logicalProcessors) => {
          const rivals = [{}, {}, {}]
          const [got] = outcome({ properties, run: piece, sleep: halt }, rivals, logicalProcessors)
          expect(got).toBeGreaterThanOrEqual(0.99)
          expect(got).toBeLessThanOrEqual(1.01)
        },
      ),
      { numRuns: 15 },
    )
  })

  test('a shorter piece counts as a 32nd of a slice, and a reserve is met by what was counted', () => {
    for (const piece of [10 * US, 25 * US, 50 * US]) {
      for (const halt of [0, 1]) {
        const [got] = outcome({ properties: reserve80, run: piece, sleep: halt }, [{}])
        // Others have a quarter of what was counted: that is the rest of the time.
        const counted = piece / (piece + CHARGE_MIN / 4)
        expect(got! * 0.8).toBeGreaterThanOrEqual(counted * 0.98)
        expect(got).toBeLessThanOrEqual(1.01)
      }
    }
  })
})
