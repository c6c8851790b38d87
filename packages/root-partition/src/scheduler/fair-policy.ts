// HOT
// What the classic and the core policy have in common: weights by the fair queue, caps by a budget a period, reserves by
// admission and by the rates that the queue works with; and when a VP that is ready again may end another's slice.
//
// The queue keeps what VPs are owed over halts and yields. That is worth nothing to a VP which runs in pieces if it waits after each
// for longer than its share allows, so others keep a processor for what the piece entitles them to, no longer. Pieces that are worth less
// than a switch count as much as one, and are bounded in time as well.

import type { LogicalProcessor } from './logical-processor.ts'
import { FairQueue } from './fair-queue.ts'
import type { SchedulerShape } from './policy.ts'
import type { PartitionShare, ScheduledVp } from './scheduled-vp.ts'
import { ShareRates } from './share-rates.ts'

/** What a VP that was granted a processor has of it at most before another that is behind its share may take it, as a share of a slice. */
const RUN_MIN = 1 / 8
/** A VP that is owed more than this share of a slice waits for nobody's piece: who is due a whole processor can't make up for it. */
const FAR_BEHIND = 1 / 2
/** What a dispatch counts for at the least, as a share of a slice: about what it costs to pass a processor on, which others pay. */
const CHARGE_MIN = 1 / 32
/**
 * After a dispatch that it gave up sooner than that a VP ends no slice of its equal for this share of a slice from its beginning, and of those
 * that are due less for less. That it halted is its word; how often others are interrupted for it is not.
 */
const PREEMPT_EVERY = 1 / 2
/** Sums of fractions that ought to be whole may be off by so much. */
const ROUNDING = 1e-9

export class FairPolicy {
  readonly schedules = true
  protected readonly queue: FairQueue
  protected readonly shape: SchedulerShape
  readonly #shares: ReadonlyMap<number, PartitionShare>
  readonly #smt: number

  /** `smt`: threads of a core that only run VPs of one partition at a time. */
  constructor(shape: SchedulerShape, shares: ReadonlyMap<number, PartitionShare>, smt: number) {
    this.shape = shape
    this.#shares = shares
    this.#smt = smt
    const rates = new ShareRates(shape.logicalProcessors / smt, smt)
    this.queue = new FairQueue(rates, shape.slice)
  }

  get hasWaiting(): boolean {
    return this.queue.waiting > 0
  }

  admits(share: PartitionShare | null, vpCount: number, reserve: number): boolean {
    let reserved = this.#reserved(vpCount, reserve)
    for (const other of this.#shares.values()) {
      if (other !== share) reserved += this.#reserved(other.vps.length, other.reserve)
    }
    return reserved <= this.shape.logicalProcessors / this.#smt + ROUNDING
  }

  sharesChanged(): void {
    this.queue.setBounds(this.#shares.values())
  }

  placeAtOnce(_vp: ScheduledVp): number {
    return -1
  }

  leftAtOnce(_vp: ScheduledVp, _lp: number): void {}

  enter(vp: ScheduledVp): void {
    this.queue.join(vp)
    if (vp.state === 'ready') this.queue.enqueue(vp)
  }

  gaveUp(vp: ScheduledVp, lp: LogicalProcessor, now: number): void {
    const { slice } = this.shape
    const least = slice * CHARGE_MIN
    const ran = now - lp.grantedAt
    vp.lastRun = ran < least ? least : ran
    vp.preemptsFrom = ran < least ? lp.grantedAt + slice * PREEMPT_EVERY : 0
    // Counted, not run: caps are of time that was had.
    if (ran < least) this.queue.charge(vp, least - ran)
  }

  leave(vp: ScheduledVp): void {
    this.queue.leave(vp)
  }

  drop(vp: ScheduledVp): void {
    if (vp.state === 'ready') this.queue.dequeue(vp)
    this.queue.leave(vp)
  }

  putBack(vp: ScheduledVp): void {
    if (vp.state === 'ready') this.queue.enqueue(vp)
  }

  release(vp: ScheduledVp): void {
    this.queue.enqueue(vp)
  }

  charge(vp: ScheduledVp, ran: number): void {
    this.queue.charge(vp, ran)
    if (vp.share.isCapped) vp.budget -= ran
  }

  newPeriod(): void {
    this.queue.resum()
  }

  /** Cores that the VPs of a share take up at their reserve. One with more VPs than there are processors has none (TLFS). */
  #reserved(vpCount: number, reserve: number): number {
    if (vpCount > this.shape.logicalProcessors) return 0
    return reserve * Math.max(1, vpCount / this.#smt) * Math.min(1, vpCount)
  }

  /** The slice, or what is left of the VP's cap. */
  protected lengthOf(vp: ScheduledVp): number {
    const { slice } = this.shape
    return vp.share.isCapped && vp.budget < slice ? vp.budget : slice
  }

  /**
   * When a processor may be taken from its VP for `woken`, which is behind: once it has run for as long as the other's last run
   * entitles it to, by their shares. So those who take turns in pieces of whatever length have what they are due.
   */
  protected earliestEnd(woken: ScheduledVp, lp: LogicalProcessor, now: number): number {
    const { slice } = this.shape
    const { share } = woken
    const ratio = Math.min(1, lp.vp!.share.effectiveWeight / share.effectiveWeight)
    const isFarBehind = this.queue.lagOf(woken) > slice * FAR_BEHIND
    const run = isFarBehind ? 0 : Math.min(slice * RUN_MIN, woken.lastRun * ratio)
    const end = Math.max(now, lp.grantedAt + run)
    // What its reserve raises above its weight it was promised, at whatever price for the rest.
    if (share.effectiveWeight > share.weight) return end
    return Math.max(end, woken.preemptsFrom - slice * PREEMPT_EVERY * (1 - ratio))
  }

  /** The running VP with the worst lag among those that were not told to leave yet. */
  protected mostAhead(lps: readonly LogicalProcessor[]): LogicalProcessor | null {
    let victim: LogicalProcessor | null = null
    let worst = Number.POSITIVE_INFINITY
    for (let i = 0; i < lps.length; i += 1) {
      const lp = lps[i]!
      if (lp.vp === null || lp.isRevoked) continue
      const lag = this.queue.lagOf(lp.vp)
      if (lag >= worst) continue
      worst = lag
      victim = lp
    }
    return victim
  }
}
