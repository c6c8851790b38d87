// Small-step models of what a VP does to itself and with its siblings: a timer's message for a slot that the root's messages use too,
// and two overlays that want one page. Steps are the accesses of time/synthetic-timers.ts with synic/message-slots.ts, and of
// overlays/overlay-page.ts with overlays/claims.ts.

import { describe, expect, test } from 'vitest'

import { explore } from './explorer.ts'
import type { ModelThread, Variables } from './explorer.ts'

interface Slot extends Variables {
  /** The root's messages that are queued, and not yet sent. */
  unsent: number
  queued: number
  announced: boolean
  /** Expiries to come, and one whose message waits. */
  ticks: number
  owed: boolean
  full: boolean
  fromTimer: boolean
  pending: boolean
  interrupt: boolean
  eom: boolean
  eoi: boolean
  /** Private to the guest. */
  sawPending: boolean
  rootMessages: number
  timerMessages: number
}

const EXPIRIES = 2
const MESSAGES = 2

const fresh: Slot = {
  unsent: MESSAGES,
  queued: 0,
  announced: false,
  ticks: EXPIRIES,
  owed: false,
  full: false,
  fromTimer: false,
  pending: false,
  interrupt: false,
  eom: false,
  eoi: false,
  sawPending: false,
  rootMessages: 0,
  timerMessages: 0,
}

const root: ModelThread<Slot> = {
  name: 'root',
  steps: [
    (v) => {
      v.queued++
      v.unsent--
      v.announced = true
      return v.unsent === 0 ? 'done' : 0
    },
  ],
}

/** Time passes: an expiry becomes due. One that is owed holds the next back. */
const time: ModelThread<Slot> = {
  name: 'time',
  steps: [
    (v) => {
      if (v.owed) return 'blocked'
      v.owed = true
      v.ticks--
      return v.ticks === 0 ? 'done' : 0
    },
  ],
}

/** The VP between runs of its guest: wakes for news, an EOM or an EOI, then offers the slot to the root's message, then the timer's. */
function vp(broken: 'no' | 'timer asks for no EOM' | 'only new expiries'): ModelThread<Slot> {
  return {
    name: 'VP',
    steps: [
      (v) => {
        const news = v.announced || (broken === 'only new expiries' ? false : v.owed && !v.full)
        if (!news && !v.eom && !v.eoi && !(v.owed && !v.pending)) return 'blocked'
        v.announced = false
        v.eom = false
        v.eoi = false
        return 1
      },
      (v) => {
        if (v.queued === 0) return 2
        if (v.full) {
          v.pending = true
          return 2
        }
        v.full = true
        v.fromTimer = false
        v.queued--
        v.pending = v.queued > 0
        v.interrupt = true
        return 2
      },
      (v) => {
        if (!v.owed) return 0
        if (v.full) {
          if (broken !== 'timer asks for no EOM') v.pending = true
          return 0
        }
        v.full = true
        v.fromTimer = true
        v.owed = false
        v.pending = v.queued > 0
        v.interrupt = true
        return 0
      },
    ],
  }
}

/** The guest's handler. It frees the slot, writes EOM if it must, and ends the interrupt. */
function guest(endsInterrupts: boolean): ModelThread<Slot> {
  return {
    name: 'guest',
    steps: [
      (v) => {
        if (!v.interrupt) return 'blocked'
        v.interrupt = false
        return 1
      },
      (v) => {
        if (!v.full) return 4
        if (v.fromTimer) v.timerMessages++
        else v.rootMessages++
        v.full = false
        return 2
      },
      (v) => {
        v.sawPending = v.pending
        v.pending = false
        return v.sawPending ? 3 : 4
      },
      (v) => {
        v.eom = true
        return 4
      },
      (v) => {
        if (endsInterrupts) v.eoi = true
        return 0
      },
    ],
  }
}

describe('a timer and the root, at one slot', () => {
  test.each([true, false])('every expiry and every message arrives once (EOI: %s)', (eoi) => {
    const { states, ends } = explore(fresh, [root, time, vp('no'), guest(eoi)])
    expect(states).toBeGreaterThan(100)
    expect(ends.length).toBeGreaterThan(0)
    for (const end of ends) {
      expect(end).toMatchObject({ rootMessages: MESSAGES, timerMessages: EXPIRIES, owed: false })
    }
  })
})

interface Page extends Variables {
  /** The claim of the page, and what is seen there: 0 RAM, 1 and 2 the overlays. */
  claimed: boolean
  seen: number
  generation: number
  /** By overlay: what lies aside (0 RAM, else an overlay's content), whether it is shown, what it sampled. */
  aside: number[]
  shown: boolean[] & number[]
  sample: number[]
}

/** An overlay that is put at the page, looks when something left it, and leaves in the end. */
function overlay(
  index: number,
  broken: 'no' | 'swap after release' | 'no claim',
): ModelThread<Page> {
  const shown = (v: Page) => v.shown as unknown as boolean[]
  const swap = (v: Page) => {
    const was = v.seen
    v.seen = v.aside[index]!
    v.aside[index] = was
  }
  return {
    name: `overlay ${index + 1}`,
    steps: [
      (v) => {
        v.sample[index] = v.generation
        return 1
      },
      (v) => {
        if (v.claimed && broken !== 'no claim') return 2
        v.claimed = true
        return 3
      },
      // Not seen: tries again when another has left, or goes without having been seen.
      (v) => (v.generation === v.sample[index] ? 'done' : 0),
      (v) => {
        swap(v)
        shown(v)[index] = true
        return 4
      },
      (v) => {
        if (broken === 'swap after release') {
          v.claimed = false
          return 5
        }
        swap(v)
        shown(v)[index] = false
        return 5
      },
      (v) => {
        if (broken === 'swap after release') {
          swap(v)
          shown(v)[index] = false
        } else {
          v.claimed = false
        }
        return 6
      },
      (v) => {
        v.generation++
        return 'done'
      },
    ],
  }
}

describe('two overlays at one page', () => {
  const start: Page = {
    claimed: false,
    seen: 0,
    generation: 0,
    aside: [1, 2],
    shown: [false, false] as unknown as boolean[] & number[],
    sample: [0, 0],
  }

  test('leave the RAM as it was, and each keeps its own content', () => {
    const { ends } = explore(start, [overlay(0, 'no'), overlay(1, 'no')])
    expect(ends.length).toBeGreaterThan(0)
    for (const end of ends) expect(end).toMatchObject({ seen: 0, aside: [1, 2], claimed: false })
  })

  test.each(['swap after release', 'no claim'] as const)(
    'with the mistake "%s" they are caught',
    (mistake) => {
      const { ends } = explore(start, [overlay(0, mistake), overlay(1, mistake)])
      expect(ends.some((end) => end.seen !== 0 || end.aside.join() !== '1,2')).toBe(true)
    },
  )
})
