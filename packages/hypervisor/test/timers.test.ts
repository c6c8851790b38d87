import {
  HvMessageType,
  SINT_MASKED,
  STIMER_AUTO_ENABLE,
  STIMER_DIRECT,
  STIMER_ENABLE,
  STIMER_LAZY,
  STIMER_PERIODIC,
  STIMER_SINT_SHIFT,
  STIMER_VECTOR_SHIFT,
  SyntheticMsr,
  TimerMessagePayload,
} from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { Guest, SINT, VECTOR } from './guest.ts'

const config = (timer: number) => SyntheticMsr.STIMER0_CONFIG + timer * 2
const count = (timer: number) => SyntheticMsr.STIMER0_COUNT + timer * 2
const DIRECT = STIMER_DIRECT | (0x51 << STIMER_VECTOR_SHIFT)
const BY_MESSAGE = SINT << STIMER_SINT_SHIFT

/** Reference time of the guest's partition: its clock began at 1000. */
const CREATED = 1000

function at(guest: Guest, time: number): void {
  guest.clock.now100ns = CREATED + time
}

function readLow(guest: Guest, msr: number): number {
  expect(guest.vp.readMsr(msr, guest.vp.msr)).toBe(true)
  return guest.vp.msr.low
}

/** A guest whose timer 0 is set. */
function timed(low: number, time: number, timer = 0): Guest {
  const guest = new Guest().boot()
  expect(guest.vp.writeMsr(config(timer), low, 0)).toBe(true)
  expect(guest.vp.writeMsr(count(timer), time, 0)).toBe(true)
  return guest
}

function takeTimerMessage(guest: Guest) {
  const message = guest.takeMessage()
  if (message === undefined) return undefined
  expect(message.type).toBe(HvMessageType.TIMER_EXPIRED)
  return TimerMessagePayload.decode(new DataView(message.payload.buffer))
}

describe('a one-shot timer (TLFS, "Synthetic Timers")', () => {
  test('fires when its time has come and not one unit before, once, and is off after that', () => {
    const guest = timed(DIRECT | STIMER_ENABLE, 500)
    expect(guest.vp.nextDeadline100ns).toBe(CREATED + 500)
    at(guest, 499)
    expect([guest.vp.hasWork, guest.vp.deliver()]).toEqual([false, -1])
    at(guest, 500)
    expect(guest.vp.hasWork).toBe(true)
    expect(guest.takeInterrupt()).toBe(0x51)
    expect(readLow(guest, config(0)) & STIMER_ENABLE).toBe(0)
    expect(guest.vp.nextDeadline100ns).toBe(Number.POSITIVE_INFINITY)
    at(guest, 5000)
    expect(guest.vp.deliver()).toBe(-1)
  })

  test('that is set in the past fires at once', () => {
    const guest = new Guest().boot()
    at(guest, 900)
    guest.vp.writeMsr(count(1), 10, 0)
    guest.vp.writeMsr(config(1), DIRECT | STIMER_ENABLE, 0)
    expect(guest.takeInterrupt()).toBe(0x51)
  })

  test('is started by its count when it is to enable itself, and stopped by a count of 0', () => {
    const guest = timed(DIRECT | STIMER_AUTO_ENABLE, 100)
    expect(readLow(guest, config(0)) & STIMER_ENABLE).toBe(STIMER_ENABLE)
    guest.vp.writeMsr(count(0), 0, 0)
    expect(readLow(guest, config(0)) & STIMER_ENABLE).toBe(0)
    expect(guest.vp.nextDeadline100ns).toBe(Number.POSITIVE_INFINITY)
  })

  test('is not started by its count when it is not', () => {
    expect(timed(DIRECT, 100).vp.nextDeadline100ns).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('a periodic timer', () => {
  test('fires each period and drifts not at all, however late each look is', () => {
    const guest = timed(DIRECT | STIMER_ENABLE | STIMER_PERIODIC, 100)
    for (let tick = 1; tick <= 50; tick++) {
      at(guest, tick * 100 + (tick % 7))
      expect(guest.takeInterrupt()).toBe(0x51)
      expect(guest.vp.nextDeadline100ns).toBe(CREATED + (tick + 1) * 100)
    }
  })

  test('makes up for periods that were missed, at most sixteen of them, one on each way in', () => {
    const guest = timed(DIRECT | STIMER_ENABLE | STIMER_PERIODIC, 100)
    at(guest, 350)
    expect([1, 2, 3, 4].map(() => guest.takeInterrupt())).toEqual([0x51, 0x51, 0x51, -1])
    at(guest, 1_000_050)
    let taken = 0
    while (guest.takeInterrupt() >= 0) taken++
    expect(taken).toBe(17)
    expect(guest.vp.inspect().timers.skipped).toBe(9997 - 17)
  })

  test('that is lazy fires once for all that it missed', () => {
    const guest = timed(DIRECT | STIMER_ENABLE | STIMER_PERIODIC | STIMER_LAZY, 100)
    at(guest, 350)
    expect([1, 2].map(() => guest.takeInterrupt())).toEqual([0x51, -1])
    expect(guest.vp.nextDeadline100ns).toBe(CREATED + 400)
  })
})

describe('a timer that sends messages', () => {
  test('writes number, expiry and delivery into its SINT’s slot, and requests the SINT’s vector', () => {
    const guest = timed(BY_MESSAGE | STIMER_ENABLE, 500, 2)
    at(guest, 507)
    expect(guest.takeInterrupt()).toBe(VECTOR)
    expect(takeTimerMessage(guest)).toEqual({
      timerIndex: 2,
      reserved: 0,
      expirationTime: 500n,
      deliveryTime: 507n,
    })
  })

  test('waits for a slot in use, asks for an EOM, and comes with it', () => {
    const guest = timed(BY_MESSAGE | STIMER_ENABLE, 500)
    guest.partition.postMessageToVp(0, SINT, 1, new Uint8Array([7]), 1, 1)
    guest.takeInterrupt()
    at(guest, 500)
    expect(guest.vp.deliver()).toBe(-1)
    expect(guest.vp.inspect().timers.owing).toBe(1)
    expect(guest.takeMessage()).toMatchObject({ type: 1, eom: true })
    expect(guest.takeInterrupt()).toBe(VECTOR)
    expect(takeTimerMessage(guest)?.expirationTime).toBe(500n)
  })

  test('waits for a SINT that is masked', () => {
    const guest = timed(BY_MESSAGE | STIMER_ENABLE, 500)
    guest.vp.writeMsr(SyntheticMsr.SINT0 + SINT, VECTOR | SINT_MASKED, 0)
    at(guest, 600)
    expect(guest.vp.deliver()).toBe(-1)
    guest.vp.writeMsr(SyntheticMsr.SINT0 + SINT, VECTOR, 0)
    expect(guest.takeInterrupt()).toBe(VECTOR)
    expect(takeTimerMessage(guest)?.deliveryTime).toBe(600n)
  })

  test('periodically sends one message for each expiry, and counts on only when the guest has it', () => {
    const guest = timed(BY_MESSAGE | STIMER_ENABLE | STIMER_PERIODIC, 100)
    at(guest, 100)
    expect(guest.takeInterrupt()).toBe(VECTOR)
    at(guest, 200)
    guest.vp.deliver()
    at(guest, 310)
    expect(guest.vp.nextDeadline100ns).toBe(Number.POSITIVE_INFINITY)
    expect(takeTimerMessage(guest)?.expirationTime).toBe(100n)
    guest.takeInterrupt()
    expect(takeTimerMessage(guest)).toMatchObject({ expirationTime: 200n, deliveryTime: 310n })
    guest.takeInterrupt()
    expect(takeTimerMessage(guest)?.expirationTime).toBe(300n)
  })

  test('and without a SINT is off at once', () => {
    const guest = timed(STIMER_ENABLE, 100)
    expect(readLow(guest, config(0)) & STIMER_ENABLE).toBe(0)
  })
})

describe('a write to a timer', () => {
  test.each([
    ['bit 13', 0x2000, 0],
    ['bit 20', 0x10_0000, 0],
    ['the high half', 0, 1],
    ['an enabled direct vector below 16', STIMER_DIRECT | STIMER_ENABLE | (15 << 4), 0],
  ])('with %s is #GP and changes nothing', (_, low, high) => {
    const guest = timed(DIRECT | STIMER_ENABLE, 100)
    expect(guest.vp.writeMsr(config(0), low, high)).toBe(false)
    expect(guest.vp.nextDeadline100ns).toBe(CREATED + 100)
  })

  test('takes back a message that waits', () => {
    const guest = timed(BY_MESSAGE | STIMER_ENABLE, 500)
    guest.partition.postMessageToVp(0, SINT, 1, new Uint8Array([7]), 1, 1)
    guest.takeInterrupt()
    at(guest, 500)
    guest.vp.deliver()
    guest.vp.writeMsr(config(0), BY_MESSAGE, 0)
    guest.takeMessage()
    expect(guest.vp.deliver()).toBe(-1)
    expect(guest.takeMessage()).toBeUndefined()
  })
})

test('whatever is set and however time goes, no timer is early, none is late at a look, and none fires twice for one expiry', () => {
  const step = fc.oneof(
    fc.record({
      do: fc.constant('config' as const),
      timer: fc.nat(3),
      low: fc.constantFrom(
        DIRECT,
        DIRECT | STIMER_ENABLE,
        DIRECT | STIMER_ENABLE | STIMER_PERIODIC,
        DIRECT | STIMER_AUTO_ENABLE,
        DIRECT | STIMER_ENABLE | STIMER_PERIODIC | STIMER_LAZY,
      ),
    }),
    fc.record({ do: fc.constant('count' as const), timer: fc.nat(3), value: fc.nat(1000) }),
    fc.record({ do: fc.constant('pass' as const), time: fc.nat(400) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const guest = new Guest().boot()
      let now = 0
      const vectorOf = (timer: number) => 0x60 + timer * 16
      const configs = [0, 0, 0, 0]
      const counts = [0, 0, 0, 0]
      const due = [Infinity, Infinity, Infinity, Infinity]
      const start = (timer: number) => {
        const low = configs[timer]!
        const on = (low & STIMER_ENABLE) !== 0 && counts[timer] !== 0
        const periodic = (low & STIMER_PERIODIC) !== 0
        due[timer] = on ? (periodic ? now + counts[timer]! : counts[timer]!) : Infinity
      }
      for (const act of steps) {
        if (act.do === 'config') {
          configs[act.timer] =
            (act.low & ~(0xff << STIMER_VECTOR_SHIFT)) |
            (vectorOf(act.timer) << STIMER_VECTOR_SHIFT)
          guest.vp.writeMsr(config(act.timer), configs[act.timer]!, 0)
          start(act.timer)
        } else if (act.do === 'count') {
          counts[act.timer] = act.value
          guest.vp.writeMsr(count(act.timer), act.value, 0)
          if (act.value === 0) configs[act.timer]! &= ~STIMER_ENABLE
          else if ((configs[act.timer]! & STIMER_AUTO_ENABLE) !== 0) {
            configs[act.timer]! |= STIMER_ENABLE
          }
          start(act.timer)
        } else {
          now += act.time
          at(guest, now)
        }
        // One look: whatever is due fires, by priority, and nothing else.
        const expected = [3, 2, 1, 0].filter((timer) => due[timer]! <= now).map(vectorOf)
        guest.vp.deliver()
        expect(guest.vp.inspect().apic.requested.toReversed()).toEqual(expected)
        for (const vector of expected) {
          guest.vp.acknowledge(vector)
          guest.vp.endOfInterrupt()
        }
        for (const timer of [0, 1, 2, 3]) {
          if (due[timer]! > now) continue
          if ((configs[timer]! & STIMER_PERIODIC) === 0) {
            configs[timer]! &= ~STIMER_ENABLE
            due[timer] = Infinity
            continue
          }
          const missed = Math.floor((now - due[timer]!) / counts[timer]!)
          const skip = (configs[timer]! & STIMER_LAZY) !== 0 ? missed : Math.max(0, missed - 16)
          due[timer]! += (skip + 1) * counts[timer]!
        }
        const next = Math.min(...due)
        expect(guest.vp.nextDeadline100ns).toBe(next + CREATED)
      }
    }),
  )
})
