import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  COST_MEANINGS,
  DEFAULT_COSTS,
  SEED_MAX,
  SeededRandom,
  VirtualClock,
  VirtualEngine,
  costModel,
} from '@guestyard/engine/virtual'
import type { Machine } from '@guestyard/engine'
import { Trace, TraceKind } from '@guestyard/trace'
import type { VirtualEngineOptions, VirtualPlatform } from '@guestyard/engine/virtual'

import { EventQueue } from '../src/virtual/event-queue.ts'

const COSTS = {
  vpPoll: 10,
  vpUnit: 100,
  rootPoll: 10,
  rootUnit: 100,
  wake: 1000,
  task: 50,
  dispatch: 0,
}

/** A platform whose promises are always pending: each turn of the engine is one of the event loop. */
class EagerPlatform implements VirtualPlatform {
  waiting = 0
  loops = 0

  takePending(): boolean {
    return true
  }

  turn(callback: () => void): void {
    this.loops++
    setImmediate(callback)
  }

  isWaiting(): boolean {
    return this.waiting-- > 0
  }
}

/** Work to do; each poll does what its budget allows. */
class Pile implements Machine {
  waiting = 0
  done = 0
  deadlineMs = Infinity
  onUnit: () => void = () => {}
  onPoll: () => void = () => {}

  poll(budget: number): number {
    this.onPoll()
    const units = Math.min(budget, this.waiting)
    this.waiting -= units
    this.done += units
    for (let i = 0; i < units; i++) this.onUnit()
    return units
  }

  arm(): boolean {
    return this.waiting > 0
  }

  disarm(): void {}

  nextDeadlineMs(): number {
    return this.deadlineMs
  }
}

function yard(options: Partial<VirtualEngineOptions> = {}) {
  const clock = new VirtualClock()
  const platform = new EagerPlatform()
  const costs = costModel(COSTS)
  const engine = new VirtualEngine({ clock, platform, seed: 1, costs, ...options })
  return { clock, platform, engine }
}

async function historyOf(seed: number): Promise<string[]> {
  const { engine, clock } = yard({ seed })
  const lines: string[] = []
  for (const name of ['a', 'b', 'c']) {
    const machine = new Pile()
    machine.waiting = 500
    machine.onPoll = () => void lines.push(`${name}${clock.nowNs}`)
    engine.addActor({ name, kind: 'vp', machine })
  }
  expect(await engine.run()).toBe('quiet')
  return lines
}

describe('a machine with a chore', () => {
  /** Has a chore every two seconds, for ever. */
  class Chores extends Pile {
    override poll(): number {
      if (clockOf(this).nowMs < this.deadlineMs) return 0
      this.deadlineMs += 2_000
      this.done += 1
      return 1
    }
  }
  const clocks = new WeakMap<Chores, VirtualClock>()
  const clockOf = (machine: Chores): VirtualClock => clocks.get(machine)!

  function withChores() {
    const on = yard()
    const machine = new Chores()
    clocks.set(machine, on.clock)
    machine.deadlineMs = 2_000
    const choreMs = (): number => machine.deadlineMs
    const actor = on.engine.addActor({ name: 'root', kind: 'root', machine, choreMs })
    return { ...on, machine, actor }
  }

  test('is quiet when nothing else has happened for twenty seconds', async () => {
    const { engine, clock, machine } = withChores()
    expect(await engine.run()).toBe('quiet')
    expect(clock.nowMs).toBeCloseTo(18_000, 0)
    expect(machine.done).toBe(9)
  })

  test('goes on for as long as an event or another deadline is to come', async () => {
    const { engine, clock, actor } = withChores()
    const other = new Pile()
    other.deadlineMs = 45_000
    other.onPoll = () => {
      if (clock.nowMs >= other.deadlineMs) other.deadlineMs = Infinity
    }
    engine.addActor({ name: 'vp', kind: 'vp', machine: other })
    actor.post(30e9, () => {})
    expect(await engine.run()).toBe('quiet')
    expect(clock.nowMs).toBeGreaterThan(62_000)
    expect(clock.nowMs).toBeLessThan(66_000)
  })
})

describe('a seed', () => {
  test('decides the history, and another seed another one', async () => {
    const first = await historyOf(7)
    expect(await historyOf(7)).toEqual(first)
    expect(await historyOf(8)).not.toEqual(first)
  })

  test('lets each of three be the first of all, over many seeds', async () => {
    const firsts = new Set<string>()
    for (let seed = 0; seed < 30; seed++) firsts.add((await historyOf(seed))[0]!)
    expect([...firsts].toSorted()).toEqual(['a0', 'b0', 'c0'])
  })

  test('gives these numbers, on every machine and version', () => {
    const random = new SeededRandom(7)
    expect([random.next(), random.next(), random.below(6), random.float()]).toMatchInlineSnapshot(`
      [
        1619801944,
        1069071162,
        2,
        0.7279857121362717,
      ]
    `)
    expect(new SeededRandom(SEED_MAX).next()).not.toBe(new SeededRandom(SEED_MAX - 1).next())
  })

  test('never gives a number outside what was asked', () => {
    fc.assert(
      fc.property(fc.nat(SEED_MAX), fc.integer({ min: 1, max: 1000 }), (seed, below) => {
        const random = new SeededRandom(seed)
        for (let i = 0; i < 20; i++) {
          const value = random.below(below)
          expect(Number.isInteger(value) && value >= 0 && value < below).toBe(true)
          const float = random.float()
          expect(float >= 0 && float < 1).toBe(true)
        }
      }),
    )
  })
})

describe('time', () => {
  test('goes on by what work costs, and two actors work at once', async () => {
    const { engine, clock } = yard()
    const piles = [new Pile(), new Pile()]
    for (const machine of piles) {
      machine.waiting = 1000
      engine.addActor({ name: 'vp', kind: 'vp', machine })
    }
    expect(await engine.run()).toBe('quiet')
    expect(piles.map((pile) => pile.done)).toEqual([1000, 1000])
    // 1000 units at 100 ns, and polls at 10 ns.
    expect(clock.nowNs).toBeGreaterThanOrEqual(100_000)
    expect(clock.nowNs).toBeLessThan(110_000)
    for (const actor of engine.actors) expect(actor.busyNs).toBe(100_000 + actor.polls * 10)
  })

  test('costs that are overridden change the figures as declared', async () => {
    const lengths: number[] = []
    for (const vpUnit of [100, 300]) {
      const { engine, clock } = yard({ costs: costModel({ ...COSTS, vpPoll: 1, vpUnit }) })
      const machine = new Pile()
      machine.waiting = 10_000
      engine.addActor({ name: 'vp', kind: 'vp', machine })
      await engine.run()
      lengths.push(clock.nowNs)
    }
    expect(lengths[1]! / lengths[0]!).toBeCloseTo(3, 2)
  })

  test('jumps to a deadline, which is not met early', async () => {
    const { engine, clock } = yard()
    const machine = new Pile()
    const met: number[] = []
    machine.deadlineMs = 5.0000001
    machine.onPoll = () => {
      if (clock.nowMs < machine.deadlineMs) return
      met.push(clock.nowNs)
      machine.deadlineMs = Infinity
    }
    engine.addActor({ name: 'vp', kind: 'vp', machine, spinNs: 1000 })
    await engine.run()
    expect(met).toEqual([5_000_001])
  })

  test('events run in their turn, in the order of their time and then of asking, unless cancelled', async () => {
    const { engine, clock } = yard()
    const actor = engine.addActor({ name: 'host', kind: 'host', machine: new Pile() })
    const ran: string[] = []
    actor.post(2000, () => void ran.push(`c${clock.nowNs}`))
    const cancel = actor.post(1500, () => void ran.push('never'))
    actor.post(1000, () => void ran.push(`a${clock.nowNs}`))
    actor.post(1000, () => void ran.push(`b${clock.nowNs}`))
    cancel()
    await engine.run()
    expect(ran).toEqual(['a1000', 'b1060', 'c2000'])
  })

  test('a ring wakes a sleeper after the time that takes, and a spinner at once', async () => {
    for (const [spinNs, [least, most]] of [
      [0, [500, 1500]],
      [1e9, [0, 0]],
    ] as const) {
      const { engine, clock } = yard()
      const machine = new Pile()
      const sleeper = engine.addActor({ name: 'vp', kind: 'vp', machine, spinNs })
      const other = engine.addActor({ name: 'host', kind: 'host', machine: new Pile() })
      let polledAt = 0
      other.post(50_000, () => {
        machine.waiting = 1
        machine.onUnit = () => (polledAt = clock.nowNs)
        sleeper.ring()
      })
      await engine.run()
      expect(polledAt - 50_000).toBeGreaterThanOrEqual(least)
      expect(polledAt - 50_000).toBeLessThanOrEqual(most)
    }
  })

  test('a spinner sees what others did without a ring, and sleeps when its time is over', async () => {
    const { engine, clock } = yard()
    const machine = new Pile()
    const spinner = engine.addActor({ name: 'vp', kind: 'vp', machine, spinNs: 20_000 })
    const other = engine.addActor({ name: 'host', kind: 'host', machine: new Pile() })
    let seenAt = 0
    other.post(5_000, () => (machine.waiting = 1))
    machine.onUnit = () => (seenAt = clock.nowNs)
    await engine.run()
    expect(seenAt).toBeGreaterThanOrEqual(5_000)
    expect(seenAt).toBeLessThan(5_100)
    expect(spinner.state).toBe('asleep')
    expect(spinner.polls).toBeLessThan(20)
  })
})

describe('a processor that is granted', () => {
  test('takes up nothing without a grant, and asks for one', async () => {
    const { engine, clock } = yard()
    let granted = false
    let asked = 0
    const machine = new Pile()
    const vp = engine.addActor({
      name: 'vp',
      kind: 'vp',
      machine,
      mayRun: () => granted,
      wantsToRun: () => void (asked += 1),
    })
    const root = engine.addActor({ name: 'root', kind: 'root', machine: new Pile() })
    const ran: number[] = []
    vp.post(0, () => void ran.push(clock.nowNs))
    root.post(20_000, () => {
      granted = true
      vp.ring()
    })
    await engine.run()
    expect(ran.length).toBe(1)
    expect(ran[0]).toBeGreaterThanOrEqual(20_500)
    expect(asked).toBeGreaterThan(0)
  })

  test('wakes whom it asks because of what waits for it', async () => {
    const causes: number[] = []
    const sink = {
      actor() {},
      record(...[, , , kind, cause]: Parameters<ConstructorParameters<typeof Trace>[0]['record']>) {
        if (kind === TraceKind.WAKE) causes.push(cause)
      },
    }
    const clock = new VirtualClock()
    const trace = new Trace(sink, () => clock.nowNs)
    const { engine } = yard({ clock, trace })
    let granted = false
    const grant = (): void => {
      granted = true
      vp.ring()
    }
    const root = new Pile()
    root.onUnit = grant
    const rootActor = engine.addActor({ name: 'root', kind: 'root', machine: root })
    const vp = engine.addActor({
      name: 'vp',
      kind: 'vp',
      machine: new Pile(),
      mayRun: () => granted,
      wantsToRun: () => {
        root.waiting = 1
        rootActor.ring()
      },
    })
    trace.cause = trace.record(TraceKind.LIFE, 1)
    vp.post(5_000_000, () => {})
    await engine.run()
    expect(granted).toBe(true)
    expect(causes[0]).toBe(1)
  })

  test('is busy for what it burns, and the next poll comes after it', async () => {
    const { engine, clock } = yard()
    const machine = new Pile()
    const polledAt: number[] = []
    machine.waiting = 3
    const vp = engine.addActor({ name: 'vp', kind: 'vp', machine })
    machine.onPoll = () => void polledAt.push(clock.nowNs)
    machine.onUnit = () => vp.burn(7_000)
    await engine.run()
    expect(machine.done).toBe(3)
    expect(vp.busyNs).toBe(vp.polls * 10 + 3 * 7_100)
    expect(clock.nowNs).toBeGreaterThanOrEqual(3 * 7_100)
    expect(polledAt.at(-1)).toBeGreaterThanOrEqual(3 * 7_100)
  })

  test('is charged for its exits and for each dispatch', async () => {
    const costs = costModel({ ...COSTS, hypercall: 700, dispatch: 5000 })
    const { engine } = yard({ costs })
    const machine = new Pile()
    let exits = 0
    const vp = engine.addActor({ name: 'vp', kind: 'vp', machine, exits: () => exits })
    machine.waiting = 1
    machine.onUnit = () => (exits += 3)
    await engine.run()
    expect(vp.busyNs).toBe(vp.polls * 10 + 100 + 3 * 700 + 5000)
  })
})

describe('an end', () => {
  test('of turns or of time is a bound, and more can be given', async () => {
    const { engine, clock } = yard({ timeLimitMs: 1 })
    const machine = new Pile()
    machine.waiting = Infinity
    engine.addActor({ name: 'vp', kind: 'vp', machine })
    expect(await engine.run()).toBe('time-limit')
    expect(clock.nowMs).toBeLessThanOrEqual(1)
    engine.extend(1)
    expect(await engine.run()).toBe('time-limit')
    expect(clock.nowMs).toBeGreaterThan(1.9)
    const short = yard({ turnLimit: 10 })
    const endless = new Pile()
    endless.waiting = Infinity
    short.engine.addActor({ name: 'vp', kind: 'vp', machine: endless })
    expect(await short.engine.run()).toBe('turn-limit')
    expect(short.engine.turns).toBe(10)
  })

  test('of an actor drops what it was asked', async () => {
    const { engine } = yard()
    const actor = engine.addActor({ name: 'vp', kind: 'vp', machine: new Pile() })
    let ran = 0
    actor.post(10, () => ran++)
    actor.remove()
    actor.ring()
    actor.post(10, () => ran++)
    expect(await engine.run()).toBe('quiet')
    expect({ ran, actors: engine.actors.length }).toEqual({ ran: 0, actors: 0 })
  })

  test('what a machine throws rejects the run; what an event throws is told to its actor', async () => {
    const { engine } = yard()
    const machine = new Pile()
    const told: unknown[] = []
    const actor = engine.addActor({
      name: 'vp',
      kind: 'vp',
      machine,
      onError: (error) => void told.push(error),
    })
    actor.post(0, () => {
      throw new Error('of the program')
    })
    actor.post(1000, () => {
      machine.onPoll = () => {
        throw new Error('an invariant is broken')
      }
    })
    await expect(engine.run()).rejects.toThrow('an invariant is broken')
    expect(told).toEqual([new Error('of the program')])
  })
})

describe('the real world', () => {
  test('holds the clock while something was asked of it', async () => {
    const { engine, platform, clock } = yard()
    const host = engine.addActor({ name: 'host', kind: 'host', machine: new Pile() })
    let loopsBefore = 0
    host.post(100, () => {
      platform.waiting = 50
      loopsBefore = platform.loops
    })
    let sawAt = 0
    host.post(200, () => {
      sawAt = clock.nowNs
      expect(platform.loops - loopsBefore).toBeGreaterThanOrEqual(50)
    })
    await engine.run()
    expect(sawAt).toBe(200)
  })

  test('promises run to their end between two turns', async () => {
    const { engine } = yard()
    const host = engine.addActor({ name: 'host', kind: 'host', machine: new Pile() })
    const order: string[] = []
    host.post(0, () => {
      void (async () => {
        for (let i = 0; i < 100; i++) await Promise.resolve()
        order.push('promises')
      })()
    })
    host.post(0, () => void order.push('next event'))
    await engine.run()
    expect(order).toEqual(['promises', 'next event'])
  })
})

test('an event queue gives what is due, earliest first and then in the order of asking', () => {
  const ops = fc.array(fc.tuple(fc.nat(20), fc.boolean()), { maxLength: 60 })
  fc.assert(
    fc.property(ops, (asked) => {
      const queue = new EventQueue<null>()
      const events = asked.map(([dueNs, cancelled], order) => {
        return { dueNs, order, cancelled, actor: null, run() {}, cause: 0, askedNs: 0 }
      })
      for (const event of events) queue.push(event)
      const expected = events
        .filter((event) => !event.cancelled)
        .toSorted((a, b) => a.dueNs - b.dueNs || a.order - b.order)
      const taken = []
      for (let nowNs = 0; nowNs <= 20; nowNs++) {
        for (let event = queue.takeDue(nowNs); event !== undefined; event = queue.takeDue(nowNs)) {
          expect(event.dueNs).toBe(nowNs)
          taken.push(event)
        }
      }
      expect(taken).toEqual(expected)
      expect(queue.dueNs).toBe(Infinity)
    }),
  )
})

describe('costs', () => {
  test('each has a meaning and a default', () => {
    expect(Object.keys(COST_MEANINGS)).toEqual(Object.keys(DEFAULT_COSTS))
    expect(costModel()).toEqual(DEFAULT_COSTS)
  })

  test.each([
    [{ speed: 1 }, 'no cost "speed"'],
    [{ vpUnit: -1 }, 'vpUnit: -1 is not a whole number of nanoseconds'],
    [{ vpUnit: 1.5 }, 'vpUnit: 1.5'],
    [{ rootPoll: 0 }, 'rootPoll: 0 is not a whole number of nanoseconds, 1 or more'],
  ])('%o are refused: %s', (costs, problem) => {
    expect(() => costModel(costs as Record<string, number>)).toThrow(problem)
  })
})
