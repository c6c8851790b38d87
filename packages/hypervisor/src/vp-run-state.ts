// HOT
// Whether a VP may run guest code, as its own thread meets that: the scheduler's grant, suspensions, and what the root sees of its
// counters meanwhile.

import type { Caller } from './caller.ts'
import { VpDispatch, VpReport } from './dispatch-state.ts'
import type { HypercallGate } from './hypercall-gate.ts'
import type { InterceptSlot } from './intercepts/intercept-slot.ts'
import type { ReferenceClock } from './time/reference-clock.ts'
import { SUSPEND, VP_COUNTERS } from './vp-page.ts'
import type { Wake } from './wake.ts'

/** How old what the root sees of a VP's counters may be while the VP runs on: 5 ms. */
const COUNTERS_EVERY_100NS = 50_000

/** What decides whether a VP runs, and what is counted while it does. */
export interface VpRunStateParts {
  /** The VP page. */
  readonly page: Int32Array
  readonly wakeRoot: Wake
  readonly clock: ReferenceClock
  readonly intercept: InterceptSlot
  readonly gate: HypercallGate
  readonly caller: Caller
}

export class VpRunState {
  readonly #page: Int32Array
  readonly #grant: VpDispatch
  readonly #clock: ReferenceClock
  readonly #intercept: InterceptSlot
  readonly #gate: HypercallGate
  readonly #caller: Caller
  #spinsSeen = 0
  #published100ns = 0
  /** It halted because it was suspended: it has work when it no longer is. */
  #haltedSuspended = false

  constructor(parts: VpRunStateParts) {
    this.#page = parts.page
    this.#grant = new VpDispatch(parts.page, parts.wakeRoot)
    this.#clock = parts.clock
    this.#intercept = parts.intercept
    this.#gate = parts.gate
    this.#caller = parts.caller
  }

  /** See VirtualProcessor.isSuspended. */
  get isSuspended(): boolean {
    return Atomics.load(this.#page, SUSPEND) !== 0 || !this.#intercept.settle()
  }

  /** It halted in a suspension that has ended since. */
  get isReleased(): boolean {
    return this.#haltedSuspended && this.#grant.isHalted && !this.isSuspended
  }

  get isHalted(): boolean {
    return this.#grant.isHalted
  }

  /** 100 ns that the VP has had a processor. */
  get runtime100ns(): number {
    return this.#grant.runtimeAt(this.#clock.readMachine100ns())
  }

  /** See VirtualProcessor.grantedLp. */
  grantedLp(): number {
    const now = this.#clock.machine100ns
    const lp = this.#grant.exit()
    this.#grant.account(now)
    if (now - this.#published100ns >= COUNTERS_EVERY_100NS) {
      this.#published100ns = now
      this.publishCounters()
    }
    if (Atomics.load(this.#page, SUSPEND) === 0) return lp
    // A suspended VP holds no processor up.
    if (lp >= 0) this.halt()
    return -1
  }

  /** See VirtualProcessor.halt. */
  halt(): void {
    this.#haltedSuspended = this.isSuspended
    this.publishCounters()
    this.#grant.giveUp(VpReport.HALTED)
  }

  announceReady(): void {
    this.#grant.announceReady()
  }

  /** See VirtualProcessor.yieldAfterSpin. */
  yieldAfterSpin(): void {
    const spins = this.#caller.longSpinWaits
    if (spins === this.#spinsSeen) return
    this.#spinsSeen = spins
    this.#grant.giveUp(VpReport.YIELDED)
  }

  /** See VirtualProcessor.publishCounters. */
  publishCounters(): void {
    Atomics.store(this.#page, VP_COUNTERS, this.#gate.count)
    Atomics.store(this.#page, VP_COUNTERS + 1, this.#caller.interruptsTaken)
  }
}
