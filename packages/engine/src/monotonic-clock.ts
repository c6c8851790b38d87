// The clock of a real machine.

import type { EngineClock } from './machine.ts'

const UNITS_PER_MS = 10_000

export interface MonotonicClockOptions {
  /**
   * When the machine started, as `MonotonicClock.originOfThisMoment()` says it: hand the same number to every thread of
   * one machine, and their clocks agree to some microseconds. This moment when left out.
   */
  readonly originMs?: number
}

/** Milliseconds and 100 ns units since the origin, never going back. One object for one thread. */
export class MonotonicClock implements EngineClock {
  nowMs = 0
  now100ns = 0
  readonly #offsetMs: number

  constructor(options: MonotonicClockOptions = {}) {
    const originMs = options.originMs ?? MonotonicClock.originOfThisMoment()
    // Subtracted once: the sum of both would cost the fractions their precision.
    this.#offsetMs = performance.timeOrigin - originMs
    this.update()
  }

  /** The present moment on a scale that all threads share. */
  static originOfThisMoment(): number {
    return performance.timeOrigin + performance.now()
  }

  update(): number {
    const now = performance.now() + this.#offsetMs
    // Threads' origins differ by microseconds: near the start a thread may be before it.
    if (now > this.nowMs) {
      this.nowMs = now
      this.now100ns = Math.floor(now * UNITS_PER_MS)
    }
    return this.nowMs
  }
}
