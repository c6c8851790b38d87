// How this package wakes other threads: by what it was handed.

/** A doorbell as this package needs it. */
export interface Wake {
  /** Wakes the thread that waits on it, or keeps it from falling asleep. Any thread. */
  ring(): void
}
