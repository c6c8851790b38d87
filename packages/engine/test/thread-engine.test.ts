import { Doorbell } from '@guestyard/ring'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { ManualClock, MonotonicClock, SingleThread, eventLoopTurn } from '@guestyard/engine'
import type { DoorbellSet, EngineClock, Machine } from '@guestyard/engine'

import { Pile, asleep, idle, setup } from './pile.ts'

/** Shows the true time when it is read, and not before; the machine's polls take time. */
class CostlyClock extends ManualClock implements EngineClock {
  trueMs = 0
  reads = 0

  override update(): number {
    this.reads += 1
    this.advance100ns(Math.max(0, Math.round(this.trueMs * 10_000) - this.now100ns))
    return this.nowMs
  }
}

describe('run', () => {
  test('does what is there, arms, sleeps, and wakes for a ring', async () => {
    const { machine, bell, engine } = setup()
    machine.waiting = 3
    const end = engine.run()
    await asleep(engine)
    expect(machine).toMatchObject({ done: 3, armed: 1, disarmed: 0 })
    machine.waiting = 2
    bell.ring()
    await asleep(engine, 2)
    expect(machine).toMatchObject({ done: 5, armed: 2, disarmed: 1 })
    expect(engine.stats).toMatchObject({ turns: 5, sleeps: 2, wakes: 1, spurious: 0 })
    bell.stop()
    expect(await end).toBe('doorbell-stopped')
  })

  test('does not sleep when arming shows that there is work after all', async () => {
    const { machine, bell, engine } = setup()
    machine.onArm = () => {
      if (machine.armed === 1) machine.waiting = 1
    }
    const end = engine.run()
    await asleep(engine)
    expect(machine).toMatchObject({ done: 1, armed: 2, disarmed: 1 })
    bell.stop()
    await end
  })

  test('a ring between the sample and the sleep ends the sleep before it begins', async () => {
    const { machine, bell, engine } = setup()
    machine.onArm = () => {
      if (machine.armed === 1) bell.ring()
    }
    const end = engine.run()
    await asleep(engine)
    expect(machine.armed).toBe(2)
    bell.stop()
    await end
  })

  test('a wake-up with nothing to do is counted as spurious', async () => {
    const { bell, engine } = setup()
    const end = engine.run()
    await asleep(engine)
    bell.ring()
    await asleep(engine, 2)
    expect(engine.stats).toMatchObject({ wakes: 1, spurious: 1 })
    engine.stop()
    expect(await end).toBe('stop-called')
  })

  test('wake is heard asleep, and also when it comes just before the sleep', async () => {
    const { machine, engine } = setup()
    const end = engine.run()
    await asleep(engine)
    machine.waiting = 1
    engine.wake()
    await asleep(engine, 2)
    expect(machine.done).toBe(1)
    machine.onArm = () => {
      machine.onArm = () => {}
      engine.wake()
    }
    engine.wake()
    await asleep(engine, 3)
    expect(machine.armed).toBe(4)
    engine.stop()
    await end
  })

  test('any of many doorbells wakes it, again and again, also those added while it sleeps', async () => {
    const { machine, bell, doorbells, engine } = setup()
    const bells = Array.from({ length: 5 }, () => Doorbell.create())
    for (const each of bells.slice(0, 4)) doorbells.add(each)
    const end = engine.run()
    await asleep(engine)
    doorbells.add(bells[4]!)
    await asleep(engine, 2)
    for (let round = 0; round < 20; round++) {
      const sleeps = engine.stats.sleeps
      machine.waiting = 1
      bells[round % 5]!.ring()
      await asleep(engine, sleeps + 1)
      expect(machine.done).toBe(round + 1)
    }
    bell.stop()
    await end
  })

  test('a doorbell that was removed wakes nobody', async () => {
    const { doorbells, engine } = setup()
    const other = Doorbell.create()
    doorbells.add(other)
    const end = engine.run()
    await asleep(engine)
    doorbells.remove(other)
    other.ring()
    const turn = eventLoopTurn()
    for (let i = 0; i < 20; i++) await turn()
    expect(engine.stats.wakes).toBe(0)
    engine.stop()
    await end
  })

  test.each([
    ['that was removed', (set: DoorbellSet, bell: Doorbell) => set.remove(bell)],
    ['whose stop word its peer set', (_: DoorbellSet, bell: Doorbell) => (bell.words[2] = 1)],
  ])(
    'a doorbell %s keeps no wait, though its peer cleared the word that says so',
    async (_, go) => {
      const { doorbells, bell, engine } = setup()
      const hostile = Doorbell.create()
      doorbells.add(hostile)
      const end = engine.run()
      await asleep(engine)
      hostile.words[1] = 0
      go(doorbells, hostile)
      bell.ring()
      await asleep(engine, 2)
      expect(doorbells.size).toBe(1)
      expect(Atomics.notify(hostile.words, 0)).toBe(0)
      engine.stop()
      await end
    },
  )

  test('a guest that stops its own doorbell leaves the set, and does not stop the engine or keep it awake', async () => {
    const { machine, doorbells, engine } = setup()
    const hostile = Doorbell.create()
    const honest = Doorbell.create()
    doorbells.add(hostile)
    doorbells.add(honest)
    const end = engine.run()
    await asleep(engine)
    hostile.stop()
    await asleep(engine, 2)
    expect(doorbells).toMatchObject({ size: 2, dropped: 1 })
    machine.waiting = 1
    honest.ring()
    await asleep(engine, 3)
    expect(machine.done).toBe(1)
    engine.stop()
    await end
  })

  test('an event loop gets its turn while there is always something to do', async () => {
    const { machine, engine } = setup({ turnsPerImmediate: 8 })
    machine.waiting = Infinity
    const end = engine.run()
    const turn = eventLoopTurn()
    for (let i = 0; i < 10; i++) await turn()
    expect(engine.stats.yields).toBeGreaterThanOrEqual(9)
    engine.stop()
    await end
    expect(machine.done).toBeLessThanOrEqual(8 * (engine.stats.yields + 1))
  })

  test.each([
    ['many units a poll', 256, 0.5],
    ['few units a poll, each dear', 2, 0.4],
    ['nothing, at length', 0, 0.3],
  ])(
    'an event loop waits a millisecond for its turn, and a poll longer: %s',
    async (_, units, pollMs) => {
      const turnsAt: number[] = []
      const turn = eventLoopTurn()
      const clock = new CostlyClock()
      const { engine, machine } = setup({
        clock,
        strategy: 'busy',
        yieldToEventLoop() {
          turnsAt.push(clock.trueMs)
          if (turnsAt.length === 50) engine.stop()
          return turn()
        },
      })
      machine.poll = () => {
        clock.trueMs += pollMs
        return units
      }
      await engine.run()
      const waits = turnsAt.map((at, index) => at - (turnsAt[index - 1] ?? 0))
      expect(Math.max(...waits)).toBeLessThanOrEqual(1 + pollMs + 1e-9)
    },
  )

  test('a peer that rings whenever it is looked at does not keep the event loop from its turn', async () => {
    const { engine, machine, doorbells } = setup({ clock: new MonotonicClock() })
    const flooded = Doorbell.create()
    doorbells.add({
      ringAlways: () => flooded.ringAlways(),
      get stopped() {
        return flooded.stopped
      },
      beginWait: (sample, onEnd) => flooded.beginWait(sample, onEnd),
      waitBlocking: () => 'rung',
      sample() {
        Atomics.add(flooded.words, 0, 1)
        return flooded.sample()
      },
    })
    const began = performance.now()
    machine.poll = () => {
      if (performance.now() - began > 5_000) engine.stop()
      return 0
    }
    let fired = 0
    const timer = setInterval(() => {
      fired += 1
      if (fired === 20) engine.stop()
    }, 1)
    await engine.run()
    clearInterval(timer)
    expect(fired).toBe(20)
    expect(engine.stats.sleeps).toBe(0)
  })

  test('a count that moves between the last look and the wait is no turn of the event loop either', async () => {
    const { engine, machine, doorbells } = setup({ clock: new MonotonicClock() })
    const flooded = Doorbell.create()
    doorbells.add({
      ringAlways: () => flooded.ringAlways(),
      get stopped() {
        return flooded.stopped
      },
      beginWait(sample, onEnd) {
        Atomics.add(flooded.words, 0, 1)
        return flooded.beginWait(sample, onEnd)
      },
      waitBlocking: () => 'rung',
      sample: () => flooded.sample(),
    })
    const began = performance.now()
    machine.poll = () => {
      if (performance.now() - began > 5_000) engine.stop()
      return 0
    }
    const timer = setTimeout(() => engine.stop(), 1)
    await engine.run()
    clearTimeout(timer)
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(engine.stats.yields).toBeGreaterThan(0)
  })

  test('an honest sleep is followed by work, not by another turn of the event loop', async () => {
    const { engine, machine, bell } = setup({ clock: new MonotonicClock() })
    const end = engine.run()
    for (let sleep = 1; sleep <= 10; sleep += 1) {
      await asleep(engine, sleep)
      machine.waiting = 1
      bell.ring()
    }
    await asleep(engine, 11)
    expect(machine.done).toBe(10)
    expect(engine.stats.yields).toBeLessThanOrEqual(1)
    engine.stop()
    await end
  })

  test('a poll that costs next to nothing does not read the clock each time', async () => {
    const clock = new CostlyClock()
    const { engine, machine } = setup({ clock, strategy: 'busy' })
    machine.poll = () => {
      clock.trueMs += 1e-4
      if (engine.stats.polls === 10_000) engine.stop()
      return engine.stats.polls & 1
    }
    await engine.run()
    expect(clock.reads).toBeLessThan(10_000 / 14)
  })

  test('dear polls after cheap ones keep the event loop waiting once', async () => {
    const clock = new CostlyClock()
    const turnsAt: number[] = []
    const turn = eventLoopTurn()
    let pollMs = 1e-4
    const { engine, machine } = setup({
      clock,
      strategy: 'busy',
      turnsPerImmediate: Infinity,
      yieldToEventLoop() {
        turnsAt.push(clock.trueMs)
        if (turnsAt.length === 20) pollMs = 0.5
        if (turnsAt.length === 40) engine.stop()
        return turn()
      },
    })
    machine.poll = () => {
      clock.trueMs += pollMs
      return 1
    }
    await engine.run()
    const late = turnsAt.filter((at, index) => at - (turnsAt[index - 1] ?? 0) > 1.5 + 1e-9)
    expect(late.length).toBe(1)
  })

  test.each(['busy', 'event-loop'] as const)(
    'an event loop gets its turn while a %s engine finds nothing to do',
    async (strategy) => {
      const { machine, engine } = setup({ strategy, spinMicroseconds: 0, busyMsPerImmediate: 0.01 })
      machine.arm = () => true
      const end = engine.run()
      const turn = eventLoopTurn()
      for (let i = 0; i < 10; i++) await turn()
      expect(engine.stats.sleeps).toBe(0)
      engine.stop()
      expect(await end).toBe('stop-called')
    },
  )

  test('it spins for the time it was told before it arms', async () => {
    const { machine, engine, clock } = setup({ spinMicroseconds: 50 })
    let armedAt = 0
    machine.onArm = () => {
      armedAt = clock.nowMs
    }
    const end = engine.run()
    await asleep(engine)
    expect(armedAt).toBeGreaterThanOrEqual(0.05)
    expect(armedAt).toBeLessThan(0.06)
    engine.stop()
    await end
  })

  test('it does not spin for what may follow a lone piece of work after a long sleep', async () => {
    const { machine, engine, clock, bell } = setup({ spinMicroseconds: 50 })
    let armedAt = 0
    machine.onArm = () => {
      armedAt = clock.nowMs
    }
    const end = engine.run()
    /** How long it polled on after so much work, which came after such a sleep. */
    const spunMs = async (sleptMs: number, work: number): Promise<number> => {
      const { sleeps } = engine.stats
      await asleep(engine, sleeps)
      let doneAt = 0
      machine.onDone = () => {
        doneAt = clock.nowMs
      }
      clock.advance100ns(sleptMs * 10_000)
      machine.waiting = work
      bell.ring()
      await asleep(engine, sleeps + 1)
      return armedAt - doneAt
    }
    await asleep(engine)
    expect(await spunMs(100, 1)).toBeLessThan(0.01)
    expect(await spunMs(1, 1)).toBeGreaterThanOrEqual(0.05)
    expect(await spunMs(100, 20)).toBeGreaterThanOrEqual(0.05)
    expect(await spunMs(100, 4)).toBeLessThan(0.01)
    engine.stop()
    await end
  })

  test('what the machine throws rejects the run', async () => {
    const { machine, engine } = setup()
    machine.waiting = 1
    machine.onDone = () => {
      throw new Error('an invariant is broken')
    }
    await expect(engine.run()).rejects.toThrow('an invariant is broken')
  })

  test('strategies that cannot serve the way of running are refused', async () => {
    await expect(setup({ strategy: 'block' }).engine.run()).rejects.toThrow('runBlocking')
    expect(() => setup({ strategy: 'event-loop' }).engine.runBlocking()).toThrow('served by run')
    expect(() => setup({ netMs: 2000 })).toThrow('within a second')
  })
})

describe('runBlocking', () => {
  test.each(['busy', 'adaptive', 'block'] as const)(
    '%s does what is there and ends by the stop word',
    (strategy) => {
      const { machine, bell, engine } = setup({ strategy, netMs: 1 })
      machine.waiting = 100
      machine.onDone = () => {
        if (machine.waiting === 0) bell.stop()
      }
      expect(engine.runBlocking()).toBe('doorbell-stopped')
      expect(machine.done).toBe(100)
    },
  )

  test('work that no doorbell announced is found by the net, and counted as such', () => {
    const { machine, bell, engine } = setup({ strategy: 'block', netMs: 1 })
    machine.onArm = () => {
      // After this look: as a peer would that forgets to ring.
      const poll = machine.poll.bind(machine)
      machine.poll = () => {
        machine.waiting = machine.armed
        machine.poll = poll
        return 0
      }
    }
    machine.onDone = () => {
      machine.onArm = () => bell.stop()
    }
    engine.runBlocking()
    expect(engine.stats.netRescues).toBe(1)
  })
})

describe('SingleThread', () => {
  test('turns machines in their order until all are idle and armed in vain', () => {
    const a = new Pile()
    const b = new Pile()
    a.waiting = 3
    a.onDone = () => {
      b.waiting += 2
    }
    expect(new SingleThread({ machines: [a, b] }).settle()).toBe(9)
    expect([a.armed, b.armed]).toEqual([1, 1])
  })

  test('machines that never settle are an error, not a hang', () => {
    const a = new Pile()
    a.waiting = Infinity
    expect(() => new SingleThread({ machines: [a] }).settle(50)).toThrow('50 turns')
    expect(() => new SingleThread({ machines: [a] }).runUntil(() => false, undefined, 50)).toThrow(
      '50 turns',
    )
  })

  test('runUntil cranks the clock when there is nothing else to do', () => {
    const clock = new ManualClock()
    const alarm: Machine = { ...idle, poll: () => 0 }
    new SingleThread({ machines: [alarm] }).runUntil(
      () => clock.nowMs >= 5,
      () => clock.advanceMs(1),
    )
    expect(clock).toMatchObject({ nowMs: 5, now100ns: 50_000 })
  })

  test('machines may come and go during a turn', () => {
    const thread = new SingleThread()
    const late = new Pile()
    late.waiting = 1
    const first: Machine = {
      poll() {
        thread.remove(first)
        thread.add(late)
        return 1
      },
      ...idle,
    }
    thread.add(first)
    expect(thread.settle()).toBe(2)
  })
})

describe('clocks', () => {
  test('a MonotonicClock never goes back and counts whole units', () => {
    const clock = new MonotonicClock()
    let last = 0
    for (let i = 0; i < 1000; i++) {
      const now = clock.update()
      expect(now).toBeGreaterThanOrEqual(last)
      expect(Number.isInteger(clock.now100ns)).toBe(true)
      expect(clock.now100ns).toBe(Math.floor(now * 10_000))
      last = now
    }
  })

  test('two clocks with one origin agree', () => {
    const originMs = MonotonicClock.originOfThisMoment() - 5000
    const a = new MonotonicClock({ originMs })
    const b = new MonotonicClock({ originMs })
    expect(a.nowMs).toBeGreaterThanOrEqual(5000)
    expect(Math.abs(a.update() - b.update())).toBeLessThan(50)
  })

  test('a ManualClock goes to a time at the unit that is not before it', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), (ms) => {
        const clock = new ManualClock()
        clock.advanceTo(ms)
        expect(clock.nowMs).toBeGreaterThanOrEqual(ms)
        expect(clock.nowMs - ms).toBeLessThan(2e-4)
        clock.advanceTo(ms / 2)
        expect(clock.nowMs).toBeGreaterThanOrEqual(ms)
      }),
    )
  })

  test('a ManualClock takes whole units only, and keeps them exact', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000_000)), (steps) => {
        const clock = new ManualClock()
        for (const step of steps) clock.advance100ns(step)
        expect(clock.now100ns).toBe(steps.reduce((sum, step) => sum + step, 0))
      }),
    )
    expect(() => new ManualClock().advance100ns(-1)).toThrow('whole number')
  })
})
