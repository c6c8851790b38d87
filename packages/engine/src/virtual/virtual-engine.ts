// HOT
// The discrete-event engine: every thread of a machine in one thread, under one clock that it moves by itself.
//
//   who may run now?  awake and free; spinning, and something was done since it looked; a deadline or an event that is due
//     several ─▶ the seed chooses one ─▶ it takes up an event, polls ─▶ it is busy for what that cost
//     nobody  ─▶ the clock jumps to where somebody is free, a deadline comes or an event is due
//     never   ─▶ quiet: nothing can run again, chores left out
//
// Between two turns all promises run, before anybody else does: the engine gives its thread's event loop a turn whenever promises
// may have been settled. What was asked of the real world (a file, a module) holds the clock until it is answered.

import { TraceKind, type Trace } from '@guestyard/trace'

import type { CostModel } from './cost-model.ts'
import { EventQueue, type VirtualEvent } from './event-queue.ts'
import { SeededRandom } from './seeded-random.ts'
import { VirtualActor, type ActorHome, type VirtualActorOptions } from './virtual-actor.ts'
import { nsAt, type VirtualClock } from './virtual-clock.ts'

/** What the engine needs of the thread it is on. */
export interface VirtualPlatform {
  /** True when promises may have been settled since it was asked last. */
  takePending(): boolean
  /** Calls back when all promises have run. */
  turn(callback: () => void): void
  /** True while something that was asked of the real world is not answered. */
  isWaiting(): boolean
}

/** Why a run ended. `quiet`: nothing can ever run again. `time-limit`, `turn-limit`: bounds. */
export type VirtualEnd = 'stopped' | 'quiet' | 'time-limit' | 'turn-limit'

export interface VirtualEngineOptions {
  readonly clock: VirtualClock
  readonly platform: VirtualPlatform
  /** 0 to SEED_MAX. */
  readonly seed: number
  readonly costs: CostModel
  readonly trace?: Trace | null
  /** Virtual time at which a run ends. Default an hour. */
  readonly timeLimitMs?: number
  /** Turns after which a run ends. */
  readonly turnLimit?: number
  /** Told before each turn: its number, and whose it is. For a watchdog on another thread. */
  readonly onTurn?: (turn: number, actor: number) => void
}

const TIME_LIMIT_MS_DEFAULT = 3_600_000
const TURN_LIMIT_DEFAULT = 2 ** 40
/** A poll's budget is a power of two up to 2^8, by the seed: small ones find other interleavings than large ones. */
const BUDGET_POWERS = 9
/** Turns before the thread's event loop gets one, though no promise asks for it. */
const TURNS_PER_LOOP = 4096
/** Turns of the event loop that must pass before quiet is believed. */
const QUIET_LOOPS = 3
/** When everybody has slept but for chores since so long ago, nothing else will come of them. */
const CHORES_NS = 20e9

export class VirtualEngine implements ActorHome {
  readonly clock: VirtualClock
  readonly costs: CostModel
  readonly random: SeededRandom
  /** Turns taken so far. */
  turns = 0
  /** Virtual time that actors were busy, of all there were. */
  busyNs = 0
  readonly #platform: VirtualPlatform
  readonly #trace: Trace | null
  #timeLimitNs: number
  #turnLimit: number
  readonly #onTurn: ((turn: number, actor: number) => void) | null
  readonly #events: EventQueue<VirtualActor> = new EventQueue()
  /** All that are not gone, in the order of their making. */
  readonly #actors: VirtualActor[] = []
  /** Those that are not asleep. */
  readonly #awake: VirtualActor[] = []
  readonly #runnable: VirtualActor[] = []
  #actorCount = 0
  #eventCount = 0
  /** Polls that did something, by anybody. */
  #work = 0
  #quietLoops = 0
  /** When something last happened that was surely no chore: an event, a deadline of another kind, a computation. */
  #busyAtNs = 0
  #finish: ((end: VirtualEnd) => void) | null = null
  #fail: ((error: unknown) => void) | null = null

  constructor(options: VirtualEngineOptions) {
    this.clock = options.clock
    this.costs = options.costs
    this.random = new SeededRandom(options.seed)
    this.#platform = options.platform
    this.#trace = options.trace ?? null
    this.#timeLimitNs = nsAt(options.timeLimitMs ?? TIME_LIMIT_MS_DEFAULT)
    this.#turnLimit = options.turnLimit ?? TURN_LIMIT_DEFAULT
    this.#onTurn = options.onTurn ?? null
  }

  /** Takes a thread of the machine in, awake. */
  addActor(options: VirtualActorOptions): VirtualActor {
    this.#actorCount++
    const actor = new VirtualActor(this.#actorCount, this, options)
    actor.freeAtNs = this.clock.nowNs
    this.#actors.push(actor)
    this.#awake.push(actor)
    this.#trace?.nameActor(actor.id, actor.name)
    return actor
  }

  /** Who there is, for reports. */
  get actors(): readonly VirtualActor[] {
    return this.#actors
  }

  /** Runs until `stop`, quiet or a bound. Rejects with what a machine throws: that is a bug of ours. */
  run(): Promise<VirtualEnd> {
    const { promise, resolve, reject } = Promise.withResolvers<VirtualEnd>()
    this.#finish = resolve
    this.#fail = reject
    this.#quietLoops = 0
    this.#platform.turn(this.#pump)
    return promise
  }

  /** Ends `run` before the next turn. */
  stop(): void {
    this.#end('stopped')
  }

  /** A latency, by the seed: from half to one and a half of what it is on average. */
  latency(ns: number): number {
    return (ns >>> 1) + this.random.below(ns + 1)
  }

  /** Moves the bounds to `ms` from now, and gives as many turns as there were allowed. */
  extend(ms: number): void {
    this.#timeLimitNs = this.clock.nowNs + nsAt(ms)
    this.#turnLimit += this.turns
  }

  /** An actor's doorbell rang. */
  rang(actor: VirtualActor): void {
    if (actor.state === 'gone') return
    actor.rung = true
    this.#work++
    const trace = this.#trace
    if (actor.state === 'asleep') {
      if (trace !== null) actor.cause = this.#recordWake(trace, actor)
      this.#wake(actor, this.latency(this.costs.wake))
    } else if (trace !== null) {
      actor.cause = trace.cause
    }
    actor.spinUntilNs = -1
    if (actor.state === 'spinning') actor.state = 'awake'
  }

  /** The wake is the sleeper's record, though the one who rings makes it. */
  #recordWake(trace: Trace, actor: VirtualActor): number {
    const ringer = trace.actor
    trace.actor = actor.id
    const id = trace.record(TraceKind.WAKE, 0)
    trace.actor = ringer
    return id
  }

  post(actor: VirtualActor, delayNs: number, run: () => void): VirtualEvent<VirtualActor> {
    this.#eventCount++
    const { nowNs } = this.clock
    const cause = this.#trace === null ? 0 : this.#trace.cause
    const event: VirtualEvent<VirtualActor> = {
      dueNs: nowNs + delayNs,
      order: this.#eventCount,
      actor,
      run,
      cause,
      askedNs: nowNs,
      cancelled: false,
    }
    if (actor.state !== 'gone') this.#events.push(event)
    return event
  }

  remove(actor: VirtualActor): void {
    if (actor.state === 'gone') return
    actor.state = 'gone'
    actor.inbox.length = 0
    this.#actors.splice(this.#actors.indexOf(actor), 1)
    this.#leaveAwake(actor)
  }

  /** Turns until promises want theirs. Never called while promises are pending. */
  readonly #pump = (): void => {
    try {
      this.#platform.takePending()
      if (!this.#platform.isWaiting()) this.#takeTurns()
      if (this.#finish !== null) this.#platform.turn(this.#pump)
    } catch (error) {
      this.#finish = null
      this.#fail?.(error)
    }
  }

  #takeTurns(): void {
    for (let left = TURNS_PER_LOOP; left > 0 && this.#finish !== null; left--) {
      if (!this.#turn()) {
        this.#quietLoops++
        if (this.#quietLoops >= QUIET_LOOPS) this.#end('quiet')
        return
      }
      this.#quietLoops = 0
      if (this.turns >= this.#turnLimit) this.#end('turn-limit')
      if (this.#platform.takePending()) return
    }
  }

  #end(end: VirtualEnd): void {
    const finish = this.#finish
    this.#finish = null
    finish?.(end)
  }

  /** One actor's turn, the clock moved if it must be. False when nothing can run, now or ever. */
  #turn(): boolean {
    for (;;) {
      this.#deliverEvents()
      const actor = this.#choose()
      if (actor !== undefined) {
        this.turns++
        this.#onTurn?.(this.turns, actor.id)
        this.#run(actor)
        return true
      }
      const nextNs = this.#nextNs()
      if (this.#isQuiet(nextNs)) return false
      if (nextNs >= this.#timeLimitNs) {
        this.#end('time-limit')
        return true
      }
      this.clock.nowNs = nextNs
      this.#wakeDue(nextNs)
    }
  }

  /** Nothing is left, or nothing but chores for so long that nothing else will come of them. */
  #isQuiet(nextNs: number): boolean {
    if (nextNs === Infinity) return true
    if (this.#awake.length > 0 || this.#events.dueNs < Infinity || this.#hasOtherDeadline()) {
      return false
    }
    return nextNs - this.#busyAtNs >= CHORES_NS
  }

  /** Somebody who is asleep has a deadline before his next chore. */
  #hasOtherDeadline(): boolean {
    for (const { deadlineNs, choreNs } of this.#actors) {
      if (deadlineNs >= choreNs) continue
      this.#busyAtNs = this.clock.nowNs
      return true
    }
    return false
  }

  #deliverEvents(): void {
    const { nowNs } = this.clock
    for (;;) {
      const event = this.#events.takeDue(nowNs)
      if (event === undefined) return
      this.#busyAtNs = nowNs
      if (event.actor.state === 'gone') continue
      event.actor.inbox.push(event)
      if (event.actor.state === 'asleep') this.#wake(event.actor, 0)
      event.actor.state = 'awake'
    }
  }

  #choose(): VirtualActor | undefined {
    const { nowNs } = this.clock
    const runnable = this.#runnable
    runnable.length = 0
    for (const actor of this.#awake) {
      if (actor.freeAtNs > nowNs) continue
      const isSpinning = actor.state === 'spinning'
      if (isSpinning && actor.seenWork === this.#work && !this.#isOver(actor)) continue
      runnable.push(actor)
    }
    return runnable.length > 1 ? runnable[this.random.below(runnable.length)] : runnable[0]
  }

  /** A spinning actor has spun long enough, or its deadline has come. */
  #isOver(actor: VirtualActor): boolean {
    const { nowNs } = this.clock
    return nowNs >= actor.spinUntilNs || nowNs >= actor.deadlineNs
  }

  /** When somebody may run next, nobody being able to now. */
  #nextNs(): number {
    let nextNs = this.#events.dueNs
    for (const actor of this.#actors) {
      const atNs = comesBackAt(actor)
      if (atNs < nextNs) nextNs = atNs
    }
    return nextNs
  }

  #wakeDue(nowNs: number): void {
    for (const actor of this.#actors) {
      if (actor.state !== 'asleep' || actor.deadlineNs > nowNs) continue
      if (this.#trace !== null) {
        this.#trace.actor = actor.id
        this.#trace.cause = 0
        actor.cause = this.#trace.record(TraceKind.WAKE, 1)
      }
      this.#wake(actor, 0)
    }
  }

  #wake(actor: VirtualActor, latencyNs: number): void {
    actor.machine.disarm()
    actor.state = 'awake'
    actor.spinUntilNs = -1
    actor.freeAtNs = Math.max(actor.freeAtNs, this.clock.nowNs + latencyNs)
    this.#awake.push(actor)
  }

  #leaveAwake(actor: VirtualActor): void {
    const at = this.#awake.indexOf(actor)
    if (at >= 0) this.#awake.splice(at, 1)
  }

  #run(actor: VirtualActor): void {
    const trace = this.#trace
    if (trace !== null) {
      trace.actor = actor.id
      trace.cause = actor.cause
    }
    actor.rung = false
    actor.polls++
    const tookUp = this.#takeUpEvent(actor)
    const units = actor.machine.poll(1 << this.random.below(BUDGET_POWERS))
    const computedNs = this.#takeBurned(actor)
    const isBusy = tookUp || units > 0 || computedNs > 0
    if (isBusy) {
      this.#work++
      actor.spinUntilNs = -1
    }
    this.#charge(actor, this.#pollNs(actor, units, tookUp) + computedNs)
    // It may have ended itself.
    if (actor.state !== 'gone' && !isBusy && !actor.rung) this.#idle(actor)
  }

  #takeUpEvent(actor: VirtualActor): boolean {
    if (actor.inbox.length === 0) return false
    const trace = this.#trace
    if (!actor.mayRun()) {
      // Whoever is rung for a processor is rung because of what waits for it.
      if (trace !== null) trace.cause = actor.inbox[0]!.cause
      actor.wantsToRun()
      return false
    }
    const event = actor.inbox.shift()!
    if (event.cancelled) return false
    if (trace !== null) {
      const delayNs = this.clock.nowNs - event.askedNs
      trace.cause = event.cause
      trace.begin(TraceKind.TASK, delayNs)
      actor.cause = trace.cause
    }
    try {
      event.run()
    } catch (error) {
      if (actor.onError === undefined) throw error
      actor.onError(error)
    }
    return true
  }

  /** What the poll kept the actor busy with beside its units. */
  #takeBurned(actor: VirtualActor): number {
    const ns = actor.burnedNs
    if (ns === 0) return 0
    actor.burnedNs = 0
    this.#busyAtNs = this.clock.nowNs
    this.#trace?.record(TraceKind.COMPUTE, ns)
    return ns
  }

  #pollNs(actor: VirtualActor, units: number, tookUp: boolean): number {
    const { costs } = this
    const isVp = actor.kind === 'vp'
    let ns = isVp ? costs.vpPoll + units * costs.vpUnit : costs.rootPoll + units * costs.rootUnit
    if (tookUp) ns += costs.task
    const exits = actor.exits()
    ns += (exits - actor.exitsCharged) * costs.hypercall
    actor.exitsCharged = exits
    if (isVp) {
      const mayRun = actor.mayRun()
      if (mayRun && !actor.mightRun) ns += costs.dispatch
      actor.mightRun = mayRun
    }
    return ns
  }

  #charge(actor: VirtualActor, ns: number): void {
    actor.freeAtNs = this.clock.nowNs + ns
    actor.busyNs += ns
    this.busyNs += ns
  }

  /** A poll did nothing: the actor spins for as long as it does, then arms, looks once more, and sleeps. */
  #idle(actor: VirtualActor): void {
    if (actor.inbox.length > 0 && actor.mayRun()) return
    const { machine } = actor
    if (actor.spinUntilNs < 0) actor.spinUntilNs = actor.freeAtNs + actor.spinNs
    if (actor.freeAtNs < actor.spinUntilNs) {
      actor.state = 'spinning'
      actor.seenWork = this.#work
      actor.deadlineNs = nsAt(machine.nextDeadlineMs())
      return
    }
    actor.state = 'awake'
    if (machine.arm() || machine.poll(1) > 0 || actor.rung) {
      machine.disarm()
      this.#work++
      actor.spinUntilNs = -1
      return
    }
    actor.deadlineNs = nsAt(machine.nextDeadlineMs())
    actor.choreNs = nsAt(actor.choreMs())
    actor.state = 'asleep'
    actor.cause = 0
    this.#leaveAwake(actor)
  }
}

/** When an actor that may not run now may. */
function comesBackAt(actor: VirtualActor): number {
  switch (actor.state) {
    case 'awake':
      return actor.freeAtNs
    case 'spinning':
      return Math.max(actor.freeAtNs, Math.min(actor.spinUntilNs, actor.deadlineNs))
    case 'asleep':
      return actor.deadlineNs
    case 'gone':
      return Infinity
  }
}
