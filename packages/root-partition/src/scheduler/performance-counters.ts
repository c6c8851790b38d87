// The scheduler's totals under the names that Hyper-V's performance counters have, as rates between two inspections. Counter sets "Hyper-V
// Hypervisor Virtual Processor" and "Hyper-V Hypervisor Logical Processor"; what they count of that is not counted here is not there.

import type { VpCounters } from '@guestyard/hypervisor'

import type {
  LogicalProcessorInspection,
  ScheduledVpInspection,
  SchedulerInspection,
} from './inspection.ts'

/** Counters of one set's instance by name. */
export type PerformanceCounters = Readonly<Record<string, number>>

export interface SchedulerCounters {
  /** By instance, such as "3:Hv VP 0" (partition id and VP). */
  readonly virtualProcessors: Readonly<Record<string, PerformanceCounters>>
  /** By instance, such as "Hv LP 0". None under the root policy: the host runs the VPs, and nobody here sees when. */
  readonly logicalProcessors: Readonly<Record<string, PerformanceCounters>>
}

const UNITS_PER_SECOND = 10_000_000
const NS_PER_UNIT = 100
/** Counts of a VP are of 32 bits, and go round. */
const COUNT_MAX = 2 ** 32

/** Rates over the time between two inspections of one scheduler. A VP that is not in both is left out. */
export function performanceCounters(
  before: SchedulerInspection,
  after: SchedulerInspection,
): SchedulerCounters {
  const elapsed = Math.max(1, after.now100ns - before.now100ns)
  const virtualProcessors: Record<string, PerformanceCounters> = {}
  for (const vp of after.vps) {
    const from = before.vps.find(
      (one) => one.partitionId === vp.partitionId && one.vpIndex === vp.vpIndex,
    )
    if (from === undefined) continue
    virtualProcessors[`${vp.partitionId}:Hv VP ${vp.vpIndex}`] = ofVp(from, vp, elapsed)
  }
  const logicalProcessors: Record<string, PerformanceCounters> = {}
  const seen = after.policy === 'root' ? [] : after.logicalProcessors
  for (const [index, lp] of seen.entries()) {
    const from = before.logicalProcessors[index]
    if (from === undefined) continue
    logicalProcessors[`Hv LP ${lp.logicalProcessor}`] = ofLp(from, lp, elapsed)
  }
  return { virtualProcessors, logicalProcessors }
}

function ofVp(
  from: ScheduledVpInspection,
  to: ScheduledVpInspection,
  elapsed: number,
): PerformanceCounters {
  const dispatches = to.dispatches - from.dispatches
  const waited = (to.waitTime - from.waitTime) * NS_PER_UNIT
  const runTime = percent(to.guestRunTime - from.guestRunTime, elapsed)
  const counters: Record<string, number> = {
    '% Guest Run Time': runTime,
    // The hypervisor's part on a VP's thread is charged to the VP.
    '% Total Run Time': runTime,
    'CPU Wait Time Per Dispatch': dispatches === 0 ? 0 : waited / dispatches,
    'Logical Processor Dispatches/sec': perSecond(dispatches, elapsed),
  }
  if (from.counters !== null && to.counters !== null) {
    const rate = (name: keyof VpCounters): number =>
      perSecond((to.counters![name] - from.counters![name] + COUNT_MAX) % COUNT_MAX, elapsed)
    counters['Hypercalls/sec'] = rate('hypercalls')
    counters['Long Spin Wait Hypercalls/sec'] = rate('longSpinWaits')
    counters['Virtual Interrupts/sec'] = rate('interrupts')
    counters['Total Intercepts/sec'] = rate('intercepts')
    counters['IO Intercept Messages/sec'] = rate('ioInterceptMessages')
    counters['Memory Intercept Messages/sec'] = rate('memoryInterceptMessages')
    counters['Other Messages/sec'] = rate('otherMessages')
  }
  return counters
}

function ofLp(
  from: LogicalProcessorInspection,
  to: LogicalProcessorInspection,
  elapsed: number,
): PerformanceCounters {
  const runTime = percent(to.guestRunTime - from.guestRunTime, elapsed)
  return {
    '% Guest Run Time': runTime,
    '% Total Run Time': runTime,
    '% Idle Time': 100 - runTime,
    'Context Switches/sec': perSecond(to.contextSwitches - from.contextSwitches, elapsed),
  }
}

function percent(time: number, elapsed: number): number {
  return (time / elapsed) * 100
}

function perSecond(count: number, elapsed: number): number {
  return (count / elapsed) * UNITS_PER_SECOND
}
