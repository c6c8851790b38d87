// Small-step models of what signals beside messages and flags: requests of two senders to one VP's interrupt inbox, and the
// handshake of an intercept. Steps are the atomic accesses of interrupt-inbox.ts and intercepts/intercept-slot.ts.

import { describe, expect, test } from 'vitest'

import { explore } from './explorer.ts'
import type { ModelThread, Variables } from './explorer.ts'

interface Inbox extends Variables {
  /** Vectors 0 and 1 share a word, vector 2 has another. */
  vectors: number[]
  level: number[]
  summary: number
  bell: number
  /** By sender: its position, and what its last read-modify-write found. */
  turn: number[]
  /** Requests made of each vector, and times the VP took each after the latest request began. */
  requested: number[]
  taken: number[]
  levelTaken: number[]
  /** Private to the VP. */
  sample: number
  left: number
  cursor: number
  acted: boolean
}

const VECTORS = 3
const wordOf = (vector: number) => (vector < 2 ? 0 : 1)
const zeros = () => Array.from({ length: VECTORS }, () => 0)

function start(): Inbox {
  return {
    vectors: zeros(),
    level: zeros(),
    summary: 0,
    bell: 0,
    turn: [0, 0],
    requested: zeros(),
    taken: zeros(),
    levelTaken: zeros(),
    sample: 0,
    left: 0,
    cursor: 0,
    acted: false,
  }
}

type SenderMistake = 'no' | 'summary first' | 'level late'

function sender(
  index: number,
  script: readonly { vector: number; level: boolean }[],
  broken: SenderMistake = 'no',
): ModelThread<Inbox> {
  const now = (v: Inbox) => script[v.turn[index]!]!
  const next = (v: Inbox) => {
    v.turn[index]!++
    return v.turn[index] === script.length ? ('done' as const) : 0
  }
  const setLevel = (v: Inbox) => {
    if (now(v).level) v.level[now(v).vector] = 1
  }
  const announce = (v: Inbox) => {
    const was = v.summary
    v.summary |= 1 << wordOf(now(v).vector)
    return was
  }
  return {
    name: `sender ${index}`,
    steps: [
      (v) => {
        if (broken === 'summary first') {
          v.requested[now(v).vector]!++
          return announce(v) === 0 ? 3 : 1
        }
        if (broken === 'no') setLevel(v)
        v.requested[now(v).vector]!++
        return 1
      },
      (v) => {
        const { vector } = now(v)
        const was = v.vectors[vector]!
        v.vectors[vector] = 1
        if (broken === 'level late') setLevel(v)
        if (broken === 'summary first' || was === 1) return next(v)
        return 2
      },
      (v) => (announce(v) === 0 ? 3 : next(v)),
      (v) => {
        v.bell++
        return broken === 'summary first' && v.vectors[now(v).vector] === 0 ? 1 : next(v)
      },
    ],
  }
}

/** Takes everything, sleeps on the bell it sampled before it looked. */
function vp(broken: 'no' | 'sample late' | 'vectors first' = 'no'): ModelThread<Inbox> {
  return {
    name: 'VP',
    steps: [
      (v) => {
        if (broken !== 'sample late') v.sample = v.bell
        v.acted = false
        return broken === 'vectors first' ? 2 : 1
      },
      (v) => {
        v.left = v.summary
        v.summary = 0
        v.cursor = 0
        return v.left === 0 ? 5 : 3
      },
      // The mistake: the vectors of a word are taken before the summary is cleared.
      (v) => {
        v.left = v.summary
        v.cursor = 0
        return v.left === 0 ? 5 : 3
      },
      (v) => {
        const vector = v.cursor
        if ((v.left & (1 << wordOf(vector))) !== 0 && v.vectors[vector] === 1) {
          v.vectors[vector] = 0
          v.taken[vector]!++
          if (v.level[vector] === 1) {
            v.level[vector] = 0
            v.levelTaken[vector]!++
          }
          v.acted = true
        }
        v.cursor++
        return v.cursor === VECTORS ? 4 : 3
      },
      (v) => {
        if (broken === 'vectors first') v.summary = 0
        return 0
      },
      (v) => {
        if (broken === 'sample late') v.sample = v.bell
        return 6
      },
      (v) => (v.bell === v.sample ? 'blocked' : 0),
    ],
  }
}

const edge = (...vectors: number[]) => vectors.map((vector) => ({ vector, level: false }))

describe('the interrupt inbox', () => {
  test('no interleaving of two senders leaves a request behind, and none is taken more often than it was made', () => {
    const { states, ends } = explore(start(), [
      sender(0, edge(0, 2, 0)),
      sender(1, edge(1, 0, 2)),
      vp(),
    ])
    expect(states).toBeGreaterThan(1000)
    expect(ends.length).toBeGreaterThan(0)
    for (const end of ends) {
      expect(end.vectors).toEqual([0, 0, 0])
      expect(end.summary).toBe(0)
      for (let vector = 0; vector < VECTORS; vector++) {
        expect(end.taken[vector]!).toBeGreaterThan(0)
        expect(end.taken[vector]!).toBeLessThanOrEqual(end.requested[vector]!)
      }
    }
  })

  test('a level request is taken as one', () => {
    const level = [{ vector: 0, level: true }]
    const { ends } = explore(start(), [sender(0, level), sender(1, edge(1, 2)), vp()])
    for (const end of ends) expect(end.levelTaken[0]).toBe(1)
  })

  test.each([
    ['that announces before it requests', () => [sender(0, edge(0, 2), 'summary first'), vp()]],
    ['with a VP that samples the bell late', () => [sender(0, edge(0, 2)), vp('sample late')]],
    ['with a VP that clears the summary last', () => [sender(0, edge(0, 2)), vp('vectors first')]],
  ])('a sender %s is caught', (_, threads) => {
    const { ends } = explore(start(), [...threads()])
    expect(ends.some((end) => end.vectors.includes(1) || end.taken[2] === 0)).toBe(true)
  })

  test('a sender that sets the mode after the vector is caught', () => {
    const late = sender(0, [{ vector: 0, level: true }], 'level late')
    // Two steps where the model has one: the vector, then its mode.
    const split: ModelThread<Inbox> = {
      name: 'late',
      steps: [
        late.steps[0]!,
        (v) => {
          v.vectors[0] = 1
          return 2
        },
        (v) => {
          v.summary |= 1
          v.bell++
          return 3
        },
        (v) => {
          v.level[0] = 1
          return 'done'
        },
      ],
    }
    const { ends } = explore(start(), [split, vp()])
    expect(ends.some((end) => end.levelTaken[0] === 0)).toBe(true)
  })
})

interface Handshake extends Variables {
  message: number
  raised: number
  done: number
  answer: number
  announced: boolean
  rootBell: number
  vpBell: number
  /** Private to the VP: how many it raised, the answers that it read. */
  number: number
  answers: number[]
  vpSample: number
  /** Private to the root. */
  rootSample: number
  known: number
  copied: number
  owned: number[]
}

const ROUNDS = 2

const guest: ModelThread<Handshake> = {
  name: 'VP',
  steps: [
    (v) => {
      v.message = 10 + v.number
      return 1
    },
    (v) => {
      v.number++
      v.raised = v.number
      return 2
    },
    (v) => {
      const was = v.announced
      v.announced = true
      return was ? 4 : 3
    },
    (v) => {
      v.rootBell++
      return 4
    },
    (v) => {
      v.vpSample = v.vpBell
      return 5
    },
    (v) => (v.done === v.number ? 7 : 6),
    (v) => (v.vpBell === v.vpSample ? 'blocked' : 4),
    (v) => {
      v.answers.push(v.answer)
      return v.number === ROUNDS ? 'done' : 0
    },
  ],
}

/** The root polls whenever it is rung; it may also look unasked, since other work wakes it. */
function rootOf(broken: 'no' | 'done first'): ModelThread<Handshake> {
  return {
    name: 'root',
    steps: [
      (v) => {
        v.rootSample = v.rootBell
        return 1
      },
      (v) => {
        const was = v.announced
        v.announced = false
        return was ? 2 : 7
      },
      (v) => (v.raised === v.known ? 7 : 3),
      (v) => {
        v.copied = v.message
        v.known = v.raised
        v.owned.push(v.copied)
        return broken === 'done first' ? 5 : 4
      },
      (v) => {
        v.answer = v.copied + 100
        return broken === 'done first' ? 6 : 5
      },
      (v) => {
        v.done = v.known
        return broken === 'done first' ? 4 : 6
      },
      (v) => {
        v.vpBell++
        return 0
      },
      (v) => {
        if (v.known === ROUNDS) return 'done'
        return v.rootBell === v.rootSample ? 'blocked' : 0
      },
    ],
  }
}

describe('the intercept handshake', () => {
  const fresh: Handshake = {
    message: 0,
    raised: 0,
    done: 0,
    answer: 0,
    announced: false,
    rootBell: 0,
    vpBell: 0,
    number: 0,
    answers: [],
    vpSample: 0,
    rootSample: 0,
    known: 0,
    copied: 0,
    owned: [],
  }

  test('every intercept reaches the owner once and comes back with its own answer', () => {
    const { states, ends } = explore(fresh, [guest, rootOf('no')])
    expect(states).toBeGreaterThan(50)
    expect(ends.length).toBeGreaterThan(0)
    for (const end of ends) {
      expect(end.owned).toEqual([10, 11])
      expect(end.answers).toEqual([110, 111])
    }
  })

  test('a root that says done before it has answered is caught', () => {
    const { ends } = explore(fresh, [guest, rootOf('done first')])
    expect(ends.some((end) => end.answers.join() !== '110,111')).toBe(true)
  })
})
