// HOT
// The partitions' buses, polled in turn. One poll of the root may do about one bus's share of work: then the others wait for
// the next poll, which begins where this one ended. So a guest that always has work costs its neighbours one share each round, and the
// engine can look at its clock in between.

/** What the rota needs of a bus. */
export interface PolledBus {
  poll(budget: number): number
  arm(): boolean
  disarm(): void
}

/** Root thread only. */
export class BusRota {
  /** Replaced, never changed: a poll may delete partitions. */
  #buses: readonly PolledBus[] = []
  /** Index of the bus whose turn is next, or one past the end. */
  #next = 0

  add(bus: PolledBus): void {
    this.#buses = [...this.#buses, bus]
  }

  remove(bus: PolledBus): void {
    const at = this.#buses.indexOf(bus)
    if (at < 0) return
    this.#buses = this.#buses.toSpliced(at, 1)
    if (at < this.#next) this.#next -= 1
  }

  /**
   * Polls each bus at most once, until `budget` units are done; units done, less than twice the budget. A bus is given the whole
   * budget, not what others left of it: else whoever follows a busy one would always get the rest.
   */
  poll(budget: number): number {
    let done = 0
    for (let visits = this.#buses.length; visits > 0 && done < budget; visits -= 1) {
      // Read anew each time: the bus before may have left.
      const buses = this.#buses
      if (this.#next >= buses.length) this.#next = 0
      const bus = buses[this.#next]
      if (bus === undefined) break
      this.#next += 1
      done += bus.poll(budget)
    }
    return done
  }

  arm(): boolean {
    let hasWork = false
    const buses = this.#buses
    for (let i = 0; i < buses.length; i += 1) hasWork = buses[i]!.arm() || hasWork
    return hasWork
  }

  disarm(): void {
    const buses = this.#buses
    for (let i = 0; i < buses.length; i += 1) buses[i]!.disarm()
  }
}
