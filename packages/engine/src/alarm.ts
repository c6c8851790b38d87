// What ends a sleep of `run` at a deadline.

/** Calls `ring` after `ms`, a whole number of 1 or more; returns what cancels that. */
export type Alarm = (ms: number, ring: () => void) => () => void

/** What the platform's timers count in. */
export const ALARM_GRAIN_MS = 1

/** The platform's timer. As all of a sleeping engine, it keeps no event loop alive. */
export const timerAlarm: Alarm = (ms, ring) => {
  const timer: unknown = setTimeout(ring, ms)
  // In a page a timer is a number.
  if (hasUnref(timer)) timer.unref()
  return () => clearTimeout(timer as Parameters<typeof clearTimeout>[0])
}

function hasUnref(timer: unknown): timer is { unref(): void } {
  return typeof timer === 'object' && timer !== null && 'unref' in timer
}
