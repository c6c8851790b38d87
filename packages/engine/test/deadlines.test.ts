import { describe, expect, test } from 'vitest'

import { ManualClock, MonotonicClock, SingleThread } from '@guestyard/engine'

import { SteppingClock, Timetable, asleep, setup } from './pile.ts'

describe('deadlines', () => {
  /** Timers that a test lets ring, and what was asked of them. */
  function handAlarm() {
    const asked: number[] = []
    const pending = new Set<() => void>()
    const alarm = (ms: number, ring: () => void) => {
      asked.push(ms)
      pending.add(ring)
      return () => void pending.delete(ring)
    }
    const ring = () => {
      for (const one of pending) one()
      pending.clear()
    }
    return { asked, pending, alarm, ring }
  }

  test('a far deadline is slept for in whole grains, and what is left of it polled for', async () => {
    const hand = handAlarm()
    const clock = new SteppingClock()
    const machine = new Timetable(clock, 7.5)
    const { engine: sleeper } = setup({ machine, clock, spinMicroseconds: 0, alarm: hand.alarm })
    const end = sleeper.run()
    await asleep(sleeper)
    expect(hand.asked).toEqual([7])
    const polls = sleeper.stats.polls
    clock.advanceMs(7)
    hand.ring()
    await asleep(sleeper, 2)
    expect(machine.lateMs.length).toBe(1)
    expect(machine.lateMs[0]).toBeLessThan(0.01)
    // The clock steps a microsecond a reading: about half a millisecond was polled for, and nothing asked for signals.
    expect(sleeper.stats.polls - polls).toBeGreaterThan(300)
    expect(machine.armed).toBe(2)
    expect(sleeper.stats).toMatchObject({ sleeps: 2, deadlines: 1, spurious: 0 })
    expect(hand.asked.length).toBe(1)
    sleeper.stop()
    await end
  })

  test('a ring before the deadline cancels the alarm, and the deadline is slept for anew', async () => {
    const hand = handAlarm()
    const clock = new SteppingClock()
    const machine = new Timetable(clock, 100)
    const { engine, bell } = setup({ machine, clock, alarm: hand.alarm })
    const end = engine.run()
    await asleep(engine)
    machine.waiting = 1
    bell.ring()
    await asleep(engine, 2)
    expect(machine.done).toBe(1)
    expect(hand.pending.size).toBe(1)
    expect(hand.asked).toEqual([99, 99])
    expect(engine.stats.deadlines).toBe(0)
    engine.stop()
    await end
    expect(hand.pending.size).toBe(0)
  })

  test('a deadline that arming brings near is not slept through', async () => {
    const hand = handAlarm()
    const clock = new SteppingClock()
    const machine = new Timetable(clock, Infinity, Infinity)
    machine.onArm = () => {
      if (machine.armed === 1) machine.deadlineMs = clock.nowMs + 0.5
    }
    const { engine } = setup({ machine, clock, alarm: hand.alarm })
    const end = engine.run()
    await asleep(engine)
    expect(machine.lateMs.length).toBe(1)
    expect(machine).toMatchObject({ armed: 2, disarmed: 1 })
    engine.stop()
    await end
  })

  test.each(['adaptive', 'event-loop'] as const)(
    'a timer of the platform wakes an %s engine, never early and a few times only',
    async (strategy) => {
      const clock = new MonotonicClock()
      const machine = new Timetable(clock, clock.nowMs + 15, 15)
      const { engine } = setup({ machine, clock, strategy, spinMicroseconds: 0 })
      const done = Promise.withResolvers<void>()
      machine.onDone = () => {
        if (machine.lateMs.length < 3) return
        engine.stop()
        done.resolve()
      }
      const hold = setInterval(() => {}, 1000)
      await engine.run()
      clearInterval(hold)
      await done.promise
      expect(Math.min(...machine.lateMs)).toBeGreaterThanOrEqual(0)
      expect(engine.stats.deadlines).toBeGreaterThan(0)
      expect(engine.stats.sleeps).toBeLessThan(30)
    },
  )

  test.each(['adaptive', 'block', 'busy'] as const)(
    'runBlocking meets deadlines with no bell rung: %s',
    (strategy) => {
      const clock = new MonotonicClock()
      const machine = new Timetable(clock, clock.nowMs + 3, 3)
      const { engine } = setup({ machine, clock, strategy })
      machine.onDone = () => {
        if (machine.lateMs.length === 4) engine.stop()
      }
      engine.runBlocking()
      expect(Math.min(...machine.lateMs)).toBeGreaterThanOrEqual(0)
      expect(engine.stats.netFirings).toBe(0)
      // On a loaded machine a deadline may pass before its sleep begins.
      expect(engine.stats.deadlines > 0).toBe(strategy !== 'busy')
    },
  )

  test('a clock given to SingleThread is cranked to each deadline, in their order, and no further', () => {
    const clock = new ManualClock()
    const met: number[] = []
    const timetables = [new Timetable(clock, 7), new Timetable(clock, 3.00001)]
    for (const one of timetables) one.onDone = () => met.push(clock.now100ns)
    const thread = new SingleThread({ machines: timetables, clock })
    expect(thread.nextDeadlineMs()).toBe(3.00001)
    thread.settle()
    expect(met).toEqual([30_001, 70_000])
    expect(clock.nowMs).toBe(7)
    const endless = new SingleThread({ machines: [new Timetable(clock, 8, 1)], clock })
    expect(() => endless.settle(100)).toThrow('100 turns')
  })
})
