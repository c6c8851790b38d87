// HOT
// What each partition's VPs are due at this moment, as a rate: the fraction of a logical processor that one VP gets.
//
//   rate = weight x level, but at least the reserve, at most the cap, and never more than one processor
//
// with the one level at which all rates together use the machine up ("water filling"). With every rate at its most and processors left,
// nobody is contended and the level is the lowest at which that is so. The rate divided by the level is the effective weight: it differs
// from the weight only where a bound holds. Fair queueing by effective weights is exact on several processors, where by plain
// weights a VP that can't use its share (one VP is on one processor at a time) would pile up claims that nobody can meet.

import type { PartitionShare } from './scheduled-vp.ts'

/** A level for a machine whose reserves take all of it: weights have nothing left to share. */
const LEVEL_MIN = 1e-12

/** The shares with members, and the level. */
export class ShareRates {
  readonly #cores: number
  readonly #threadsPerCore: number
  readonly #active: PartitionShare[] = []
  /** Sum over the active shares of weight times what one VP of it occupies. */
  #demand = 0
  /** Bounds over all shares there are: while the level keeps within them nobody is bound. */
  #weightMax = 0
  #weightMin = 1
  #capMin = 1
  #reserveMax = 0
  #anyBound = false
  #level = 1

  /**
   * `threadsPerCore`: logical processors that only run VPs of one partition at a time, so that an odd VP occupies a whole core.
   * 1 when any VP may run anywhere.
   */
  constructor(cores: number, threadsPerCore: number) {
    this.#cores = cores
    this.#threadsPerCore = threadsPerCore
  }

  get active(): readonly PartitionShare[] {
    return this.#active
  }

  /** True when some share's effective weight may differ from its weight. */
  get isBound(): boolean {
    return this.#anyBound
  }

  /** Takes note of the bounds of all shares, after any of them came, went or changed. */
  setBounds(shares: Iterable<PartitionShare>): void {
    this.#weightMax = 0
    this.#weightMin = Number.POSITIVE_INFINITY
    this.#capMin = 1
    this.#reserveMax = 0
    for (const share of shares) {
      this.#weightMax = Math.max(this.#weightMax, share.weight)
      this.#weightMin = Math.min(this.#weightMin, share.weight)
      this.#capMin = Math.min(this.#capMin, share.cap)
      this.#reserveMax = Math.max(this.#reserveMax, share.reserve)
    }
    this.#anyBound = true
    this.#demand = 0
    for (const share of this.#active) this.#demand += share.weight * this.#occupancy(share)
  }

  /** One more, or one fewer, of the VPs of this share has work. */
  changeMembers(share: PartitionShare, by: 1 | -1): void {
    const before = share.members === 0 ? 0 : share.weight * this.#occupancy(share)
    share.members += by
    if (share.members === 0) this.#deactivate(share)
    else if (share.activeIndex < 0) this.#activate(share)
    const after = share.members === 0 ? 0 : share.weight * this.#occupancy(share)
    this.#demand = this.#active.length === 0 ? 0 : this.#demand + after - before
  }

  /** False when every active share's effective weight is its weight, and was before. */
  solve(): boolean {
    if (this.#active.length === 0) return false
    const level = this.#cores / this.#demand
    const isFree = level * this.#weightMax <= this.#capMin
    if (isFree && level * this.#weightMin >= this.#reserveMax) {
      if (!this.#anyBound) return false
      this.#anyBound = false
      for (const share of this.#active) share.rate = share.weight * level
      return true
    }
    this.#anyBound = true
    this.#fill()
    return true
  }

  /** The effective weight that belongs to the rate which `solve` found. */
  effectiveWeight(share: PartitionShare): number {
    return this.#anyBound ? share.rate / this.#level : share.weight
  }

  /** Cores that the active VPs of a share occupy while each runs all the time. */
  #occupancy(share: PartitionShare): number {
    const threads = share.members / this.#threadsPerCore
    return threads < 1 ? 1 : threads
  }

  /**
   * Fixes shares at their bounds until none of the rest is out of bounds. In each round only the side that is further out is fixed, since
   * fixing it may bring the other side back: no share is fixed that should not be. At most as many rounds as shares.
   */
  #fill(): void {
    const active = this.#active
    if (this.#fillUncontended()) return
    for (let i = 0; i < active.length; i += 1) active[i]!.isFixed = false
    for (let round = 0; round < active.length; round += 1) {
      const level = this.#levelOfFree()
      let over = 0
      let under = 0
      for (let i = 0; i < active.length; i += 1) {
        const share = active[i]!
        if (share.isFixed) continue
        const rate = share.weight * level
        share.rate = rate
        const k = this.#occupancy(share)
        if (rate > share.cap) over += (rate - share.cap) * k
        else if (rate < share.reserve) under += (share.reserve - rate) * k
      }
      this.#level = level
      if (over === 0 && under === 0) return
      for (let i = 0; i < active.length; i += 1) this.#fix(active[i]!, over >= under, over <= under)
    }
  }

  #fix(share: PartitionShare, caps: boolean, reserves: boolean): void {
    if (share.isFixed) return
    if (caps && share.rate > share.cap) {
      share.rate = share.cap
      share.isFixed = true
    } else if (reserves && share.rate < share.reserve) {
      share.rate = share.reserve
      share.isFixed = true
    }
  }

  #levelOfFree(): number {
    let left = this.#cores
    let weights = 0
    for (let i = 0; i < this.#active.length; i += 1) {
      const share = this.#active[i]!
      const k = this.#occupancy(share)
      if (share.isFixed) left -= share.rate * k
      else weights += share.weight * k
    }
    if (weights === 0) return this.#level
    const level = left / weights
    return level > LEVEL_MIN ? level : LEVEL_MIN
  }

  /** True when all can have the most they may have. */
  #fillUncontended(): boolean {
    let wanted = 0
    let level = LEVEL_MIN
    for (let i = 0; i < this.#active.length; i += 1) {
      const share = this.#active[i]!
      wanted += share.cap * this.#occupancy(share)
      if (share.cap / share.weight > level) level = share.cap / share.weight
    }
    if (wanted > this.#cores) return false
    for (let i = 0; i < this.#active.length; i += 1) this.#active[i]!.rate = this.#active[i]!.cap
    this.#level = level
    return true
  }

  #activate(share: PartitionShare): void {
    share.activeIndex = this.#active.length
    this.#active.push(share)
  }

  #deactivate(share: PartitionShare): void {
    const last = this.#active.pop()!
    if (last !== share) {
      this.#active[share.activeIndex] = last
      last.activeIndex = share.activeIndex
    }
    share.activeIndex = -1
  }
}
