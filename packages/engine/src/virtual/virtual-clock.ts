import type { EngineClock } from '../machine.ts'

const NS_PER_MS = 1e6
const NS_PER_UNIT = 100

/** Counts whole nanoseconds, which only the virtual engine moves on. Exact for a hundred days. */
export class VirtualClock implements EngineClock {
  nowNs = 0

  get nowMs(): number {
    return this.nowNs / NS_PER_MS
  }

  get now100ns(): number {
    return Math.floor(this.nowNs / NS_PER_UNIT)
  }

  update(): number {
    return this.nowMs
  }
}

/** The first nanosecond at which a clock's `nowMs` is not before `ms`. */
export function nsAt(ms: number): number {
  const ns = Math.ceil(ms * NS_PER_MS)
  // The product may have been rounded down.
  return ns / NS_PER_MS < ms ? ns + 1 : ns
}
