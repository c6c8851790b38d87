/** What the ring must reach, as ratios within one round, and whether it did. */

export interface Judged {
  readonly what: string
  readonly ratio: number
  /** The least ratio, or the most where `atMost`. */
  readonly limit: number
  readonly atMost: boolean
  readonly held: boolean
}

/** Ring over C++ at batches of 32, by payload bytes. */
export const FLOOR_OVER_NATIVE: ReadonlyMap<number, number> = new Map([
  [64, 0.5],
  [256, 0.7],
  [1024, 0.9],
  [4096, 0.9],
  [16_384, 0.9],
])
/** Ring over postMessage, by payload bytes. */
export const FLOOR_OVER_POST: ReadonlyMap<number, number> = new Map([
  [64, 100],
  [4096, 20],
])
export const FLOOR_OVER_RINGBUF = 1
export const FLOOR_ONE_BY_ONE = 0.4
export const FLOOR_SCATTERED = 0.7
export const FLOOR_EIGHT_SENDERS = 0.45
export const MOST_BUSY_OVER_NATIVE = 1.2
export const MOST_ASLEEP_OVER_FUTEX = 1.3
/** What our event-loop ends may add to the platform's own wait. */
export const MOST_OVER_BARE_WAIT = 1.1
export const MOST_BUSY_OVER_PORT: number = 1 / 60

export function atLeast(what: string, ratio: number, limit: number): Judged {
  return { what, ratio, limit, atMost: false, held: ratio >= limit }
}

export function atMost(what: string, ratio: number, limit: number): Judged {
  return { what, ratio, limit, atMost: true, held: ratio <= limit }
}

/** One line for people. */
export function judgedLine({ what, ratio, limit, atMost: most, held }: Judged): string {
  const sign = most ? 'at most' : 'at least'
  return `${held ? 'held  ' : 'MISSED'}  ${what}: ${figure(ratio)} (${sign} ${figure(limit)})`
}

function figure(ratio: number): string {
  if (!Number.isFinite(ratio)) return 'not measured'
  return ratio < 0.1 ? ratio.toFixed(4) : ratio.toFixed(2)
}
