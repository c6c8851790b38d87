// HOT
// Fair queueing of VPs over all logical processors: earliest eligible virtual deadline first (Stoica and Abdel-Wahab, 1995), with the
// effective weights of `share-rates.ts`.
//
// Each VP's virtual time is the time it has had, divided by its effective weight. The queue's virtual time is the mean of its members',
// weighted the same way; so the lags, weight x (queue's - own), sum to nothing: what one is owed others have had too much. A VP
// that is owed something (or is even) is eligible, and among those the one whose next slice is due first is taken. That bounds each VP's lag by about one
// slice, whatever the weights. Nothing is sampled: every 100 ns from grant to acknowledgement counts, so there is no moment at
// which it would pay a guest not to be seen running.
//
// Members are the VPs that have work. One that its cap keeps off is a member still: it is due its cap all the time, and what others have of it
// meanwhile they owe. A VP that halts leaves, and keeps its place: what it owes is made up for only as the others' time passes, what it
// is owed when it comes back is a slice at most. So halting, however timed, gains nothing.

import type { ShareRates } from './share-rates.ts'
import type { PartitionShare, ScheduledVp } from './scheduled-vp.ts'
import { VpHeap } from './vp-heap.ts'

/** A slice given up by a VP's own wish pushes it back by this share of a slice. */
const YIELD_STEP = 1 / 8
/** A VP that wakes takes a processor from one whose lag is worse by this share of a slice. */
const PREEMPT_MARGIN = 1 / 4
/** Virtual times closer than this share of a slice are even: sums of fractions are not exact. */
const EVEN = 1e-6

export class FairQueue {
  readonly rates: ShareRates
  readonly #slice: number
  /** By virtual time: VPs that have had more than their share so far. */
  readonly #early: VpHeap = new VpHeap(1)
  /** By deadline: VPs that are owed something, or were when they were last looked at. */
  readonly #eligible: VpHeap = new VpHeap(2)
  /** Sums over the members: effective weights, and effective weights times virtual times. */
  #weights = 0
  #moment = 0
  #virtualTime = 0
  #isStale = false

  /** `slice`: 100 ns units. */
  constructor(rates: ShareRates, slice: number) {
    this.rates = rates
    this.#slice = slice
  }

  /** VPs that wait for a processor. */
  get waiting(): number {
    return this.#early.size + this.#eligible.size
  }

  get virtualTime(): number {
    if (this.#weights > 0) this.#virtualTime = this.#moment / this.#weights
    return this.#virtualTime
  }

  lagOf(vp: ScheduledVp): number {
    return vp.share.effectiveWeight * (this.virtualTime - vp.virtualTime)
  }

  /** The VP has work again. */
  join(vp: ScheduledVp): void {
    const { share } = vp
    // Nobody looked after a share without members.
    if (share.members === 0 && !this.rates.isBound) share.effectiveWeight = share.weight
    const weight = share.effectiveWeight
    // Where it was, so that its debt is what the others' time has not yet made up for; but not so far back that its credit is more
    // than a slice. The mean moves towards it once it is in: hence the stretch.
    const before = vp.leftAt - vp.lag / weight
    const stretch = this.#weights > 0 ? 1 + weight / this.#weights : 1
    const credited = this.virtualTime - (this.#slice / weight) * stretch
    vp.virtualTime = before > credited ? before : credited
    this.#weights += weight
    this.#moment += weight * vp.virtualTime
    this.rates.changeMembers(share, 1)
    this.#isStale = true
  }

  /** The VP halts, or goes. It is in no heap. */
  leave(vp: ScheduledVp): void {
    const weight = vp.share.effectiveWeight
    const lag = weight * (this.virtualTime - vp.virtualTime)
    this.#weights -= weight
    this.#moment -= weight * vp.virtualTime
    this.rates.changeMembers(vp.share, -1)
    if (this.rates.active.length === 0) {
      this.#weights = 0
      this.#moment = 0
    }
    // The mean of the others is another one, further from where it was by the same stretch.
    vp.lag = this.#weights > 0 ? lag * (1 + weight / this.#weights) : 0
    vp.leftAt = this.virtualTime
    this.#isStale = true
  }

  /** A ready VP waits. */
  enqueue(vp: ScheduledVp): void {
    const weight = vp.share.effectiveWeight
    if (vp.hasYielded) {
      const behind = this.virtualTime + (this.#slice * YIELD_STEP) / weight
      if (vp.virtualTime < behind) {
        this.#moment += weight * (behind - vp.virtualTime)
        vp.virtualTime = behind
      }
    }
    vp.deadline = vp.virtualTime + this.#slice / weight
    this.#early.push(vp, vp.virtualTime)
  }

  dequeue(vp: ScheduledVp): void {
    if (this.#early.has(vp)) this.#early.remove(vp)
    else this.#eligible.remove(vp)
  }

  /** The VP had this much of a processor. */
  charge(vp: ScheduledVp, ran: number): void {
    vp.virtualTime += ran / vp.share.effectiveWeight
    this.#moment += ran
  }

  /** Who comes next; null when nobody waits. It stays where it is. */
  best(): ScheduledVp | null {
    this.#refresh()
    this.#admit()
    return this.#eligible.top() ?? this.#early.top()
  }

  /** Who of one partition comes next. */
  bestOf(share: PartitionShare): ScheduledVp | null {
    this.#refresh()
    let best: ScheduledVp | null = null
    for (let i = 0; i < share.vps.length; i += 1) {
      const vp = share.vps[i]!
      if (vp.state !== 'ready') continue
      if (best === null || vp.virtualTime < best.virtualTime) best = vp
    }
    return best
  }

  /** True when `waiting` should have the processor whose slice of `running` is over. */
  comesBefore(waiting: ScheduledVp, running: ScheduledVp): boolean {
    this.#refresh()
    const waits = this.#isOwed(waiting)
    if (waits !== this.#isOwed(running)) return waits
    if (!waits) return waiting.virtualTime < running.virtualTime
    return waiting.deadline < running.virtualTime + this.#slice / running.share.effectiveWeight
  }

  /** True when a VP that woke may end the slice of one that runs. */
  mayPreempt(woken: ScheduledVp, running: ScheduledVp): boolean {
    return this.lagOf(woken) - this.lagOf(running) > this.#slice * PREEMPT_MARGIN
  }

  /** Sums anew what was summed step by step. Once a period is enough: errors are of the order of 1e-16 a step. */
  resum(): void {
    this.#weights = 0
    this.#moment = 0
    for (const share of this.rates.active) {
      for (const vp of share.vps) {
        if (!vp.isMember) continue
        this.#weights += share.effectiveWeight
        this.#moment += share.effectiveWeight * vp.virtualTime
      }
    }
  }

  /** A share's properties changed, or came, or went. */
  setBounds(shares: Iterable<PartitionShare>): void {
    this.rates.setBounds(shares)
    this.#isStale = true
  }

  #isOwed(vp: ScheduledVp): boolean {
    const slack = (this.#slice * EVEN) / vp.share.effectiveWeight
    return vp.virtualTime <= this.virtualTime + slack
  }

  /** Moves those that are owed something by now over to the heap of deadlines. */
  #admit(): void {
    for (let vp = this.#early.top(); vp !== null && this.#isOwed(vp); vp = this.#early.top()) {
      this.#early.remove(vp)
      this.#eligible.push(vp, vp.deadline)
    }
  }

  /** Brings effective weights up to date. Lags stay what they are, hence the queue's virtual time too. */
  #refresh(): void {
    if (!this.#isStale) return
    this.#isStale = false
    if (!this.rates.solve()) return
    const now = this.virtualTime
    const active = this.rates.active
    for (let i = 0; i < active.length; i += 1) {
      const share = active[i]!
      const weight = this.rates.effectiveWeight(share)
      if (weight !== share.effectiveWeight) this.#reweigh(share, weight, now)
    }
    this.#moment = now * this.#weights
  }

  #reweigh(share: PartitionShare, weight: number, now: number): void {
    const before = share.effectiveWeight
    share.effectiveWeight = weight
    this.#weights += (weight - before) * share.members
    for (let i = 0; i < share.vps.length; i += 1) {
      const vp = share.vps[i]!
      // Those that are no members keep their lag in time, which has no weight in it.
      if (!vp.isMember) continue
      vp.virtualTime = now - (before * (now - vp.virtualTime)) / weight
      if (vp.state !== 'ready') continue
      vp.deadline = vp.virtualTime + this.#slice / weight
      if (this.#early.has(vp)) this.#early.rekey(vp, vp.virtualTime)
      else this.#eligible.rekey(vp, vp.deadline)
    }
  }
}
