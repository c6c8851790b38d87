// HOT
import { FairPolicy } from './fair-policy.ts'
import type { LogicalProcessor } from './logical-processor.ts'
import type { SchedulerPolicy, SchedulerShape } from './policy.ts'
import type { PartitionShare, ScheduledVp } from './scheduled-vp.ts'

/** A core and the partition that has it. */
interface Core {
  /** Null: nobody's, and every thread of it is idle. */
  share: PartitionShare | null
  /** Threads whose VP has not said yet that it stopped. */
  running: number
  /** When the partition's turn ends; no slice on this core goes past it. */
  turnEnd: number
}

/**
 * The core scheduler: the threads of one core run VPs of one partition only, and a thread stays idle rather than run a stranger.
 * The best VP of all brings its partition to the core for a turn of one slice; the other threads run that partition's next VPs.
 * When the turn is over the core changes hands once every thread has stopped, or the partition goes on if it is still the best.
 */
export class CorePolicy extends FairPolicy implements SchedulerPolicy {
  readonly name = 'core'
  readonly #cores: readonly Core[]

  constructor(shape: SchedulerShape, shares: ReadonlyMap<number, PartitionShare>) {
    super(shape, shares, shape.threadsPerCore)
    this.#cores = Array.from({ length: shape.logicalProcessors / shape.threadsPerCore }, () => ({
      share: null,
      running: 0,
      turnEnd: 0,
    }))
  }

  pick(lp: LogicalProcessor, now: number): ScheduledVp | null {
    const core = this.#cores[lp.core]!
    if (core.running === 0) core.share = null
    const best = this.queue.best()
    if (best === null) return null
    let vp: ScheduledVp | null = best
    if (core.share === null || (now >= core.turnEnd && core.share === best.share)) {
      core.share = best.share
      core.turnEnd = now + this.shape.slice
    } else if (now < core.turnEnd) {
      vp = this.queue.bestOf(core.share)
    } else {
      vp = null
    }
    if (vp === null) return null
    core.running += 1
    this.queue.take(vp)
    return vp
  }

  sliceEnd(vp: ScheduledVp, lp: LogicalProcessor, now: number): number {
    return Math.min(now + this.lengthOf(vp), this.#cores[lp.core]!.turnEnd)
  }

  mustLeave(vp: ScheduledVp, lp: LogicalProcessor, now: number): boolean {
    if (vp.share.isCapped && vp.budget <= 0) return true
    const core = this.#cores[lp.core]!
    const best = this.queue.best()
    if (best === null) {
      if (now >= core.turnEnd) core.turnEnd = now + this.shape.slice
      return false
    }
    // Within the turn only siblings can have this thread.
    if (now < core.turnEnd) {
      const next = this.queue.bestOf(vp.share)
      return next !== null && this.queue.comesBefore(next, vp)
    }
    return true
  }

  override leave(vp: ScheduledVp): void {
    this.#vacate(vp)
    super.leave(vp)
  }

  override putBack(vp: ScheduledVp): void {
    this.#vacate(vp)
    super.putBack(vp)
  }

  makeRoom(woken: ScheduledVp, lps: readonly LogicalProcessor[], now: number): void {
    const victim = this.mostAhead(lps)
    if (victim === null || !this.queue.mayPreempt(woken, victim.vp!)) return
    if (victim.vp!.share === woken.share) {
      victim.sliceEnd = Math.min(victim.sliceEnd, this.earliestEnd(woken, victim, now))
      return
    }
    // A stranger needs the whole core: each of its VPs must be that far ahead, and the turn ends for all of them.
    let end = now
    for (let i = 0; i < lps.length; i += 1) {
      const lp = lps[i]!
      if (lp.core !== victim.core || lp.vp === null) continue
      if (!this.queue.mayPreempt(woken, lp.vp)) return
      end = Math.max(end, this.earliestEnd(woken, lp, now))
    }
    const core = this.#cores[victim.core]!
    core.turnEnd = Math.min(core.turnEnd, end)
    for (let i = 0; i < lps.length; i += 1) {
      const lp = lps[i]!
      if (lp.core === victim.core) lp.sliceEnd = Math.min(lp.sliceEnd, end)
    }
  }

  #vacate(vp: ScheduledVp): void {
    const core = this.#cores[Math.floor(vp.lp / this.shape.threadsPerCore)]!
    core.running -= 1
  }
}
