// When a service has something to send though nobody rings. Time is handed in: who drives the services looks at the deadlines.

/** Time as the services' driver counts it. */
export interface ServiceClock {
  /** Milliseconds from any origin. */
  readonly nowMs: number
}

export interface ServiceTimerOptions {
  readonly clock: ServiceClock
  /** A deadline has come nearer. `wakeDue` is to be called at `atMs` of the clock, or soon after. */
  readonly onDeadline?: (atMs: number) => void
}

/** What one service owes its guest, and when it next owes it something. Root thread only. */
export class ServiceTimer {
  readonly #options: ServiceTimerOptions
  readonly #intervalMs: number
  readonly #grainMs: number
  #dueMs = Number.POSITIVE_INFINITY
  #isOwed = false

  /** Requests are due at multiples of `intervalMs`, or the next multiples of `grainMs` after them: those of a service that is due more often. */
  constructor(options: ServiceTimerOptions, intervalMs: number, grainMs: number = intervalMs) {
    this.#options = options
    this.#intervalMs = intervalMs
    this.#grainMs = grainMs
  }

  get nowMs(): number {
    return this.#options.clock.nowMs
  }

  /** When `come` has something to do; Infinity: never. */
  get dueMs(): number {
    return this.#dueMs
  }

  /** A request is to be sent as soon as the guest can be asked. */
  get isOwed(): boolean {
    return this.#isOwed
  }

  /** The first request is owed at once, the next within an interval, and then one in every interval. */
  start(): void {
    this.#isOwed = true
    // On the clock's multiples of the interval: what many guests are owed falls due at once, and whoever drives them wakes once for all.
    // On another service's multiples a guest wakes once for both.
    const { nowMs } = this
    let count = Math.floor(nowMs / this.#intervalMs)
    if (this.#grainTime(count) <= nowMs) count += 1
    this.#dueMs = this.#grainTime(count)
    this.#options.onDeadline?.(this.#dueMs)
  }

  /**
   * True when the deadline has come: a request is owed then. The next deadline follows whatever the guest does: one that never answers
   * keeps nobody busy.
   */
  come(): boolean {
    if (this.nowMs < this.#dueMs) return false
    this.start()
    return true
  }

  /** When the request of that number is due. */
  #grainTime(count: number): number {
    return Math.ceil((count * this.#intervalMs) / this.#grainMs) * this.#grainMs
  }

  /** The request is on its way. */
  sent(): void {
    this.#isOwed = false
  }

  /** Nothing is owed, now or later. */
  stop(): void {
    this.#isOwed = false
    this.#dueMs = Number.POSITIVE_INFINITY
  }
}
