import type { Clock, Machine } from '@guestyard/engine'

const TICK_MS = 1_000

/**
 * A machine that is also told the time, about once a second, by the polls of its engine: for engines that block their
 * thread, where no timer would fire.
 */
export class TickingMachine implements Machine {
  readonly #machine: Machine
  readonly #clock: Clock
  readonly #tick: () => void
  #nextMs: number

  constructor(machine: Machine, clock: Clock, tick: () => void) {
    this.#machine = machine
    this.#clock = clock
    this.#tick = tick
    this.#nextMs = clock.nowMs + TICK_MS
  }

  poll(budget: number): number {
    if (this.#clock.nowMs >= this.#nextMs) {
      this.#nextMs = this.#clock.nowMs + TICK_MS
      this.#tick()
    }
    return this.#machine.poll(budget)
  }

  arm(): boolean {
    return this.#machine.arm()
  }

  disarm(): void {
    this.#machine.disarm()
  }

  nextDeadlineMs(): number {
    return Math.min(this.#nextMs, this.#machine.nextDeadlineMs())
  }
}
