// A guest that scribbles over its rings and control pages while the host reads them, at random: the short run. The long one is
// scripts/scribble-soak.ts.

import { describe, expect, test } from 'vitest'

import { RingScribbler } from './ring-scribbler.ts'

const MUTATIONS = 30_000
/** The seed of the whole test run, so that a failure can be run again. */
const SEED = Number(process.env['FC_SEED'] ?? 1)

describe('a guest that scribbles over its rings', () => {
  test.each([SEED, SEED + 1])(
    'loses its channel with a RingFault and nobody else loses anything (seed %i)',
    (seed) => {
      const scribbler = new RingScribbler(seed)
      scribbler.run(MUTATIONS / 2)
      const report = scribbler.report()
      expect(report.mutations).toBeGreaterThanOrEqual(MUTATIONS / 2)
      // Every way in which a guest can break the in-band packets of a ring is met in a run of this length.
      expect(Object.keys(report.faults)).toEqual(
        expect.arrayContaining([
          'BAD_WRITE_INDEX',
          'BAD_READ_INDEX',
          'BAD_OFFSET',
          'BAD_FLAGS',
          'LENGTH_BEYOND_INDEX',
          'UNKNOWN_TYPE',
        ]),
      )
      expect(report.neighbourPackets).toBeGreaterThan(MUTATIONS / 4)
    },
  )
})
