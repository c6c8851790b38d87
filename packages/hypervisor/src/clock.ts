// Time, as this package is handed it.

/** Time as the engine tells it. */
export interface Clock {
  /** Milliseconds since the machine started. */
  readonly nowMs: number
  /** 100 ns units since the machine started: an integer. */
  readonly now100ns: number
  /** Ticks a second of the TSC: 10 MHz times a power of two. 2.56 GHz when left out. */
  readonly tscHz?: number
  /** Reads the time source anew, for a guest that asks for the time; left out where time stands still between polls. */
  update?(): number
}
