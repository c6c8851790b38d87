// What an engine drives, and what it tells the time with.

/** A state machine that never waits. Its thread is the engine's. */
export interface Machine {
  /** Does what can be done now, at most about `budget` units of work. Units done; 0 when there was nothing to do. */
  poll(budget: number): number
  /** The engine is about to sleep: ask the peers for signals. True when there is work after all. */
  arm(): boolean
  /** The engine is awake again: no signals wanted while it polls. */
  disarm(): void
  /**
   * The clock's `nowMs` at which the machine must be polled though nobody rings; Infinity: none. One that has come must be met by
   * the next poll: it does what was due and names a later one. Asked when the engine is about to sleep, after `arm`.
   */
  nextDeadlineMs(): number
}

/** Time for machines. Plain numbers that move only when the engine moves them. */
export interface Clock {
  /** Milliseconds since the machine started, with fractions. */
  readonly nowMs: number
  /** 100 ns units since the machine started: an integer. */
  readonly now100ns: number
}

/** A clock that an engine keeps up to date. */
export interface EngineClock extends Clock {
  /** Reads the time source. The new `nowMs`. */
  update(): number
}
