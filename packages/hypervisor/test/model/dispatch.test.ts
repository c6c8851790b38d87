// A small-step model of the dispatch words: one processor, two VPs whose work comes and goes, a root that grants, revokes and
// sleeps. Each step is one atomic access of dispatch-state.ts, or of the doorbells and the outbox summary around it.

import { describe, expect, test } from 'vitest'

import { explore } from './explorer.ts'
import type { ModelThread, Variables } from './explorer.ts'

const RUNNING = 1
const READY = 2
const HALTED = 3
const YIELDED = 4

interface Dispatch extends Variables {
  /** GRANT: number of the grant, and whether the processor is in it. */
  number: number[]
  granted: number[]
  /** RUN_STATE. */
  report: number[]
  about: number[]
  /** The outbox summary; the doorbells, as whether they rang since they were sampled. */
  bit: number[]
  vpRung: number[]
  rootRung: number
  /** Units of work that nobody did yet; the environment's next. */
  work: number[]
  script: number
  /** The root's: what it takes each VP for (READY, RUNNING, HALTED), revocations it still makes, whom it just granted. */
  taken: number[]
  isRevoked: number[]
  revokes: number
  target: number
  /** Each VP's own. */
  seenNumber: number[]
  seenGranted: number[]
  mine: number[]
  runs: number[]
  said: number[]
  mayYield: number[]
  /** Two VPs ran guest code on the one processor. */
  clash: boolean
}

type Mistake = 'no' | 'bit after state' | 'no look after halting' | 'free on revoke' | 'no number'

function start(): Dispatch {
  return {
    number: [0, 0],
    granted: [0, 0],
    report: [0, 0],
    about: [0, 0],
    bit: [0, 0],
    vpRung: [0, 0],
    rootRung: 0,
    work: [1, 0],
    script: 0,
    taken: [READY, READY],
    isRevoked: [0, 0],
    revokes: 1,
    target: 0,
    seenNumber: [0, 0],
    seenGranted: [0, 0],
    mine: [0, 0],
    runs: [0, 0],
    said: [0, 0],
    mayYield: [0, 1],
    clash: false,
  }
}

/** Grants of one VP; a root without mistakes needs fewer. */
const GRANTS_MAX = 3

/** Work that arrives: more, and then the bell. */
const SCRIPT = [1]
const environment: ModelThread<Dispatch> = {
  name: 'environment',
  steps: [
    (v) => {
      v.work[SCRIPT[v.script]!]!++
      return 1
    },
    (v) => {
      v.vpRung[SCRIPT[v.script]!] = 1
      v.script++
      return v.script === SCRIPT.length ? 'done' : 0
    },
  ],
}

/** Takes the bit, then the state; grants when the processor is free, revokes when somebody waits. */
function root(mistake: Mistake): ModelThread<Dispatch> {
  const hear = (v: Dispatch, vp: number): void => {
    if (mistake !== 'no number' && v.about[vp] !== v.number[vp]) return
    const report = v.report[vp]!
    if (v.taken[vp] === RUNNING && report > RUNNING) {
      v.taken[vp] = report === HALTED ? HALTED : READY
      v.isRevoked[vp] = 0
    } else if (v.taken[vp] === HALTED && report === READY) v.taken[vp] = READY
  }
  const takeBit = (v: Dispatch, vp: number): boolean => {
    const had = v.bit[vp] === 1
    v.bit[vp] = 0
    return had
  }
  const look = (vp: number, first: number) => [
    (v: Dispatch) => {
      if (mistake === 'bit after state') {
        hear(v, vp)
        return first + 1
      }
      return takeBit(v, vp) ? first + 1 : first + 2
    },
    (v: Dispatch) => {
      if (mistake === 'bit after state') takeBit(v, vp)
      else hear(v, vp)
      return first + 2
    },
  ]
  return {
    name: 'root',
    steps: [
      (v) => {
        v.rootRung = 0
        return 1
      },
      ...look(0, 1),
      ...look(1, 3),
      // 5: decide, and write GRANT.
      (v) => {
        const holder = v.taken.indexOf(RUNNING)
        const waiting = v.taken.indexOf(READY)
        if (waiting < 0) return 7
        v.target = waiting
        if (holder < 0 || (mistake === 'free on revoke' && v.isRevoked[holder] === 1)) {
          if (holder >= 0) v.taken[holder] = READY
          // Mistaken roots would go on for ever.
          if (v.number[waiting] === GRANTS_MAX) return 'done'
          v.number[waiting]!++
          v.granted[waiting] = 1
          v.taken[waiting] = RUNNING
          return 6
        }
        if (v.revokes === 0 || v.isRevoked[holder] === 1) return 7
        v.revokes--
        v.isRevoked[holder] = 1
        v.granted[holder] = 0
        v.target = holder
        return 6
      },
      (v) => {
        v.vpRung[v.target] = 1
        return 0
      },
      (v) => (v.rootRung === 0 ? 'blocked' : 0),
    ],
  }
}

/** Looks at its grant, does one unit of work, looks again. */
function vp(self: number, mistake: Mistake): ModelThread<Dispatch> {
  const say = (v: Dispatch, report: number): number => {
    v.said[self] = report
    v.runs[self] = 0
    return 4
  }
  return {
    name: `VP ${self}`,
    steps: [
      (v) => {
        v.vpRung[self] = 0
        return 1
      },
      // 1: the load of GRANT.
      (v) => {
        const number = v.number[self]!
        const granted = v.granted[self]!
        if (number === v.seenNumber[self] && granted === v.seenGranted[self]) return 3
        v.seenNumber[self] = number
        v.seenGranted[self] = granted
        const isUnanswered = v.runs[self] === 1 || number !== v.mine[self]
        v.mine[self] = number
        if (granted === 0) return isUnanswered ? say(v, READY) : 3
        v.runs[self] = 1
        v.said[self] = RUNNING
        return 3
      },
      // 2: nobody acts on RUNNING, so its store is left out.
      () => 3,
      // 3: guest code, or what a VP without a grant may look at.
      (v) => {
        if (v.runs[self] === 0) {
          if (v.said[self] === HALTED && v.work[self]! > 0) return say(v, READY)
          return 7
        }
        if (v.runs[1 - self] === 1) v.clash = true
        if (v.work[self] === 0) return say(v, HALTED)
        if (v.mayYield[self] === 1) {
          v.mayYield[self] = 0
          return say(v, YIELDED)
        }
        v.work[self]!--
        return 0
      },
      (v) => {
        v.report[self] = v.said[self]!
        v.about[self] = v.mine[self]!
        return 5
      },
      (v) => {
        const had = v.bit[self] === 1
        v.bit[self] = 1
        if (!had) return 6
        return mistake === 'no look after halting' ? 7 : 1
      },
      (v) => {
        v.rootRung = 1
        return mistake === 'no look after halting' ? 8 : 1
      },
      // 7: asleep on the sample taken before the last look; 8: a mistake, on one taken after it.
      (v) => (v.vpRung[self] === 0 ? 'blocked' : 0),
      (v) => {
        v.vpRung[self] = 0
        return 7
      },
    ],
  }
}

/** With work that arrives, or without. */
function run(mistake: Mistake, arrives: boolean) {
  const vps = [vp(0, mistake), vp(1, mistake)]
  return explore(start(), [root(mistake), ...vps, ...(arrives ? [environment] : [])])
}

describe('the dispatch words', () => {
  test('no interleaving leaves work undone, a VP waiting for ever, or two VPs on one processor', () => {
    const { states, ends } = run('no', true)
    expect(states).toBeGreaterThan(10_000)
    expect(ends.length).toBeGreaterThan(0)
    for (const end of ends) {
      expect(end).toMatchObject({ work: [0, 0], taken: [HALTED, HALTED], clash: false })
    }
  })

  test.each(['bit after state', 'no look after halting', 'no number'] as const)(
    'the mistake "%s" leaves a VP waiting for ever',
    (mistake) => {
      const { ends } = run(mistake, mistake !== 'bit after state')
      expect(ends.some((end) => end.taken.some((state) => state !== HALTED))).toBe(true)
    },
  )

  test('a root that frees the processor as soon as it revokes lets two VPs run on it', () => {
    expect(run('free on revoke', false).ends.some((end) => end.clash)).toBe(true)
  })
})
