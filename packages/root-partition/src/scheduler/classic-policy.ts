// HOT
import { FairPolicy } from './fair-policy.ts'
import type { LogicalProcessor } from './logical-processor.ts'
import type { SchedulerPolicy, SchedulerShape } from './policy.ts'
import type { PartitionShare, ScheduledVp } from './scheduled-vp.ts'

/**
 * The classic scheduler: any VP on any hyper-thread, one queue for all of them. One queue keeps the shares exact without
 * balancing, and a VP that waits is never behind an idle processor.
 */
export class ClassicPolicy extends FairPolicy implements SchedulerPolicy {
  readonly name = 'classic'

  constructor(shape: SchedulerShape, shares: ReadonlyMap<number, PartitionShare>) {
    super(shape, shares, 1)
  }

  pick(_lp: LogicalProcessor, _now: number): ScheduledVp | null {
    const best = this.queue.best()
    if (best !== null) this.queue.take(best)
    return best
  }

  sliceEnd(vp: ScheduledVp, _lp: LogicalProcessor, now: number): number {
    return now + this.lengthOf(vp)
  }

  mustLeave(vp: ScheduledVp, _lp: LogicalProcessor, _now: number): boolean {
    if (vp.share.isCapped && vp.budget <= 0) return true
    const best = this.queue.best()
    return best !== null && this.queue.comesBefore(best, vp)
  }

  makeRoom(woken: ScheduledVp, lps: readonly LogicalProcessor[], now: number): void {
    const lp = this.mostAhead(lps)
    if (lp === null || !this.queue.mayPreempt(woken, lp.vp!)) return
    lp.sliceEnd = Math.min(lp.sliceEnd, this.earliestEnd(woken, lp, now))
  }
}
