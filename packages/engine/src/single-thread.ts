// Several machines in one thread, turned by hand: for tests, and wherever real waiting is not wanted. Machines take their
// turns in the order in which they were added, so the same inputs give the same history.

import type { ManualClock } from './manual-clock.ts'
import type { Machine } from './machine.ts'

export interface SingleThreadOptions {
  /** Machines in the order of their turns. More come by `add`. */
  readonly machines?: readonly Machine[]
  /** Budget of each poll. */
  readonly budget?: number
  /** Cranked to the machines' nearest deadline when all of them are idle. Without it deadlines come when the caller says so. */
  readonly clock?: ManualClock
}

/** Turns that `settle` and `runUntil` take at most, unless told otherwise. */
const TURNS_MAX_DEFAULT = 10_000
const BUDGET_DEFAULT = 64

export class SingleThread {
  readonly #machines: Machine[]
  readonly #budget: number
  readonly #clock: ManualClock | null
  /** Turns taken so far. */
  turns = 0

  constructor(options: SingleThreadOptions = {}) {
    this.#machines = [...(options.machines ?? [])]
    this.#budget = options.budget ?? BUDGET_DEFAULT
    this.#clock = options.clock ?? null
  }

  /** Puts a machine behind the others. */
  add(machine: Machine): void {
    this.#machines.push(machine)
  }

  /** Takes a machine out. One that is not there changes nothing. */
  remove(machine: Machine): void {
    const index = this.#machines.indexOf(machine)
    if (index >= 0) this.#machines.splice(index, 1)
  }

  /** Polls each machine once. Units done by all of them. */
  turn(): number {
    this.turns++
    let done = 0
    for (const machine of this.#machines.slice()) done += machine.poll(this.#budget)
    return done
  }

  /** The nearest deadline of all machines; Infinity: none. */
  nextDeadlineMs(): number {
    let nearestMs = Infinity
    for (const machine of this.#machines) {
      const deadlineMs = machine.nextDeadlineMs()
      if (deadlineMs < nearestMs) nearestMs = deadlineMs
    }
    return nearestMs
  }

  /**
   * Turns until every machine is idle and says so when armed, as threads do that fall asleep together; given a clock, until none
   * has a deadline either. Units done. Throws when that has not happened after `turnsMax` turns: machines that keep each other
   * busy, or a timer that is periodic, never settle.
   */
  settle(turnsMax: number = TURNS_MAX_DEFAULT): number {
    let total = 0
    for (let turn = 0; turn < turnsMax; turn++) {
      const done = this.turn()
      total += done
      if (done === 0 && !this.#anyHasWork() && !this.#crank()) return total
    }
    throw new Error(`The machines did not settle in ${turnsMax} turns`)
  }

  /**
   * Turns until the condition holds; it is looked at before each turn. Units done. `whenIdle` is called after a turn that did
   * nothing and left no deadline to crank to. Throws after `turnsMax` turns.
   */
  runUntil(
    condition: () => boolean,
    whenIdle: () => void = nothing,
    turnsMax: number = TURNS_MAX_DEFAULT,
  ): number {
    let total = 0
    for (let turn = 0; turn < turnsMax; turn++) {
      if (condition()) return total
      const done = this.turn()
      total += done
      if (done === 0 && !this.#anyHasWork() && !this.#crank()) whenIdle()
    }
    throw new Error(`The condition did not come to hold in ${turnsMax} turns`)
  }

  /** Moves the clock on to the nearest deadline. False when there is neither. */
  #crank(): boolean {
    const deadlineMs = this.#clock === null ? Infinity : this.nextDeadlineMs()
    if (deadlineMs === Infinity) return false
    this.#clock?.advanceTo(deadlineMs)
    return true
  }

  /** Arms and disarms all: what a real thread does on its way to sleep and back. */
  #anyHasWork(): boolean {
    let work = false
    for (const machine of this.#machines.slice()) {
      if (machine.arm()) work = true
      machine.disarm()
    }
    return work
  }
}

function nothing(): void {}
