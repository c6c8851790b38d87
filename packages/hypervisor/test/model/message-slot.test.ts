// Small-step models of messages: the SIM slot with its pending flag and EOM between hypervisor and guest, and the request
// for room between a root whose queue is full and a VP that frees a slot. Steps are the atomic accesses of
// synic/message-slots.ts, and the guest's of the TLFS ("SIM Page"). The guest here runs beside the hypervisor, which is harder than
// the real thing, where both share a thread.

import { describe, expect, test } from 'vitest'

import { explore } from './explorer.ts'
import type { ModelThread, Variables } from './explorer.ts'

interface Slot extends Variables {
  /** Messages the root still has to post, those in the VP's queue, the bell that announces them. */
  unsent: number
  queued: number
  announced: boolean
  /** The slot: a message is in it, and its pending flag. */
  full: boolean
  pending: boolean
  interrupt: boolean
  eom: boolean
  /** Private to the VP and to the guest. */
  mustScan: boolean
  sawPending: boolean
  consumed: number
}

const empty: Slot = {
  unsent: 3,
  queued: 0,
  announced: false,
  full: false,
  pending: false,
  interrupt: false,
  eom: false,
  mustScan: false,
  sawPending: false,
  consumed: 0,
}

const root: ModelThread<Slot> = {
  name: 'root',
  steps: [
    (v) => {
      v.queued++
      v.unsent--
      return 1
    },
    (v) => {
      v.announced = true
      return v.unsent === 0 ? 'done' : 0
    },
  ],
}

/** The VP: wakes for an announcement or an EOM, and offers the head of its queue to the slot. */
function vp(broken: 'no' | 'no second look' | 'no pending flag'): ModelThread<Slot> {
  return {
    name: 'VP',
    steps: [
      (v) => {
        if (!v.announced && !v.eom) return 'blocked'
        if (v.announced) v.announced = false
        else v.eom = false
        return 1
      },
      (v) => (v.queued === 0 ? 0 : v.full ? 2 : 4),
      (v) => {
        if (broken !== 'no pending flag') v.pending = true
        return broken === 'no second look' ? 0 : 3
      },
      (v) => (v.full ? 0 : 4),
      // 4: header and payload, with the flag if more is queued; then the type; then the interrupt.
      (v) => {
        v.pending = v.queued > 1 && broken === 'no'
        return 5
      },
      (v) => {
        v.full = true
        v.queued--
        return 6
      },
      (v) => {
        v.interrupt = true
        return 1
      },
    ],
  }
}

const guest: ModelThread<Slot> = {
  name: 'guest',
  steps: [
    (v) => {
      if (!v.interrupt) return 'blocked'
      v.interrupt = false
      return 1
    },
    (v) => (v.full ? 2 : 0),
    (v) => {
      v.full = false
      v.consumed++
      return 3
    },
    (v) => {
      v.sawPending = v.pending
      return v.sawPending ? 4 : 1
    },
    (v) => {
      v.eom = true
      return 1
    },
  ],
}

describe('the message slot', () => {
  test('no interleaving leaves a message in the queue with VP and guest idle', () => {
    const { states, ends } = explore(empty, [root, vp('no'), guest])
    expect(states).toBeGreaterThan(200)
    expect(ends.length).toBeGreaterThan(0)
    for (const end of ends) expect(end).toMatchObject({ consumed: 3, queued: 0, full: false })
  })

  test.each(['no second look', 'no pending flag'] as const)(
    'a VP with the mistake "%s" is caught',
    (mistake) => {
      const { ends } = explore(empty, [root, vp(mistake), guest])
      expect(ends.some((end) => end.consumed < 3)).toBe(true)
    },
  )
})

interface Room extends Variables {
  tail: number
  head: number
  wanted: boolean
  rung: boolean
  /** The root found no room and waits to be told. */
  toPost: number
}

const QUEUE = 2

/** Posts until done; when full it asks for a notice and looks again, unless `broken`. */
function poster(broken: boolean): ModelThread<Room> {
  const post = (v: Room) => {
    v.tail++
    v.toPost--
    return v.toPost === 0 ? ('done' as const) : 0
  }
  return {
    name: 'root',
    steps: [
      (v) => (v.tail - v.head < QUEUE ? post(v) : 1),
      (v) => {
        v.wanted = true
        return broken ? 3 : 2
      },
      (v) => (v.tail - v.head < QUEUE ? 4 : 3),
      (v) => {
        if (!v.rung) return 'blocked'
        v.rung = false
        return 0
      },
      (v) => {
        v.wanted = false
        return post(v)
      },
    ],
  }
}

const consumer: ModelThread<Room> = {
  name: 'VP',
  steps: [
    (v) => {
      if (v.tail === v.head) return 'blocked'
      v.head++
      return 1
    },
    (v) => (v.wanted ? 2 : 0),
    (v) => {
      v.wanted = false
      return 3
    },
    (v) => {
      v.rung = true
      return 0
    },
  ],
}

describe('the request for room', () => {
  const start: Room = { tail: 0, head: 0, wanted: false, rung: false, toPost: 6 }

  test('no interleaving leaves the root waiting for room that is there', () => {
    const { ends } = explore(start, [poster(false), consumer])
    for (const end of ends) expect(end).toMatchObject({ toPost: 0, tail: 6, head: 6 })
  })

  test('a root that does not look again after asking is caught', () => {
    const { ends } = explore(start, [poster(true), consumer])
    expect(ends.some((end) => end.toPost > 0)).toBe(true)
  })
})
