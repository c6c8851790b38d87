import { expect, test } from 'vitest'
import { soak } from './soak.ts'

test.each(['wasm', 'typed'] as const)(
  'no wake-up is lost between two threads that pause at random, %s kernel',
  async (kernel) => {
    const ends = await soak({ milliseconds: 800, seed: 1, kernel })
    for (const [index, end] of ends.entries()) {
      expect(end).toMatchObject({ errors: 0, timeouts: 0, received: ends[1 - index]!.sent })
      expect(end.received).toBeGreaterThan(0)
    }
  },
)
