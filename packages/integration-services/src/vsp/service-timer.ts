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
  #dueMs = Number.POSITIVE_INFINITY
  #isOwed = false

  constructor(options: ServiceTimerOptions, intervalMs: number) {
    this.#options = options
    this.#intervalMs = intervalMs
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
    this.#dueMs = (Math.floor(this.nowMs / this.#intervalMs) + 1) * this.#intervalMs
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
