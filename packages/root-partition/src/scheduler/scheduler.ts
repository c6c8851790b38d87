// HOT (poll, stateChanged)
// The hypervisor's scheduler, which the root partition owns: which VP may run guest code, and where. A VP runs only while
// it holds a grant: words in its page that its thread looks at on every exit from guest code. A policy decides; this
// dispatcher grants, revokes, waits for the acknowledgement, and counts.
//
//   idle ──pick, grant──▶ running ──slice over──▶ revoked ──VP says it stopped──▶ idle
//                            └──────VP says it halted, yields──────────────────▶ idle
//
// A processor is idle only when the VP that had it has said so: two VPs never run on one. Times are 100 ns units of the clock that is
// handed in; what a VP is charged runs from the grant to the moment its acknowledgement is read.

import { assert, HvStatus } from '@guestyard/hvdef'
import { VpReport } from '@guestyard/hypervisor'

import { areCpuProperties, type CpuProperties } from './cpu-properties.ts'
import type { DispatchGrant } from './dispatch-grant.ts'
import { inspectScheduler, type SchedulerInspection } from './inspection.ts'
import { LogicalProcessor } from './logical-processor.ts'
import { makePolicy } from './make-policy.ts'
import type { SchedulerPolicy, SchedulerPolicyName, SchedulerShape } from './policy.ts'
import { PartitionShare, ScheduledVp } from './scheduled-vp.ts'
import {
  shapeOf,
  UNITS_PER_MS,
  type OverdueVp,
  type SchedulerOptions,
} from './scheduler-options.ts'

/** A VP that was told to stop and has not for so long is reported: 50 slices, far beyond any exit of a guest that behaves. */
const OVERDUE_MS = 100
const VPS_PER_PARTITION = 256

/** Root thread only. `now`: 100 ns units, never going back. */
export class Scheduler {
  readonly shape: SchedulerShape
  readonly lps: readonly LogicalProcessor[]
  readonly #policy: SchedulerPolicy
  readonly #shares: Map<number, PartitionShare> = new Map()
  readonly #vps: Map<number, ScheduledVp> = new Map()
  readonly #onOverdue: (overdue: OverdueVp) => void
  /** Became ready and were not looked at since. */
  readonly #woken: ScheduledVp[] = []
  #throttled = 0
  #capped = 0
  #chargedAt = 0
  #periodEnd: number
  #deadline = Number.POSITIVE_INFINITY
  #isDirty = false
  #overdue = 0

  constructor(options: SchedulerOptions) {
    this.shape = shapeOf(options)
    const { logicalProcessors, threadsPerCore } = this.shape
    this.lps = Array.from(
      { length: logicalProcessors },
      (_, index) => new LogicalProcessor(index, threadsPerCore),
    )
    this.#policy = makePolicy(options.policy, this.shape, this.#shares)
    this.#onOverdue = options.onOverdue ?? (() => {})
    this.#periodEnd = this.shape.period
  }

  get policyName(): SchedulerPolicyName {
    return this.#policy.name
  }

  /** True when a partition with so many VPs can have these properties: they are in range, and its reserve can be met. */
  admits(vpCount: number, properties: CpuProperties): boolean {
    if (!areCpuProperties(properties)) return false
    const reserve = new PartitionShare(0, properties).reserve
    return this.#policy.admits(null, vpCount, reserve)
  }

  /** Takes a new VP in, ready to run. The properties are its partition's; `admits` was asked. */
  add(
    partitionId: number,
    vpIndex: number,
    properties: CpuProperties,
    grant: DispatchGrant,
    now: number,
  ): void {
    const key = keyOf(partitionId, vpIndex)
    assert(!this.#vps.has(key), 'A VP is scheduled once.')
    assert(areCpuProperties(properties), 'Properties are checked before they get here.')
    this.#advance(now)
    const share = this.#shares.get(partitionId) ?? new PartitionShare(partitionId, properties)
    this.#shares.set(partitionId, share)
    const vp = new ScheduledVp(share, vpIndex, grant)
    share.vps.push(vp)
    this.#vps.set(key, vp)
    if (share.isCapped) {
      this.#capped += 1
      vp.budget = share.cap * this.shape.period
    }
    this.#policy.sharesChanged()
    const lp = this.#policy.placeAtOnce(vp)
    if (lp < 0) this.#wake(vp, now)
    else this.#grantAtOnce(vp, lp, now)
  }

  /** Forgets a VP; its grant is revoked first. Unknown VPs are ignored. */
  remove(partitionId: number, vpIndex: number, now: number): void {
    const key = keyOf(partitionId, vpIndex)
    const vp = this.#vps.get(key)
    if (vp === undefined) return
    this.#advance(now)
    this.#vps.delete(key)
    const { share } = vp
    vp.grant.revoke(true)
    if (!this.#policy.schedules) this.#policy.leftAtOnce(vp, vp.lp)
    else this.#forget(vp)
    if (share.isCapped) this.#capped -= 1
    share.vps.splice(share.vps.indexOf(vp), 1)
    if (share.vps.length === 0) this.#shares.delete(share.partitionId)
    this.#policy.sharesChanged()
    this.#isDirty = true
  }

  /**
   * Other properties for a partition, from now on. SUCCESS; INVALID_PARTITION_ID; PROPERTY_VALUE_OUT_OF_RANGE (a value, or a
   * reserve above the cap); NO_RESOURCES (the reserve can't be met beside the others').
   */
  setProperties(partitionId: number, properties: CpuProperties, now: number): HvStatus {
    const share = this.#shares.get(partitionId)
    if (share === undefined) return HvStatus.INVALID_PARTITION_ID
    if (!areCpuProperties(properties)) return HvStatus.PROPERTY_VALUE_OUT_OF_RANGE
    const reserve = new PartitionShare(0, properties).reserve
    if (!this.#policy.admits(share, share.vps.length, reserve)) return HvStatus.NO_RESOURCES
    this.#advance(now)
    if (share.isCapped) this.#capped -= share.vps.length
    const capBefore = share.cap
    share.setProperties(properties)
    if (share.isCapped) this.#capped += share.vps.length
    for (const vp of share.vps) {
      // A period that has begun goes on with the new cap; what was used of it stays used.
      vp.budget += (share.cap - (capBefore < 1 ? capBefore : share.cap)) * this.shape.period
      if (capBefore >= 1 && share.isCapped) vp.budget = share.cap * this.shape.period
      if (vp.state === 'throttled' && !this.#isSpent(vp)) this.#release(vp, now)
    }
    this.#policy.sharesChanged()
    this.#isDirty = true
    return HvStatus.SUCCESS
  }

  /** A VP announced that its report changed. What it says is taken only where it makes sense. */
  stateChanged(partitionId: number, vpIndex: number, now: number): void {
    const vp = this.#vps.get(keyOf(partitionId, vpIndex))
    if (vp !== undefined && this.#policy.schedules) this.#hear(vp, vp.grant.report, now)
  }

  /** Grants and revocations made: ends slices that are over, starts periods, fills idle processors. */
  poll(now: number): number {
    if (!this.#isDirty && now < this.#deadline) return 0
    this.#isDirty = false
    this.#advance(now)
    if (now >= this.#periodEnd) this.#beginPeriod(now)
    // Idle processors first: whoever finds one ends nobody's slice.
    let done = this.#fill(now)
    done += this.#endSlices(now)
    if (this.#woken.length > 0) {
      for (let i = 0; i < this.#woken.length; i += 1) {
        const vp = this.#woken[i]!
        if (vp.state === 'ready') this.#policy.makeRoom(vp, this.lps, now)
      }
      this.#woken.length = 0
      done += this.#endSlices(now)
    }
    this.#deadline = this.#findDeadline(now)
    return done
  }

  /** True when `poll` has something to do though no deadline came. */
  get hasWork(): boolean {
    return this.#isDirty
  }

  /** The time at which `poll` must be called; Infinity: none. */
  get nextDeadline100ns(): number {
    return this.#deadline
  }

  /** As nextDeadline100ns. A clock that shows so many milliseconds has passed it, however they were rounded. */
  get nextDeadlineMs(): number {
    return (this.#deadline + 1) / UNITS_PER_MS
  }

  /** How long VPs of a partition have kept a processor that they were told to leave: the longest, in ms. */
  overdueMs(partitionId: number, now: number): number {
    let longest = 0
    for (const lp of this.lps) {
      if (lp.vp?.share.partitionId !== partitionId || !lp.isRevoked) continue
      longest = Math.max(longest, now - lp.revokedAt)
    }
    return longest / UNITS_PER_MS
  }

  inspect(now: number): SchedulerInspection {
    if (this.#policy.schedules) this.#advance(now)
    const totals = { now, overdue: this.#overdue }
    return inspectScheduler(this.#policy, this.shape, this.lps, this.#vps.values(), totals)
  }

  #hear(vp: ScheduledVp, report: VpReport, now: number): void {
    switch (vp.state) {
      case 'running':
        if (report > VpReport.RUNNING) this.#stopped(vp, report, now)
        break
      case 'halted':
        if (report === VpReport.READY || report === VpReport.YIELDED) {
          this.#advance(now)
          this.#wake(vp, now)
        }
        break
      case 'ready':
      case 'throttled':
        // It waits already; should it have nothing to do any more, it says so once it has its grant.
        break
    }
  }

  /** The VP is off its processor, and said why. */
  #stopped(vp: ScheduledVp, report: VpReport, now: number): void {
    this.#advance(now)
    const lp = this.#vacate(vp)
    if (lp.isRevoked) {
      vp.preemptions += 1
      lp.preemptions += 1
    } else {
      this.#policy.gaveUp(vp, lp, now)
    }
    lp.isRevoked = false
    this.#isDirty = true
    if (report === VpReport.HALTED) {
      vp.halts += 1
      vp.state = 'halted'
      this.#policy.leave(vp)
    } else {
      vp.hasYielded = report === VpReport.YIELDED
      if (vp.hasYielded) vp.yields += 1
      this.#becomeReady(vp, now)
      this.#policy.putBack(vp)
      // Others go first, but one that is behind its share does not wait for the end of a slice.
      if (vp.hasYielded && vp.state === 'ready') this.#woken.push(vp)
    }
  }

  #vacate(vp: ScheduledVp): LogicalProcessor {
    const lp = this.lps[vp.lp]!
    assert(lp.vp === vp, 'A running VP has its processor.')
    lp.vp = null
    lp.lastVp = vp
    return lp
  }

  #wake(vp: ScheduledVp, now: number): void {
    this.#isDirty = true
    this.#becomeReady(vp, now)
    this.#policy.enter(vp)
    if (vp.state === 'ready') this.#woken.push(vp)
  }

  /** Ready, or throttled when its cap is used up. */
  #becomeReady(vp: ScheduledVp, now: number): void {
    vp.readySince = now
    if (!this.#isSpent(vp)) {
      vp.state = 'ready'
      return
    }
    vp.state = 'throttled'
    vp.throttles += 1
    this.#throttled += 1
  }

  #release(vp: ScheduledVp, now: number): void {
    this.#throttled -= 1
    vp.state = 'ready'
    vp.readySince = now
    this.#policy.release(vp)
    // A VP that is due nearly all of a processor can't make up for waiting until somebody's slice is over.
    this.#woken.push(vp)
  }

  #isSpent(vp: ScheduledVp): boolean {
    return vp.share.isCapped && vp.budget <= 0
  }

  #beginPeriod(now: number): void {
    const { period } = this.shape
    const periods = Math.floor((now - this.#periodEnd) / period) + 1
    this.#periodEnd += periods * period
    this.#policy.newPeriod()
    if (this.#capped === 0) return
    for (const share of this.#shares.values()) {
      if (!share.isCapped) continue
      const budget = share.cap * period
      for (const vp of share.vps) {
        // What was overrun is paid back; what was left over is gone.
        vp.budget = Math.min(budget, vp.budget < 0 ? vp.budget + budget * periods : budget)
        if (vp.state === 'throttled' && vp.budget > 0) this.#release(vp, now)
      }
    }
  }

  /** Everyone who runs has had the time since the last time. */
  #advance(now: number): void {
    const ran = now - this.#chargedAt
    if (ran <= 0) return
    this.#chargedAt = now
    for (let i = 0; i < this.lps.length; i += 1) {
      const lp = this.lps[i]!
      if (lp.vp === null) continue
      lp.guestRunTime += ran
      lp.vp.runTime += ran
      this.#policy.charge(lp.vp, ran)
    }
  }

  #endSlices(now: number): number {
    let done = 0
    for (let i = 0; i < this.lps.length; i += 1) {
      const lp = this.lps[i]!
      if (lp.vp === null) continue
      if (lp.isRevoked) {
        if (now >= lp.reportAt) this.#reportOverdue(lp, lp.vp, now)
        continue
      }
      if (now < lp.sliceEnd) continue
      if (!this.#policy.mustLeave(lp.vp, lp, now)) {
        lp.sliceEnd = this.#policy.sliceEnd(lp.vp, lp, now)
        continue
      }
      lp.isRevoked = true
      lp.revokedAt = now
      lp.reportAt = now + OVERDUE_MS * UNITS_PER_MS
      lp.vp.grant.revoke()
      done += 1
    }
    return done
  }

  #fill(now: number): number {
    let done = 0
    for (let i = 0; i < this.lps.length && this.#policy.hasWaiting; i += 1) {
      const lp = this.lps[i]!
      if (lp.vp !== null) continue
      const vp = this.#policy.pick(lp, now)
      if (vp === null) continue
      this.#dispatch(vp, lp, now)
      done += 1
    }
    return done
  }

  #dispatch(vp: ScheduledVp, lp: LogicalProcessor, now: number): void {
    vp.state = 'running'
    vp.lp = lp.index
    vp.hasYielded = false
    vp.dispatches += 1
    vp.waitTime += now - vp.readySince
    lp.vp = vp
    lp.isRevoked = false
    lp.grantedAt = now
    lp.dispatches += 1
    if (lp.lastVp !== vp) lp.contextSwitches += 1
    lp.sliceEnd = this.#policy.sliceEnd(vp, lp, now)
    vp.grant.grant(lp.index, true)
  }

  #grantAtOnce(vp: ScheduledVp, index: number, now: number): void {
    const lp = this.lps[index]!
    vp.state = 'running'
    vp.lp = index
    vp.readySince = now
    vp.dispatches = 1
    lp.dispatches += 1
    lp.contextSwitches += 1
    vp.grant.grant(index, false)
  }

  #forget(vp: ScheduledVp): void {
    switch (vp.state) {
      case 'running':
        // Its thread is gone, or about to be: whoever deletes a partition has ended it.
        this.#vacate(vp).isRevoked = false
        vp.state = 'halted'
        this.#policy.leave(vp)
        break
      case 'throttled':
        this.#throttled -= 1
        this.#policy.drop(vp)
        break
      case 'ready':
        this.#policy.drop(vp)
        break
      case 'halted':
        break
    }
    vp.state = 'halted'
    for (const lp of this.lps) if (lp.lastVp === vp) lp.lastVp = null
  }

  #reportOverdue(lp: LogicalProcessor, vp: ScheduledVp, now: number): void {
    const overdue = now - lp.revokedAt
    lp.reportAt = now + overdue
    if (overdue < 2 * OVERDUE_MS * UNITS_PER_MS) {
      this.#overdue += 1
      vp.overdue += 1
    }
    this.#onOverdue({
      partitionId: vp.share.partitionId,
      vpIndex: vp.vpIndex,
      logicalProcessor: lp.index,
      overdueMs: overdue / UNITS_PER_MS,
    })
  }

  #findDeadline(now: number): number {
    if (!this.#policy.schedules) return Number.POSITIVE_INFINITY
    let deadline = this.#throttled > 0 ? this.#periodEnd : Number.POSITIVE_INFINITY
    const isContended = this.#policy.hasWaiting
    for (let i = 0; i < this.lps.length; i += 1) {
      const lp = this.lps[i]!
      if (lp.vp === null) continue
      let at = lp.sliceEnd
      if (lp.isRevoked) at = lp.reportAt
      else if (!isContended && !lp.vp.share.isCapped) continue
      if (at < deadline) deadline = at
    }
    return deadline > now ? deadline : now
  }
}

function keyOf(partitionId: number, vpIndex: number): number {
  return partitionId * VPS_PER_PARTITION + vpIndex
}
