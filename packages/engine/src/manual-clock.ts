// A clock that a test cranks.

import { assert } from '@guestyard/hvdef'

import type { EngineClock } from './machine.ts'

const UNITS_PER_MS = 10_000

/** Stands still until it is advanced. */
export class ManualClock implements EngineClock {
  now100ns = 0

  get nowMs(): number {
    return this.now100ns / UNITS_PER_MS
  }

  /** Moves the time on by `units` of 100 ns, a non-negative integer. */
  advance100ns(units: number): void {
    assert(Number.isInteger(units) && units >= 0, 'Time moves on by a whole number of units.')
    this.now100ns += units
  }

  /** Moves the time on by milliseconds, rounded to 100 ns. */
  advanceMs(ms: number): void {
    this.advance100ns(Math.round(ms * UNITS_PER_MS))
  }

  /** Moves the time on to the first whole unit at or after `ms`; nothing happens when that is past. */
  advanceTo(ms: number): void {
    const units = Math.ceil(ms * UNITS_PER_MS)
    // The product may be rounded down by less than a unit.
    const at = units / UNITS_PER_MS < ms ? units + 1 : units
    if (at > this.now100ns) this.now100ns = at
  }

  update(): number {
    return this.nowMs
  }
}
