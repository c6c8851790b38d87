// The scheduler's counters as plain data: totals since the start, from which rates come by comparing two inspections.

import type { VpCounters } from '@guestyard/hypervisor'

import type { LogicalProcessor } from './logical-processor.ts'
import type { SchedulerPolicy, SchedulerPolicyName, SchedulerShape } from './policy.ts'
import type { ScheduledVp, VpState } from './scheduled-vp.ts'

/** Times are 100 ns units, and totals since the VP was there. */
export interface ScheduledVpInspection {
  readonly partitionId: number
  readonly vpIndex: number
  readonly state: VpState
  /** The one it runs on, or ran on last; -1 before the first dispatch. */
  readonly logicalProcessor: number
  readonly weight: number
  /** Fractions of one logical processor. */
  readonly cap: number
  readonly reserve: number
  /** From each grant to its acknowledgement. Under the root policy: since it was granted, whatever it did. */
  readonly guestRunTime: number
  /** Ready without a processor, up to the latest dispatch. */
  readonly waitTime: number
  readonly dispatches: number
  /** Dispatches that the scheduler ended, that the guest ended with work left, that the guest ended by halting. */
  readonly preemptions: number
  readonly yields: number
  readonly halts: number
  /** Times its cap kept it off until the next period. */
  readonly throttles: number
  /** Times it did not stop for long after it was told to. */
  readonly overdue: number
  /** What the VP says it counted, as of its latest halt; null where nobody asked it. */
  readonly counters: VpCounters | null
}

export interface LogicalProcessorInspection {
  readonly logicalProcessor: number
  readonly guestRunTime: number
  readonly dispatches: number
  /** Dispatches of another VP than the one before. */
  readonly contextSwitches: number
  readonly preemptions: number
}

/** Plain data for `inspect()`. */
export interface SchedulerInspection {
  readonly policy: SchedulerPolicyName
  /** When this was looked at, on the clock of the totals. */
  readonly now100ns: number
  readonly threadsPerCore: number
  readonly slice100ns: number
  readonly period100ns: number
  readonly overdue: number
  readonly logicalProcessors: readonly LogicalProcessorInspection[]
  readonly vps: readonly ScheduledVpInspection[]
}

export function inspectScheduler(
  policy: SchedulerPolicy,
  shape: SchedulerShape,
  lps: readonly LogicalProcessor[],
  vps: Iterable<ScheduledVp>,
  totals: { readonly now: number; readonly overdue: number },
): SchedulerInspection {
  const rows = [...vps].map((vp) =>
    inspectVp(vp, policy.schedules ? vp.runTime : totals.now - vp.readySince),
  )
  return {
    policy: policy.name,
    now100ns: totals.now,
    threadsPerCore: shape.threadsPerCore,
    slice100ns: shape.slice,
    period100ns: shape.period,
    overdue: totals.overdue,
    logicalProcessors: lps.map((lp) => ({
      logicalProcessor: lp.index,
      guestRunTime: lp.guestRunTime,
      dispatches: lp.dispatches,
      contextSwitches: lp.contextSwitches,
      preemptions: lp.preemptions,
    })),
    vps: rows,
  }
}

function inspectVp(vp: ScheduledVp, guestRunTime: number): ScheduledVpInspection {
  return {
    partitionId: vp.share.partitionId,
    vpIndex: vp.vpIndex,
    state: vp.state,
    logicalProcessor: vp.lp,
    weight: vp.share.weight,
    cap: vp.share.cap,
    reserve: vp.share.reserve,
    guestRunTime,
    waitTime: vp.waitTime,
    dispatches: vp.dispatches,
    preemptions: vp.preemptions,
    yields: vp.yields,
    halts: vp.halts,
    throttles: vp.throttles,
    overdue: vp.overdue,
    counters: null,
  }
}
