// HOT
// Fair queueing of VPs over all logical processors: earliest eligible virtual deadline first (Stoica and Abdel-Wahab, 1995), with the
// effective weights of `share-rates.ts`.
//
// Each VP's virtual time is the time it has had, divided by its effective weight. The queue's virtual time is the mean of its members',
// weighted the same way; so the lags, weight x (queue's - own), sum to nothing: what one is owed others have had too much. A VP
// that is owed something (or is even) is eligible, and among those the one whose next slice is due first is taken. That bounds each VP's lag by about one
// slice while VPs never halt, whatever the weights. Nothing is sampled: every 100 ns from grant to acknowledgement counts, so there is no moment at
// which it would pay a guest not to be seen running.
//
// Members are the VPs that have work. One that its cap keeps off is a member still: it is due its cap all the time, and what others have of it
// meanwhile they owe. A VP that halts leaves, and keeps its place: what it owes is made up for only as the others' time passes; what it
// is owed grows while it is away to a slice at most, and what it was owed beyond that is kept if it is back before others had a slice
// for its share. So halting, however timed, gains nothing, and halting briefly loses nothing.
//
// A VP that gives its slice up stands aside until somebody else was taken, and keeps its virtual time: the hint changes who is next, not what
// anybody is due.

import type { ShareRates } from './share-rates.ts'
import type { PartitionShare, ScheduledVp } from './scheduled-vp.ts'
import { VpHeap } from './vp-heap.ts'

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
  /** By virtual time: VPs that gave their slice up, until somebody is taken. */
  readonly #aside: VpHeap = new VpHeap(3)
  /** Sums over the members: effective weights, and effective weights times virtual times. */
  #weights = 0
  #moment = 0
  #virtualTime = 0
  #isStale = false
  /** In all three heaps. */
  #waiting = 0

  /** `slice`: 100 ns units. */
  constructor(rates: ShareRates, slice: number) {
    this.rates = rates
    this.#slice = slice
  }

  /** VPs that wait for a processor. */
  get waiting(): number {
    return this.#waiting
  }

  get virtualTime(): number {
    if (this.#weights > 0) this.#virtualTime = this.#moment / this.#weights
    return this.#virtualTime
  }

  lagOf(vp: ScheduledVp): number {
    this.#refresh()
    return vp.share.effectiveWeight * (this.virtualTime - vp.virtualTime)
  }

  /** The VP has work again. */
  join(vp: ScheduledVp): void {
    const { share } = vp
    // Nobody looked after a share without members.
    if (share.members === 0 && !this.rates.isBound) share.effectiveWeight = share.weight
    const weight = share.effectiveWeight
    // What it was owed when it left, and what others had of its share since: a debt is made up for only as their time passes, and credit
    // is a slice at most, or what it was a moment ago. The mean moves towards it once it is in: hence the stretch.
    const stretch = this.#weights > 0 ? 1 + weight / this.#weights : 1
    const missed = (weight * (this.virtualTime - vp.leftAt)) / stretch
    const most = missed < this.#slice && vp.lag > this.#slice ? vp.lag : this.#slice
    const lag = vp.lag + missed
    vp.virtualTime = this.virtualTime - ((lag < most ? lag : most) * stretch) / weight
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
    // Time has no weight in it: it may come back with another.
    vp.lag = this.#weights > 0 ? lag : 0
    vp.leftAt = this.virtualTime
    this.#isStale = true
  }

  /** A ready VP waits. */
  enqueue(vp: ScheduledVp): void {
    vp.deadline = vp.virtualTime + this.#slice / vp.share.effectiveWeight
    this.#waiting += 1
    if (vp.hasYielded) this.#aside.push(vp, vp.virtualTime)
    else this.#early.push(vp, vp.virtualTime)
  }

  dequeue(vp: ScheduledVp): void {
    this.#waiting -= 1
    if (this.#early.has(vp)) this.#early.remove(vp)
    else if (this.#eligible.has(vp)) this.#eligible.remove(vp)
    else this.#aside.remove(vp)
  }

  /** The VP that came next has a processor. Those that stood aside for it are as good as any again. */
  take(vp: ScheduledVp): void {
    this.dequeue(vp)
    for (let next = this.#aside.top(); next !== null; next = this.#aside.top()) {
      this.#aside.remove(next)
      this.#early.push(next, next.virtualTime)
    }
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
    return this.#eligible.top() ?? this.#early.top() ?? this.#aside.top()
  }

  /** Who of one partition comes next. */
  bestOf(share: PartitionShare): ScheduledVp | null {
    this.#refresh()
    let best: ScheduledVp | null = null
    for (let i = 0; i < share.vps.length; i += 1) {
      const vp = share.vps[i]!
      if (vp.state !== 'ready') continue
      if (best === null || this.#isAheadInTurn(vp, best)) best = vp
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

  #isAheadInTurn(vp: ScheduledVp, other: ScheduledVp): boolean {
    const standsAside = this.#aside.has(vp)
    if (standsAside !== this.#aside.has(other)) return !standsAside
    return vp.virtualTime < other.virtualTime
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
      else if (this.#aside.has(vp)) this.#aside.rekey(vp, vp.virtualTime)
      else this.#eligible.rekey(vp, vp.deadline)
    }
  }
}
