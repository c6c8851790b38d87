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

/**
 * How it begins. 'arrives': one VP works, the other is halted and gets work. 'both': both wait, one gives way once. 'lone': one
 * VP alone waits, has nothing to do, and then has.
 */
type Beginning = 'arrives' | 'both' | 'lone'

function start(how: Beginning): Dispatch {
  const halted = [how === 'lone' ? HALTED : 0, how === 'arrives' ? HALTED : 0]
  const taken = halted.map((state) => (state === HALTED ? HALTED : READY))
  return {
    number: [0, 0],
    granted: [0, 0],
    report: [...halted],
    about: [0, 0],
    bit: [0, 0],
    vpRung: [0, 0],
    rootRung: 0,
    work: [how === 'lone' ? 0 : 1, 0],
    script: 0,
    taken,
    isRevoked: [0, 0],
    revokes: 1,
    target: 0,
    seenNumber: [0, 0],
    seenGranted: [0, 0],
    mine: [0, 0],
    runs: [0, 0],
    said: [...halted],
    mayYield: [how === 'both' ? 1 : 0, 0],
    clash: false,
  }
}

/** Grants of one VP, so that a mistaken root comes to an end. */
const GRANTS_MAX = 3
const GRANTS_OF_CLASH = 2

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
          const most = mistake === 'free on revoke' ? GRANTS_OF_CLASH : GRANTS_MAX
          if (v.number[waiting] === most) return 'done'
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

function run(mistake: Mistake, how: Beginning) {
  const vps = [vp(0, mistake), vp(1, mistake)]
  return explore(start(how), [root(mistake), ...vps, ...(how === 'both' ? [] : [environment])])
}

const isStuck = (end: Dispatch): boolean => end.taken.some((state) => state !== HALTED)

describe('the dispatch words', () => {
  test.each(['arrives', 'both', 'lone'] as const)(
    'no interleaving leaves work undone, a VP waiting for ever, or two VPs on one processor (%s)',
    (how) => {
      const { states, ends } = run('no', how)
      expect(states).toBeGreaterThan(how === 'lone' ? 500 : 10_000)
      expect(ends.length).toBeGreaterThan(0)
      for (const end of ends) {
        expect(end).toMatchObject({ work: [0, 0], taken: [HALTED, HALTED], clash: false })
      }
    },
  )

  test.each(['bit after state', 'no look after halting'] as const)(
    'the mistake "%s" leaves a VP waiting for ever',
    (mistake) => {
      expect(run(mistake, 'lone').ends.some(isStuck)).toBe(true)
    },
  )

  test('a root that does not compare numbers takes an old report for an answer, and grants what is granted', () => {
    const grants = (mistake: Mistake) =>
      Math.max(...run(mistake, 'lone').ends.map((end) => end.number[1]!))
    expect(grants('no')).toBe(2)
    expect(grants('no number')).toBe(3)
  })

  test('a root that frees the processor as soon as it revokes lets two VPs run on it', () => {
    expect(run('free on revoke', 'both').ends.some((end) => end.clash)).toBe(true)
  })
})
