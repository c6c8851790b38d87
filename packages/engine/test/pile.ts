// Machines and clocks for the engines' tests.

import { Doorbell } from '@guestyard/ring'

import { DoorbellSet, ManualClock, ThreadEngine, eventLoopTurn } from '@guestyard/engine'
import type { EngineClock, Machine } from '@guestyard/engine'

/** Work that somebody puts there; each poll does one unit. Says on request what happened. */
export class Pile implements Machine {
  waiting = 0
  done = 0
  armed = 0
  disarmed = 0
  deadlineMs = Infinity
  onArm: () => void = () => {}
  onDone: () => void = () => {}

  poll(): number {
    if (this.waiting === 0) return 0
    this.waiting--
    this.done++
    this.onDone()
    return 1
  }

  arm(): boolean {
    this.armed++
    this.onArm()
    return this.waiting > 0
  }

  disarm(): void {
    this.disarmed++
  }

  nextDeadlineMs(): number {
    return this.deadlineMs
  }
}

/** Work that is due at a time, again and again, and that nobody announces. */
export class Timetable extends Pile {
  readonly #clock: EngineClock
  readonly #periodMs: number
  readonly lateMs: number[] = []

  constructor(clock: EngineClock, firstMs: number, periodMs = Infinity) {
    super()
    this.#clock = clock
    this.#periodMs = periodMs
    this.deadlineMs = firstMs
  }

  override poll(): number {
    if (this.#clock.nowMs < this.deadlineMs) return super.poll()
    this.lateMs.push(this.#clock.nowMs - this.deadlineMs)
    this.deadlineMs += this.#periodMs
    this.onDone()
    return 1
  }
}

/** Moves on by a microsecond each time it is read. */
export class SteppingClock extends ManualClock implements EngineClock {
  override update(): number {
    this.advance100ns(10)
    return this.nowMs
  }
}

export const idle = { arm: () => false, disarm() {}, nextDeadlineMs: () => Infinity }

export function setup(options: Partial<ConstructorParameters<typeof ThreadEngine>[0]> = {}) {
  const machine = new Pile()
  const bell = Doorbell.create()
  const doorbells = new DoorbellSet({ stoppedBy: bell })
  const clock = new SteppingClock()
  const engine = new ThreadEngine({ machine, doorbells, clock, strategy: 'event-loop', ...options })
  return { machine, bell, doorbells, clock, engine }
}

/** Resolves when the engine has fallen asleep for the n-th time. */
export async function asleep(engine: ThreadEngine, sleeps = 1): Promise<void> {
  const turn = eventLoopTurn()
  while (engine.stats.sleeps < sleeps) await turn()
}
