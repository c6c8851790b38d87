// A small-step model of one channel's event flag between the root and two VPs, while its route changes: each step is one
// atomic access of synic/event-flags.ts. A move takes the flag back from the old VP's inbox and, if it was still there,
// raises it with the new one; the old VP may go offline once the move is answered.

import { describe, expect, test } from 'vitest'

import { explore } from './explorer.ts'
import type { ModelThread, Variables } from './explorer.ts'

interface Routed extends Variables {
  /** What the root wrote before its latest raise, and what a handler saw. */
  data: number
  seen: number
  /** Flags that went from clear to set and were not taken back; handlers that ran. */
  sets: number
  runs: number
  /** By VP: the three levels of its inbox, and its doorbell. */
  flags: number[]
  summaries: number[]
  tops: number[]
  bells: number[]
  /** Private to the root. */
  turn: number
  route: number
  /** Moves that were answered. */
  answered: number
  /** By VP, private. */
  samples: number[]
  taken: number[]
  acted: number[]
}

type Operation = 'raise' | 'move'
type Mistake = 'none' | 'flag stays' | 'flag is copied'

function start(): Routed {
  const pair = (): number[] => [0, 0]
  return {
    data: 0,
    seen: 0,
    sets: 0,
    runs: 0,
    flags: pair(),
    summaries: pair(),
    tops: pair(),
    bells: pair(),
    turn: 0,
    route: 0,
    answered: 0,
    samples: pair(),
    taken: pair(),
    acted: pair(),
  }
}

function root(script: readonly Operation[], mistake: Mistake): ModelThread<Routed> {
  const next = (v: Routed) => {
    if (script[v.turn] === 'move') v.answered++
    v.turn++
    return v.turn === script.length ? 'done' : 0
  }
  const raise = (levels: 'flags' | 'summaries' | 'tops', then: number) => (v: Routed) => {
    const old = v[levels][v.route]!
    v[levels][v.route] = 1
    if (old === 1) return next(v)
    if (levels === 'flags') v.sets++
    return then
  }
  return {
    name: 'root',
    steps: [
      (v) => {
        if (script[v.turn] === 'move') return 5
        v.data++
        return 1
      },
      raise('flags', 2),
      raise('summaries', 3),
      raise('tops', 4),
      (v) => {
        v.bells[v.route]!++
        return next(v)
      },
      // 5: a move takes the flag back.
      (v) => {
        const old = v.route
        v.route = 1 - old
        const had = v.flags[old] === 1
        if (mistake === 'flag stays') return next(v)
        if (mistake === 'none') {
          v.flags[old] = 0
          if (had) v.sets--
        }
        if (!had) return next(v)
        return 1
      },
    ],
  }
}

/** Takes, handles, sleeps. `offlineAfter`: goes offline between looks once so many moves were answered. */
function vp(index: number, offlineAfter = Infinity): ModelThread<Routed> {
  return {
    name: `VP ${index}`,
    steps: [
      (v) => {
        if (v.answered >= offlineAfter) return 'done'
        v.acted[index] = 0
        v.samples[index] = v.bells[index]!
        return 1
      },
      (v) => {
        const had = v.tops[index]
        v.tops[index] = 0
        return had === 1 ? 2 : 4
      },
      (v) => {
        v.taken[index] = v.summaries[index]!
        v.summaries[index] = 0
        return 3
      },
      (v) => {
        if (v.taken[index] === 1 && v.flags[index] === 1) {
          v.flags[index] = 0
          v.runs++
          v.seen = v.data
          v.acted[index] = 1
        }
        return 4
      },
      (v) => {
        if (v.acted[index] === 1) return 0
        // Asleep until the bell moves, or to go offline.
        if (v.answered >= offlineAfter) return 'done'
        return v.bells[index] === v.samples[index] ? 'blocked' : 0
      },
    ],
  }
}

const SCRIPTS: readonly (readonly Operation[])[] = [
  ['raise', 'move'],
  ['raise', 'move', 'raise'],
  ['raise', 'raise', 'move', 'raise'],
  ['raise', 'move', 'move', 'raise'],
  ['raise', 'move', 'raise', 'move', 'raise'],
]

function ends(script: readonly Operation[], mistake: Mistake, offline: boolean): readonly Routed[] {
  const moves = script.filter((operation) => operation === 'move').length
  const last = moves % 2
  const threads = [root(script, mistake), vp(last), vp(1 - last, offline ? moves : Infinity)]
  return explore(start(), threads).ends
}

const isRight = (end: Routed): boolean =>
  end.seen === end.data && end.runs === end.sets && end.flags.every((flag) => flag === 0)

describe.each([false, true])('with the VPs before the last going offline: %s', (offline) => {
  test.each(SCRIPTS.map((script) => ({ script })))(
    'every flag of $script is handled once, and the last one after it was raised',
    ({ script }) => {
      const found = ends(script, 'none', offline)
      expect(found.length).toBeGreaterThan(0)
      for (const end of found) expect([end, isRight(end)]).toEqual([end, true])
    },
  )
})

test('a move that leaves the flag where it is loses it when the old VP goes offline', () => {
  const found = ends(['raise', 'move'], 'flag stays', true)
  expect(found.some((end) => end.seen !== end.data)).toBe(true)
})

test('a move that copies the flag has it handled twice', () => {
  const found = ends(['raise', 'move'], 'flag is copied', false)
  expect(found.some((end) => end.runs > end.data)).toBe(true)
})
