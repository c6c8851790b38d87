import { VpReport } from '@guestyard/hypervisor'
import { TraceKind, TraceLink, traceKey, type Trace } from '@guestyard/trace'

import type { DispatchGrant } from './scheduler/index.ts'

/** A VP's grant whose dispatches, preemptions, stops and halts are recorded. */
export function tracedGrant(
  trace: Trace,
  partition: number,
  vp: number,
  grant: DispatchGrant,
): DispatchGrant {
  return new TracedGrant(trace, partition, vp, grant)
}

class TracedGrant implements DispatchGrant {
  readonly #trace: Trace
  readonly #partition: number
  readonly #vp: number
  readonly #grant: DispatchGrant
  /** The processor it holds; -1: none. */
  #lp = -1
  /** Whoever waits for its processor hears when it is free. */
  #reports = false
  /** Record of the preemption that the VP has not answered; 0: none. */
  #preempt = 0
  #last: VpReport = VpReport.NONE

  constructor(trace: Trace, partition: number, vp: number, grant: DispatchGrant) {
    this.#trace = trace
    this.#partition = partition
    this.#vp = vp
    this.#grant = grant
  }

  grant(lp: number, reports: boolean): void {
    const freed = reports ? this.#trace.takeUp(processorKey(lp)) : 0
    this.#recordAfter(freed, TraceKind.DISPATCH, lp)
    this.#lp = lp
    this.#reports = reports
    this.#preempt = 0
    this.#last = VpReport.NONE
    this.#grant.grant(lp, reports)
  }

  revoke(isLast = false): void {
    if (isLast) this.#free(this.#recordAfter(0, TraceKind.REMOVE, 0))
    else if (this.#lp >= 0 && this.#preempt === 0) {
      this.#preempt = this.#recordAfter(0, TraceKind.PREEMPT, 0)
    }
    this.#grant.revoke(isLast)
  }

  get report(): VpReport {
    const { report } = this.#grant
    if (report !== this.#last) {
      this.#last = report
      if (report > VpReport.RUNNING && this.#lp >= 0) this.#stopped(report)
    }
    return report
  }

  /** A halt answers a preemption as well. */
  #stopped(report: VpReport): void {
    if (report === VpReport.HALTED) this.#recordAfter(this.#preempt, TraceKind.HALT, 0)
    if (this.#preempt === 0) this.#lp = -1
    else this.#free(this.#recordAfter(this.#preempt, TraceKind.STOP, this.#lp))
  }

  /** The dispatch that gets the processor follows from what freed it. */
  #free(id: number): void {
    if (this.#lp >= 0 && this.#reports) this.#trace.leave(processorKey(this.#lp), id)
    this.#lp = -1
    this.#preempt = 0
  }

  /** `cause` 0: what the root is at. */
  #recordAfter(cause: number, kind: TraceKind, lp: number): number {
    const before = this.#trace.cause
    if (cause !== 0) this.#trace.cause = cause
    const id = this.#trace.record(kind, this.#partition, this.#vp, lp)
    this.#trace.cause = before
    return id
  }
}

function processorKey(lp: number): number {
  return traceKey(TraceLink.PROCESSOR, 0, 0, lp)
}
