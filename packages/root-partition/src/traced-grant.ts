import { VpReport } from '@guestyard/hypervisor'
import { TraceKind, type Trace } from '@guestyard/trace'

import type { DispatchGrant } from './scheduler/index.ts'

/** A VP's grant whose dispatches, preemptions and halts are recorded. */
export function tracedGrant(
  trace: Trace,
  partition: number,
  vp: number,
  grant: DispatchGrant,
): DispatchGrant {
  let last: VpReport = VpReport.NONE
  return {
    grant(lp, reports) {
      trace.record(TraceKind.DISPATCH, partition, vp, lp)
      grant.grant(lp, reports)
    },
    revoke() {
      trace.record(TraceKind.PREEMPT, partition, vp)
      grant.revoke()
    },
    get report() {
      const { report } = grant
      if (report === VpReport.HALTED && report !== last) trace.record(TraceKind.HALT, partition, vp)
      last = report
      return report
    },
  }
}
