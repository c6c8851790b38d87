// HOT (poll)
// When the integration services of any partition have something to send though nobody rings. One number says when the first is due: a
// poll in which none is costs a compare.

/** What the deadlines are of: the services of one partition. */
export interface TimedServices {
  /** Infinity: none is ever due. */
  readonly nextDeadlineMs: number
  /** The channels of what is due are polled next. */
  wakeDue(): void
}

/** What a timer counts in. An engine polls for what is left of a grain: services can wait for a whole one. */
const LATE_MS = 1

/** Root thread only. */
export class ServiceDeadlines {
  readonly #services: Set<TimedServices> = new Set()
  #dueMs = Number.POSITIVE_INFINITY

  add(services: TimedServices): void {
    this.#services.add(services)
    this.announce(services.nextDeadlineMs)
  }

  remove(services: TimedServices): void {
    this.#services.delete(services)
  }

  /** Somebody is due at `atMs`. */
  announce(atMs: number): void {
    if (atMs < this.#dueMs) this.#dueMs = atMs
  }

  /** When `poll` has had something to do for a timer's grain, or not yet: a partition may have gone. Infinity: never. */
  get nextDeadlineMs(): number {
    return this.#dueMs + LATE_MS
  }

  /** Wakes the channels of what is due. Units done: 1 for each partition that had something to wake. */
  poll(nowMs: number): number {
    return nowMs < this.#dueMs ? 0 : this.#wakeDue(nowMs)
  }

  #wakeDue(nowMs: number): number {
    let woken = 0
    this.#dueMs = Number.POSITIVE_INFINITY
    for (const services of this.#services) {
      if (services.nextDeadlineMs <= nowMs) {
        services.wakeDue()
        woken += 1
      }
      this.announce(services.nextDeadlineMs)
    }
    return woken
  }
}
