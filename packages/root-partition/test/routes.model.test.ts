// Routes that change while interrupts are in flight, over real VPs: every order in which the root's script and the VPs'
// turns can follow each other. The root's steps are whole calls, since it is one thread; a VP's are the points at which
// another thread's effects can come between. Event flags between single accesses: hypervisor/test/model/event-retarget.test.ts.

import { describe, expect, test } from 'vitest'

import type { ChannelRoute, DeviceVectors, MsiEntry } from '../src/index.ts'
import { InterruptGuest, SINT_VECTOR, takeFlag } from './support/interrupt-guest.ts'

const RELID = 33
const VECTOR = 0x61
const memory = InterruptGuest.memory()

/** One run: the root's steps in order, and what VP `vp` does at each of its turns; false when it has nothing to do. */
interface Run {
  readonly script: readonly (() => void)[]
  turn(vp: number): boolean
  /** The root hears of what VPs announced; false when there was nothing. */
  hear(): boolean
  /** Nobody has anything to do any more. */
  check(): void
}

/** Runs every schedule of a fresh run, depth first, each from its start. Returns how many there were. */
function everySchedule(start: () => Run): number {
  let schedules = 0
  // The schedule under way: at each point the actor taken. All before it have been taken there, or had nothing to do.
  const path: { taken: number; branches: number }[] = []
  for (;;) {
    const run = start()
    let done = 0
    let depth = 0
    for (; ; depth += 1) {
      const actors: (() => boolean)[] = [() => run.turn(0), () => run.turn(1), () => run.hear()]
      if (done < run.script.length) actors.unshift(() => (run.script[done++]!(), true))
      const choice = (path[depth] ??= { taken: 0, branches: 0 })
      // An actor with nothing to do has changed nothing.
      while (choice.taken < actors.length && !actors[choice.taken]!()) choice.taken += 1
      if (choice.taken === actors.length) break
      if (depth === path.length - 1) choice.branches += 1
    }
    // At a point that has branches the last of them is behind us; without any, it is an end.
    if (path[depth]!.branches === 0) {
      run.check()
      schedules += 1
      if (schedules > 100_000) throw new Error('The model is too large to explore.')
    }
    path.length = depth
    const last = path.at(-1)
    if (last === undefined) return schedules
    last.taken += 1
  }
}

/** A channel's interrupt: the program's turns end when the guest has seen what was written last. */
function channelRun(script: (route: ChannelRoute, write: () => void) => (() => void)[]): Run {
  const guest = new InterruptGuest(2, memory)
  const route = guest.router.openInterrupt(RELID, 0)
  let written = 0
  let seen = 0
  let handled = 0
  let raises = 0
  const serving: (boolean | undefined)[] = [undefined, undefined]
  return {
    script: script(route, () => {
      written += 1
      raises += 1
    }),
    turn: (vp) => {
      const processor = guest.vps[vp]!
      if (serving[vp] === undefined) {
        const vector = processor.deliver()
        if (vector < 0) return false
        expect(vector).toBe(SINT_VECTOR)
        processor.acknowledge(vector)
        serving[vp] = true
        return true
      }
      if (takeFlag(memory, vp, RELID)) {
        handled += 1
        seen = written
      }
      serving[vp] = undefined
      processor.endOfInterrupt()
      return true
    },
    hear: () => false,
    check: () => {
      expect(seen).toBe(written)
      expect(handled).toBeLessThanOrEqual(raises)
      expect(handled).toBeGreaterThan(0)
    },
  }
}

describe('a channel’s interrupt', () => {
  test('is never lost nor doubled, however often its VP is changed while it is on its way', () => {
    const schedules = everySchedule(() =>
      channelRun((route, write) => {
        const raise = (): void => (write(), void route.raise())
        return [
          raise,
          () => void route.retarget(1),
          raise,
          () => void route.retarget(0),
          raise,
          () => void route.retarget(1),
        ]
      }),
    )
    expect(schedules).toBeGreaterThan(300)
  })

  test('raised twice and moved comes at most twice, and at least once after the second', () => {
    everySchedule(() =>
      channelRun((route, write) => {
        const raise = (): void => (write(), void route.raise())
        return [raise, raise, () => void route.retarget(1), () => void route.retarget(1)]
      }),
    )
  })

  test('is not left with a VP that goes offline once the change is answered', () => {
    const guest = new InterruptGuest(2, memory)
    const route = guest.router.openInterrupt(RELID, 0)
    route.raise()
    route.retarget(1)
    // VP 0 never looks again.
    expect(guest.take(1)).toBe(SINT_VECTOR)
    expect(takeFlag(memory, 1, RELID)).toBe(true)
    expect(guest.router.inspect()).toMatchObject({ raised: 1, moved: 1, refused: 0 })
  })

  test('stays where it was when the new VP cannot take it', () => {
    const guest = new InterruptGuest(2, memory)
    const route = guest.router.openInterrupt(RELID, 0)
    guest.vps[1]!.writeMsr(0x4000_0080, 0, 0)
    route.raise()
    route.retarget(1)
    expect(guest.take(0)).toBe(SINT_VECTOR)
    expect(takeFlag(memory, 0, RELID)).toBe(true)
  })

  test('that is closed is raised no more, and counted as stray', () => {
    const guest = new InterruptGuest(2, memory)
    const route = guest.router.openInterrupt(RELID, 0)
    route.close()
    route.raise()
    expect(guest.takeAll()).toEqual([])
    expect(guest.router.inspect()).toMatchObject({ raised: 0, stray: 1 })
  })
})

test('an MSI is never lost nor doubled by a retarget in flight', () => {
  const schedules = everySchedule(() => {
    const guest = new InterruptGuest(2, memory)
    const { device, entry } = deviceOf(guest, false)
    const { remapping } = guest.router
    let written = 0
    let seen = 0
    let handled = 0
    const raise = (): void => {
      written += 1
      device.raise(entry.address, entry.data)
    }
    const to = (vp: number) => (): void =>
      void remapping.retarget(7, entry, { vector: VECTOR + vp, vps: [vp], multicast: false })
    return {
      script: [raise, to(1), raise, to(0), raise],
      turn: (vp) => {
        const taken = guest.take(vp, (vector) => {
          expect(vector).toBe(VECTOR + vp)
          handled += 1
          seen = written
        })
        return taken >= 0
      },
      hear: () => false,
      check: () => {
        expect(seen).toBe(written)
        expect(handled).toBeLessThanOrEqual(written)
      },
    }
  })
  expect(schedules).toBeGreaterThan(20)
})

test('a line is served for each assertion, and not once more, however its route changes', () => {
  const schedules = everySchedule(() => {
    const guest = new InterruptGuest(2, memory)
    const { device, entry } = deviceOf(guest, true)
    const { remapping } = guest.router
    let written = 0
    let seen = 0
    let handled = 0
    const serving = [false, false]
    const assertLine = (): void => {
      written += 1
      device.setLine(entry, true)
    }
    const to = (vp: number) => (): void =>
      void remapping.retarget(7, entry, { vector: VECTOR + vp, vps: [vp], multicast: false })
    return {
      script: [assertLine, to(1), assertLine, to(0), assertLine],
      turn: (vp) => {
        const processor = guest.vps[vp]!
        if (!serving[vp]) {
          const vector = processor.deliver()
          if (vector < 0) return false
          expect(vector).toBe(VECTOR + vp)
          processor.acknowledge(vector)
          // The handler reads the device's register, which releases the line: an intercept, so at once.
          expect(seen).toBeLessThan(written)
          seen = written
          handled += 1
          device.setLine(entry, false)
          serving[vp] = true
        } else {
          serving[vp] = false
          processor.endOfInterrupt()
        }
        return true
      },
      hear: () => guest.hypervisor.poll(64) > 0,
      check: () => {
        expect(seen).toBe(written)
        expect(handled).toBeLessThanOrEqual(written)
        expect(guest.vps.map((vp) => vp.inspect().apic.inService)).toEqual([[], []])
      },
    }
  })
  expect(schedules).toBeGreaterThan(100)
})

function deviceOf(
  guest: InterruptGuest,
  level: boolean,
): { device: DeviceVectors; entry: MsiEntry } {
  const device = guest.router.remapping.attach(7)!
  const target = { vector: VECTOR, vps: [0], multicast: false }
  const mapped = guest.router.remapping.map(7, target, level)
  if (!mapped.ok) throw new Error('no entry')
  return { device, entry: mapped.entry }
}
