import { median } from '@guestyard/scenario'

import type { PulseResult } from '../guests/pulse.ts'

/** What answering requests came to. Milliseconds from the moment one was due to its answer. */
export interface Latencies {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly requestsPerSecond: number
}

export function latenciesOf({ latenciesMs, elapsedMs }: PulseResult): Latencies {
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  return {
    p50Ms: median(sorted),
    p99Ms: sorted[Math.floor((sorted.length - 1) * 0.99)]!,
    maxMs: sorted.at(-1)!,
    requestsPerSecond: (sorted.length / elapsedMs) * 1_000,
  }
}
