// What every scheduling policy answers. The dispatcher (`scheduler.ts`) owns grants, slices' ends and counters; a policy decides who runs
// where, and for how long.

import type { LogicalProcessor } from './logical-processor.ts'
import type { PartitionShare, ScheduledVp } from './scheduled-vp.ts'

/** Names as Hyper-V has them (system property "scheduler type"). */
export type SchedulerPolicyName = 'classic' | 'core' | 'root'

/** The machine a policy schedules on. Times are 100 ns units. */
export interface SchedulerShape {
  /** Logical processors: 1 or more, a multiple of `threadsPerCore`. */
  readonly logicalProcessors: number
  /** SMT siblings: processors `n` with the same whole part of `n / threadsPerCore` are one core. */
  readonly threadsPerCore: number
  readonly slice: number
  readonly period: number
}

/** The dispatcher charges all running VPs before it asks anything, so lags are those of this moment. */
export interface SchedulerPolicy {
  readonly name: SchedulerPolicyName
  /** False: VPs run as soon as they are there and say nothing of halting; nothing below `placeAtOnce` is ever called. */
  readonly schedules: boolean
  /** True when the reserves of all shares, with `vpCount` VPs of `share` counted at `reserve`, can be met. */
  admits(share: PartitionShare | null, vpCount: number, reserve: number): boolean
  /** A share is there, is gone, or has other properties. */
  sharesChanged(): void
  /** The processor for a VP that is dispatched at once and for good; -1: it waits to be picked. */
  placeAtOnce(vp: ScheduledVp): number
  leftAtOnce(vp: ScheduledVp, lp: number): void

  /** halted -> ready or throttled. Its state is the new one already, here and below. */
  enter(vp: ScheduledVp): void
  /** running -> ready or throttled: it was charged, and is on no processor any more. */
  putBack(vp: ScheduledVp): void
  /** Its processor is free by its own wish and not because it was told to; `putBack` or `leave` follows. It was charged. */
  gaveUp(vp: ScheduledVp, lp: LogicalProcessor, now: number): void
  /** running -> halted. */
  leave(vp: ScheduledVp): void
  /** throttled -> ready. */
  release(vp: ScheduledVp): void
  /** It goes for good; its state is still ready or throttled. */
  drop(vp: ScheduledVp): void
  charge(vp: ScheduledVp, ran: number): void
  /** The VP to run on an idle processor now, taken out of the queue; null: none may. */
  pick(lp: LogicalProcessor, now: number): ScheduledVp | null
  /** When the slice that begins now ends, at the latest. */
  sliceEnd(vp: ScheduledVp, lp: LogicalProcessor, now: number): number
  /** The slice is over: true when the VP must leave. False: a new slice begins. */
  mustLeave(vp: ScheduledVp, lp: LogicalProcessor, now: number): boolean
  /** A VP became ready and found no processor: shortens the slices of those that should make room for it. */
  makeRoom(woken: ScheduledVp, lps: readonly LogicalProcessor[], now: number): void
  /** True when somebody waits for a processor. */
  readonly hasWaiting: boolean
  newPeriod(): void
}
