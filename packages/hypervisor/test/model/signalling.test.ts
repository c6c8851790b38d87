// A small-step model of event flags: bitmap, summary and doorbell, between one signaller and one taker that sleeps
// when it finds nothing. Each step is one atomic access of synic/event-flags.ts and Partition.drain (outbox), or of
// Synic.deliver (inbox, with a top word above the summary). Two flags share a word, a third lies in another group.

import { describe, expect, test } from 'vitest'

import { explore } from './explorer.ts'
import type { ModelThread, Variables } from './explorer.ts'

const FLAGS = 3
const groupOf = (flag: number) => (flag < 2 ? 0 : 1)

interface Signalling extends Variables {
  /** What the signaller wrote before its latest signal of each flag, and what the taker saw when it acted on it. */
  data: number[]
  seen: number[]
  flags: number[]
  summary: number
  top: number
  bell: number
  /** Private to the signaller: which signal, and what its last read-modify-write found. */
  turn: number
  old: number
  /** Private to the taker. */
  sample: number
  taken: number
  cursor: number
  acted: boolean
}

function start(): Signalling {
  return {
    data: Array.from({ length: FLAGS }, () => 0),
    seen: Array.from({ length: FLAGS }, () => 0),
    flags: Array.from({ length: FLAGS }, () => 0),
    summary: 0,
    top: 0,
    bell: 0,
    turn: 0,
    old: 0,
    sample: 0,
    taken: 0,
    cursor: 0,
    acted: false,
  }
}

/** Signals the flags of `script` in turn. */
function signaller(script: readonly number[], levels: 2 | 3): ModelThread<Signalling> {
  const next = (v: Signalling) => {
    v.turn++
    v.old = 0
    return v.turn === script.length ? 'done' : 0
  }
  return {
    name: 'signaller',
    steps: [
      (v) => {
        v.data[script[v.turn]!]!++
        return 1
      },
      (v) => {
        const flag = script[v.turn]!
        v.old = v.flags[flag]!
        v.flags[flag] = 1
        return v.old === 1 ? next(v) : 2
      },
      (v) => {
        v.old = v.summary
        v.summary |= 1 << groupOf(script[v.turn]!)
        if (v.old !== 0) return next(v)
        return levels === 3 ? 3 : 4
      },
      (v) => {
        v.old = v.top
        v.top = 1
        return v.old === 1 ? next(v) : 4
      },
      (v) => {
        v.bell++
        return next(v)
      },
    ],
  }
}

/** Samples, takes, and sleeps on the sample when there was nothing. `broken` names a mistake to show that it is found. */
function taker(
  levels: 2 | 3,
  broken: 'no' | 'sample late' | 'flags first',
): ModelThread<Signalling> {
  const begin = (v: Signalling) => {
    v.cursor = 0
    v.acted = false
    return 0
  }
  return {
    name: 'taker',
    steps: [
      // 0: sample, unless that is what is broken.
      (v) => {
        if (broken !== 'sample late') v.sample = v.bell
        if (levels === 3) return 1
        return broken === 'flags first' ? 3 : 2
      },
      (v) => {
        const had = v.top
        v.top = 0
        return had === 0 ? 4 : 2
      },
      (v) => {
        v.taken = broken === 'flags first' ? 0 : v.summary
        v.summary = 0
        return broken === 'flags first' ? 4 : 3
      },
      // 3: one flag after another, those of taken groups.
      (v) => {
        const flag = v.cursor++
        const wanted = broken === 'flags first' || ((v.taken >> groupOf(flag)) & 1) === 1
        if (wanted && v.flags[flag] === 1) {
          v.flags[flag] = 0
          v.seen[flag] = v.data[flag]!
          v.acted = true
        }
        if (v.cursor < FLAGS) return 3
        return broken === 'flags first' ? 2 : 4
      },
      (v) => {
        if (v.acted) return begin(v)
        if (broken === 'sample late') v.sample = v.bell
        return 5
      },
      // 5: asleep until the bell moves.
      (v) => (v.bell === v.sample ? 'blocked' : begin(v)),
    ],
  }
}

const SCRIPTS = [
  [0, 0, 0],
  [0, 1, 0],
  [0, 2, 0],
  [2, 0, 1, 2],
]

describe.each([2, 3] as const)('with %i levels', (levels) => {
  test.each(SCRIPTS)(
    'no interleaving of signals %i, %i, %i … leaves one unseen with the taker asleep',
    (...script) => {
      const { states, ends } = explore(start(), [signaller(script, levels), taker(levels, 'no')])
      expect(states).toBeGreaterThan(20)
      for (const end of ends) expect(end.seen).toEqual(end.data)
    },
  )

  test.each(['sample late', 'flags first'] as const)(
    'a taker with the mistake "%s" is caught',
    (mistake) => {
      if (mistake === 'flags first' && levels === 3) return
      const { ends } = explore(start(), [signaller([0, 2, 0, 1], levels), taker(levels, mistake)])
      expect(ends.some((end) => end.seen.some((seen, flag) => seen !== end.data[flag]))).toBe(true)
    },
  )

  test('a signal that finds its flag set does not ring', () => {
    const { ends } = explore(start(), [signaller([0, 0, 0, 0], levels)])
    expect(ends.map((end) => end.bell)).toEqual([1])
  })
})
