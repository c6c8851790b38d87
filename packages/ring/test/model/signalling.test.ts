import { describe, expect, test } from 'vitest'
import { type Mistake, explore } from './signalling-model.ts'

/** Rings so small, and packets so mixed, that every wait and every edge happens. */
const SCENES = [
  { capacity: 1, packets: [1, 1, 1] },
  { capacity: 2, packets: [1, 1, 1, 1] },
  { capacity: 2, packets: [1, 2, 1, 2] },
  { capacity: 3, packets: [2, 1, 3, 1] },
  { capacity: 3, packets: [1, 1, 1, 1] },
]

/** Mistakes that lose a wake-up, and those that only signal for nothing. */
const LOSING: readonly Mistake[] = [
  'mask read before in is stored',
  'emptiness judged by an old out',
  'no look after unmask',
  'sleeping with space held back',
  'pending size read before out is stored',
  'no look after asking for space',
  'bell sampled after looking',
]
/** Mistakes that find fault with an index that is right: the other end moved on meanwhile. */
const FAULTING: readonly Mistake[] = ['in judged by the out before', 'out judged by the in before']
const NOISY: readonly Mistake[] = ['level instead of edge', 'signal whenever unmasked']

describe('signalling, every interleaving of two threads', () => {
  test.each(SCENES)(
    'no wake-up is lost and none is needless: $capacity units, packets $packets',
    (scene) => {
      const { states, failure } = explore({ ...scene, mistake: 'none' })
      expect(failure).toBe('')
      expect(states).toBeGreaterThan(300)
    },
  )

  test.each(LOSING)('the model notices the lost wake-up when it is made to err: %s', (mistake) => {
    const failures = SCENES.map((scene) => explore({ ...scene, mistake }).failure)
    expect(failures.some((failure) => /asleep|never finishes/.test(failure))).toBe(true)
  })

  test.each(FAULTING)(
    'the model notices the needless fault when it is made to err: %s',
    (mistake) => {
      const failures = SCENES.map((scene) => explore({ ...scene, mistake }).failure)
      expect(failures.some((failure) => failure.includes('a fault nobody caused'))).toBe(true)
    },
  )

  test.each(NOISY)(
    'the model notices the needless signal when it is made to err: %s',
    (mistake) => {
      const failures = SCENES.map((scene) => explore({ ...scene, mistake }).failure)
      expect(failures.some((failure) => failure.includes('two signals to one'))).toBe(true)
    },
  )
})
