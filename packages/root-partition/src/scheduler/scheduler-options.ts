// What people choose of the scheduler, and what the scheduler makes of it.

import { assert } from '@guestyard/hvdef'

import type { SchedulerPolicyName, SchedulerShape } from './policy.ts'

/**
 * 2 ms: some fifty times what it costs to pass a processor from one thread to another (some 40 µs where threads wait for each
 * other), so that switching takes about 2 % at most, and short enough that 10 VPs wait 20 ms for each other and not 100.
 */
export const SLICE_MS_DEFAULT = 2
/** 50 ms: 25 slices, so that a cap or a reserve of 4 % still is a slice a period, and a VP stopped by its cap is back within what a person notices. */
export const PERIOD_MS_DEFAULT = 50
/** 100 ns units. */
export const UNITS_PER_MS = 10_000

/** What people choose. Plain data. */
export interface SchedulerSettings {
  readonly policy: SchedulerPolicyName
  /** SMT siblings in a core; default 1. */
  readonly threadsPerCore?: number
  /** Milliseconds; SLICE_MS_DEFAULT and PERIOD_MS_DEFAULT when left out. A period is no shorter than a slice. */
  readonly sliceMs?: number
  readonly periodMs?: number
}

export interface SchedulerOptions extends SchedulerSettings {
  /** 1 or more; a multiple of `threadsPerCore`. */
  readonly logicalProcessors: number
  /** Told of a VP that does not stop when told to; again each time it takes twice as long. */
  readonly onOverdue?: (overdue: OverdueVp) => void
}

/** A VP that was told to stop and has not. */
export interface OverdueVp {
  readonly partitionId: number
  readonly vpIndex: number
  readonly logicalProcessor: number
  /** Since it was told to. */
  readonly overdueMs: number
}

/** The machine in the scheduler's units. Throws for a shape that no machine has. */
export function shapeOf(options: SchedulerOptions): SchedulerShape {
  const { logicalProcessors, threadsPerCore = 1 } = options
  assert(logicalProcessors >= 1, 'A machine has at least one logical processor.')
  assert(logicalProcessors % threadsPerCore === 0, 'Every core has as many threads.')
  const slice = Math.round((options.sliceMs ?? SLICE_MS_DEFAULT) * UNITS_PER_MS)
  const period = Math.round((options.periodMs ?? PERIOD_MS_DEFAULT) * UNITS_PER_MS)
  assert(slice >= 1, 'A slice is at least 100 ns.')
  assert(period >= slice, 'A period is no shorter than a slice.')
  return { logicalProcessors, threadsPerCore, slice, period }
}
