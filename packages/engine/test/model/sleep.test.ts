// A small-step model of an engine that falls asleep on a ring with an interrupt mask and a doorbell, explored in every
// interleaving. The sender follows the ring's rule: publish, then look whether the ring was empty and the mask clear, then
// ring. The engine: sample, arm (clear the mask, look), poll, sleep while the count is the sample, disarm (set the mask).

import { expect, test } from 'vitest'

interface State {
  /** Written by the sender: packets published; by the engine: packets read. */
  published: number
  read: number
  masked: boolean
  bell: number
  sample: number
  /** What the sender saw before it published. */
  empty: boolean
  found: boolean
}

type Step = (state: State) => number | 'blocked' | 'done'
type Mistake = 'no' | 'sample after the look' | 'no look after the mask'

const PACKETS = 3

const sender: readonly Step[] = [
  (s) => {
    s.published++
    return 1
  },
  // ORDER of the ring: the mask and the read index are read after the publication.
  (s) => (s.masked ? next(s) : 2),
  (s) => (s.read === s.published - 1 ? 3 : next(s)),
  (s) => {
    s.bell++
    return next(s)
  },
]

function next(s: State): number | 'done' {
  return s.published === PACKETS ? 'done' : 0
}

function engine(mistake: Mistake): readonly Step[] {
  const take = (s: State) => {
    if (s.read === s.published) return false
    s.read++
    return true
  }
  return [
    // 0: poll, masked; with nothing found, on to sleep.
    (s) => (take(s) ? 0 : 1),
    (s) => {
      if (mistake !== 'sample after the look') s.sample = s.bell
      return 2
    },
    // 2, 3: arm.
    (s) => {
      s.masked = false
      return mistake === 'no look after the mask' ? 5 : 3
    },
    (s) => {
      s.found = s.read !== s.published
      return s.found ? 6 : 4
    },
    // 4: the engine's own last look.
    (s) => (take(s) ? 6 : 5),
    (s) => {
      if (mistake === 'sample after the look') s.sample = s.bell
      return 7
    },
    // 6: disarm.
    (s) => {
      s.masked = true
      return 0
    },
    // 7: asleep.
    (s) => (s.bell === s.sample ? 'blocked' : 6),
  ]
}

/** States in which neither can go on. */
function explore(mistake: Mistake): { states: number; ends: State[] } {
  const threads = [sender, engine(mistake)]
  const start: State = {
    published: 0,
    read: 0,
    masked: true,
    bell: 0,
    sample: 0,
    empty: true,
    found: false,
  }
  const open = [{ state: start, counters: [0, 0] as (number | 'done')[] }]
  const seen = new Set<string>()
  const ends: State[] = []
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const key = JSON.stringify(node)
    if (seen.has(key)) continue
    seen.add(key)
    let stuck = true
    for (const [index, steps] of threads.entries()) {
      const counter = node.counters[index]!
      if (counter === 'done') continue
      const state = { ...node.state }
      const to = steps[counter]!(state)
      if (to === 'blocked') continue
      stuck = false
      open.push({ state, counters: node.counters.with(index, to) })
    }
    if (stuck) ends.push(node.state)
  }
  return { states: seen.size, ends }
}

test('no interleaving leaves a packet in the ring with the engine asleep', () => {
  const { states, ends } = explore('no')
  expect(states).toBeGreaterThan(100)
  expect(ends.length).toBeGreaterThan(0)
  for (const end of ends) expect(end.read).toBe(PACKETS)
})

test.each(['sample after the look', 'no look after the mask'] as const)(
  'an engine with the mistake "%s" is caught',
  (mistake) => {
    expect(explore(mistake).ends.some((end) => end.read < PACKETS)).toBe(true)
  },
)
