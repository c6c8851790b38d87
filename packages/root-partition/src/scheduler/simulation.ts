// HOT
// The scheduler on a machine of its own making: VPs that are patterns of running and sleeping, logical processors that do nothing but
// pass time, a clock that jumps from event to event. The scheduler is the real one; only what answers its grants is simulated.

import { VpReport } from '@guestyard/hypervisor'

import type { CpuProperties } from './cpu-properties.ts'
import type { DispatchGrant } from './dispatch-grant.ts'
import type { SchedulerOptions } from './scheduler-options.ts'
import { Scheduler } from './scheduler.ts'
import { Sleepers } from './sleepers.ts'
import type { SchedulerInspection } from './inspection.ts'

/** What a VP does next; times in 100 ns units. */
export interface Step {
  /** Runs for so long of its own dispatched time; Infinity: for ever. */
  run: number
  /** Then halts for so long. 0: it does not halt but gives its slice up (a long-spin-wait hint). */
  sleep: number
}

/** Fills in the next step. Called once at the start, and whenever a step is done. `now` and what it has had so far may be used to cheat. */
export type Behaviour = (step: Step, now: number, had: number) => void

export interface SimulatedVpOptions {
  readonly partitionId: number
  readonly vpIndex: number
  readonly properties: CpuProperties
  /** Default: runs for ever. */
  readonly behaviour?: Behaviour
  /** It looks at its grant this often while it runs, 100 ns units; 0 (default): at once. */
  readonly exitEvery?: number
}

/** A VP of the simulation. */
export class SimulatedVp implements DispatchGrant {
  readonly options: SimulatedVpOptions
  readonly step: Step = { run: Number.POSITIVE_INFINITY, sleep: 0 }
  report: VpReport = VpReport.NONE
  /** The processor it was granted; -1: none. Stays until it has acknowledged. */
  lp = -1
  isToldToStop = false
  /** When it was granted, when it will have stopped by itself or because it was told to, when it wakes. */
  since = 0
  stopsAt: number = Number.POSITIVE_INFINITY
  wakesAt: number = Number.POSITIVE_INFINITY
  /** Left of its present step. */
  left: number = Number.POSITIVE_INFINITY
  /** Dispatched time. */
  had = 0
  grants = 0
  readonly #simulation: { readonly now: number }

  constructor(options: SimulatedVpOptions, simulation: { readonly now: number }) {
    this.options = options
    this.#simulation = simulation
  }

  grant(lp: number, _reports: boolean): void {
    if (this.lp >= 0) throw new Error('a VP on two processors')
    const { now } = this.#simulation
    this.lp = lp
    this.isToldToStop = false
    this.report = VpReport.RUNNING
    this.since = now
    this.stopsAt = now + this.left
    this.grants += 1
  }

  revoke(): void {
    if (this.lp < 0) return
    this.isToldToStop = true
    const { exitEvery = 0 } = this.options
    const { now } = this.#simulation
    const exit =
      exitEvery === 0 ? now : this.since + Math.ceil((now - this.since) / exitEvery) * exitEvery
    if (exit < this.stopsAt) this.stopsAt = exit
  }

  /** Its next step begins. */
  advance(now: number): void {
    this.step.run = Number.POSITIVE_INFINITY
    this.step.sleep = 0
    this.options.behaviour?.(this.step, now, this.had)
    this.left = this.step.run
  }
}

/** One run of the scheduler over simulated VPs. */
export class Simulation {
  readonly scheduler: Scheduler
  readonly vps: readonly SimulatedVp[]
  /** By processor. */
  readonly running: (SimulatedVp | null)[]
  now = 0
  events = 0
  readonly #sleepers: Sleepers<SimulatedVp> = new Sleepers()

  constructor(options: SchedulerOptions, vps: readonly SimulatedVpOptions[]) {
    this.scheduler = new Scheduler(options)
    this.running = Array.from({ length: options.logicalProcessors }, () => null)
    this.vps = vps.map((vp) => new SimulatedVp(vp, this))
    for (const vp of this.vps) {
      vp.advance(0)
      const { partitionId, vpIndex, properties } = vp.options
      this.scheduler.add(partitionId, vpIndex, properties, vp, 0)
    }
  }

  /** Dispatches so far. */
  get dispatches(): number {
    return this.scheduler.lps.reduce((sum, lp) => sum + lp.dispatches, 0)
  }

  /** Lets time pass up to `end`. `look` is called after every moment at which something happened. */
  runUntil(end: number, look?: () => void): void {
    for (;;) {
      this.#settle()
      look?.()
      const next = this.#nextEvent()
      if (next > end) break
      this.now = next
      this.#happen()
    }
    this.now = end
  }

  inspect(): SchedulerInspection {
    return this.scheduler.inspect(this.now)
  }

  /** What follows at one moment: polls, and what VPs say at once. */
  #settle(): void {
    const { scheduler, now } = this
    do {
      scheduler.poll(now)
      for (let i = 0; i < scheduler.lps.length; i += 1) {
        const vp = scheduler.lps[i]!.vp
        const simulated = vp === null ? null : (vp.grant as SimulatedVp)
        this.running[i] = simulated
        if (simulated !== null && simulated.stopsAt <= now) this.#stop(simulated)
      }
    } while (scheduler.hasWork)
  }

  #nextEvent(): number {
    let next = Math.ceil(this.scheduler.nextDeadline100ns)
    for (let i = 0; i < this.running.length; i += 1) {
      const vp = this.running[i]
      if (vp !== null && vp !== undefined && vp.stopsAt < next) next = vp.stopsAt
    }
    const wake = this.#sleepers.nextWake
    return wake < next ? wake : next
  }

  #happen(): void {
    this.events += 1
    const { now } = this
    while (this.#sleepers.nextWake <= now) {
      const vp = this.#sleepers.take()
      vp.wakesAt = Number.POSITIVE_INFINITY
      vp.advance(now)
      this.#say(vp, VpReport.READY)
    }
  }

  /** The VP leaves its processor: told to, done with its step, or both. */
  #stop(vp: SimulatedVp): void {
    const ran = this.now - vp.since
    vp.had += ran
    vp.left -= ran
    vp.lp = -1
    vp.stopsAt = Number.POSITIVE_INFINITY
    if (vp.left > 0) return this.#say(vp, VpReport.READY)
    if (vp.step.sleep === 0) {
      vp.advance(this.now)
      return this.#say(vp, VpReport.YIELDED)
    }
    vp.wakesAt = this.now + vp.step.sleep
    this.#sleepers.add(vp)
    this.#say(vp, VpReport.HALTED)
  }

  #say(vp: SimulatedVp, report: VpReport): void {
    vp.report = report
    this.scheduler.stateChanged(vp.options.partitionId, vp.options.vpIndex, this.now)
  }
}
