// HOT
// The engine of a real thread: the only thing that waits. It polls a machine; when nothing was done for a while it arms the
// machine, looks once more, and sleeps on its doorbells.
//
//   poll -> did something: poll again                 (an event loop gets a turn every so often)
//        -> nothing, for `spinMicroseconds` (at once, after a long sleep and little work): sample doorbells -> arm -> poll -> sleep -> disarm -> poll
//           (unless the machine's deadline is nearer than a timer can tell: then it goes on polling)
//
// No wake-up is lost, because whoever makes work does it in the order: work, then ring. The engine samples the doorbells first
// and looks for work after that: a ring it did not sample ends the sleep, and work whose ring it sampled is found by the look.

import { assert } from '@guestyard/hvdef'

import { ALARM_GRAIN_MS, timerAlarm } from './alarm.ts'
import type { Alarm } from './alarm.ts'
import type { DoorbellSet } from './doorbell-set.ts'
import { eventLoopTurn } from './event-loop.ts'
import type { YieldToEventLoop } from './event-loop.ts'
import type { EngineClock, Machine } from './machine.ts'

/**
 * How an engine waits.
 * `busy`: never sleeps. `adaptive`: spins, then sleeps. `block`: sleeps at once, in `runBlocking` only. `event-loop`: as
 * adaptive, in `run` only.
 */
export type WaitStrategy = 'busy' | 'adaptive' | 'block' | 'event-loop'

/** Why an engine came to an end: `stop()` of this thread, or the stop word of the set's doorbell. */
export type StopReason = 'stop-called' | 'doorbell-stopped'

export interface ThreadEngineOptions {
  readonly machine: Machine
  readonly doorbells: DoorbellSet
  readonly clock: EngineClock
  readonly strategy: WaitStrategy
  /** Microseconds of polling in vain before a sleep. 20 when left out; `block` has none. */
  readonly spinMicroseconds?: number
  /** Units for each poll. 256 when left out. */
  readonly budget?: number
  /** Turns that did something before the event loop gets one. 1024 when left out. */
  readonly turnsPerImmediate?: number
  /** Milliseconds of polling, with or without work, before the event loop gets a turn. 1 when left out. */
  readonly busyMsPerImmediate?: number
  /** Net under a blocking sleep, milliseconds, at most 1000. */
  readonly netMs?: number
  /** One turn of the event loop. Found by itself when left out. */
  readonly yieldToEventLoop?: YieldToEventLoop
  /** What wakes `run` at a deadline. The platform's timers when left out. */
  readonly alarm?: Alarm
}

/** What an engine counts. */
export interface EngineStats {
  /** Polls of the machine, and those that did something. */
  polls: number
  turns: number
  sleeps: number
  /** Sleeps that ended, and those after which there was nothing to do. */
  wakes: number
  spurious: number
  /** Turns given to the event loop. */
  yields: number
  /** Blocking sleeps that the net ended, and those where it found work that no doorbell had announced. */
  netFirings: number
  netRescues: number
  /** Sleeps that the machine's deadline ended. */
  deadlines: number
}

type Next = 'sleep' | 'yield' | 'stop'

const SPIN_MICROSECONDS_DEFAULT = 20
const BUDGET_DEFAULT = 256
const TURNS_PER_IMMEDIATE_DEFAULT = 1024
const BUSY_MS_PER_IMMEDIATE_DEFAULT = 1
const NET_MS_MAX = 1000
/** An alarm further off is set again when it fires: timers count in 31 bits. */
const ALARM_MS_MAX = 3_600_000
/**
 * What woke the thread after so long a sleep, and took no more turns than that, is a heartbeat or the like: nothing follows that is worth
 * spinning for, and spinning would cost more than it did. Traffic takes more turns, or wakes the thread again soon.
 */
const LONE_SLEEP_MS = 50
const LONE_TURNS_MAX = 4
/** What a blocking sleep can be late by; a deadline nearer than that is polled for. */
const BLOCKING_GRAIN_MS = 0.05
/**
 * The clock is read after so many polls, or units of work, whichever is first: reading it costs as much as a poll in vain, or as
 * four small packets. Polls that turn out to be dear, whatever they count, bring the first number down to 1.
 */
const POLLS_PER_CLOCK_MAX = 16
const UNITS_PER_CLOCK = 1024
/** Time between two readings that is too long, as a share of the time after which the event loop gets its turn. */
const LONG_STRETCH_SHARE = 1 / 8

export class ThreadEngine {
  readonly stats: EngineStats = {
    polls: 0,
    turns: 0,
    sleeps: 0,
    wakes: 0,
    spurious: 0,
    yields: 0,
    netFirings: 0,
    netRescues: 0,
    deadlines: 0,
  }
  readonly #machine: Machine
  readonly #doorbells: DoorbellSet
  readonly #clock: EngineClock
  readonly #strategy: WaitStrategy
  readonly #spinMs: number
  readonly #budget: number
  readonly #turnsPerImmediate: number
  readonly #busyMsPerImmediate: number
  readonly #longStretchMs: number
  readonly #netMs: number
  readonly #yield: YieldToEventLoop
  readonly #alarm: Alarm
  /** Milliseconds that the coming sleep may last. */
  #sleepMs = Infinity
  #running = false
  #stopCalled = false
  /** Polls found nothing, and arming did: what it found may be in the hands of whoever waits for a turn of the event loop. */
  #foundLate = false
  /** A wake() that no poll has followed yet. */
  #nudged = false
  /** Ends the sleep of `run`. */
  #resume: (() => void) | null = null
  #turnsSinceYield = 0
  #lastYieldMs = 0
  /** What may be done before the clock is read again. */
  #pollsPerClock = 1
  #pollsToClock = 1
  #unitsToClock = UNITS_PER_CLOCK
  /** The next poll that does nothing makes the latest wake a spurious one. */
  #justWoke = false
  /** The sleep before was a long one, and the event loop has not been given a turn since. */
  #sleptLong = false

  constructor(options: ThreadEngineOptions) {
    this.#machine = options.machine
    this.#doorbells = options.doorbells
    this.#clock = options.clock
    this.#strategy = options.strategy
    this.#spinMs = spinMsOf(options)
    this.#budget = options.budget ?? BUDGET_DEFAULT
    this.#turnsPerImmediate = options.turnsPerImmediate ?? TURNS_PER_IMMEDIATE_DEFAULT
    this.#busyMsPerImmediate = options.busyMsPerImmediate ?? BUSY_MS_PER_IMMEDIATE_DEFAULT
    this.#longStretchMs = this.#busyMsPerImmediate * LONG_STRETCH_SHARE
    this.#netMs = options.netMs ?? NET_MS_MAX
    this.#yield = options.yieldToEventLoop ?? eventLoopTurn()
    this.#alarm = options.alarm ?? timerAlarm
    assert(
      this.#netMs > 0 && this.#netMs <= NET_MS_MAX,
      'The net is there, and fires within a second.',
    )
  }

  /**
   * Drives the machine until stopped, on a thread that also runs an event loop. Rejects with what the machine throws. While it
   * sleeps nothing of it keeps the event loop alive: the thread must hold something that does, such as its parent's port.
   */
  async run(): Promise<StopReason> {
    assert(this.#strategy !== 'block', 'Blocking sleeps are for runBlocking.')
    this.#begin()
    try {
      for (;;) {
        const next = this.#pollUntil()
        if (next === 'stop') return this.#stopReason()
        if (next === 'sleep' && this.#maySleep(ALARM_GRAIN_MS)) await this.#sleep()
        if (this.#foundLate || this.#isYieldDue()) await this.#giveTurn()
      }
    } finally {
      this.#running = false
    }
  }

  /** Drives the machine until stopped, on a thread that does nothing else. Throws what the machine throws. */
  runBlocking(): StopReason {
    assert(this.#strategy !== 'event-loop', 'An event loop is served by run.')
    this.#begin()
    try {
      for (;;) {
        const next = this.#pollUntil()
        if (next === 'stop') return this.#stopReason()
        if (next === 'sleep' && this.#maySleep(BLOCKING_GRAIN_MS)) this.#sleepBlocking()
        if (next === 'yield') this.#lastYieldMs = this.#clock.nowMs
        this.#turnsSinceYield = 0
      }
    } finally {
      this.#running = false
    }
  }

  /** Ends `run` before its next poll. Same thread; from another, stop the doorbell of the set. */
  stop(): void {
    this.#stopCalled = true
    this.#resume?.()
  }

  /** There is work that no doorbell announced: made by this very thread, in a handler of its event loop. */
  wake(): void {
    this.#nudged = true
    this.#resume?.()
  }

  #begin(): void {
    assert(!this.#running, 'An engine runs once at a time.')
    this.#running = true
    this.#lastYieldMs = this.#clock.update()
  }

  #stopReason(): StopReason {
    return this.#stopCalled ? 'stop-called' : 'doorbell-stopped'
  }

  get #mustStop(): boolean {
    return this.#stopCalled || this.#doorbells.stopped
  }

  /** Polls until there is a reason not to: nothing to do for the spin time, the event loop's turn, or the stop word. */
  #pollUntil(): Next {
    const machine = this.#machine
    let idleSinceMs = -1
    for (;;) {
      if (this.#mustStop) return 'stop'
      const done = machine.poll(this.#budget)
      this.stats.polls++
      if (done > 0) {
        this.stats.turns++
        this.#justWoke = false
        idleSinceMs = -1
        if (++this.#turnsSinceYield >= this.#turnsPerImmediate) return 'yield'
      } else if (this.#justWoke) {
        this.stats.spurious++
        this.#justWoke = false
      }
      if (done === 0 && (this.#spinMs === 0 || this.#isLone)) return 'sleep'
      this.#unitsToClock -= done
      if (--this.#pollsToClock > 0 && this.#unitsToClock > 0) continue
      const nowMs = this.#readClock()
      if (nowMs - this.#lastYieldMs >= this.#busyMsPerImmediate) return 'yield'
      if (done > 0) continue
      if (idleSinceMs < 0) idleSinceMs = nowMs
      else if (nowMs - idleSinceMs >= this.#spinMs) return 'sleep'
    }
  }

  /** What there was to do is done, and was too little to wait for more. */
  get #isLone(): boolean {
    return this.#sleptLong && this.#turnsSinceYield <= LONE_TURNS_MAX
  }

  /** The time after some polls, and how many polls the next reading is away. */
  #readClock(): number {
    const beforeMs = this.#clock.nowMs
    const nowMs = this.#clock.update()
    const isLong = nowMs - beforeMs > this.#longStretchMs
    const polls = isLong ? 1 : this.#pollsPerClock * 2
    this.#pollsPerClock = polls < POLLS_PER_CLOCK_MAX ? polls : POLLS_PER_CLOCK_MAX
    this.#pollsToClock = this.#pollsPerClock
    this.#unitsToClock = UNITS_PER_CLOCK
    return nowMs
  }

  /** The last look. True when the thread may sleep on what was sampled, for `#sleepMs`. */
  #maySleep(grainMs: number): boolean {
    // Before peers are asked for signals that a deadline this near would make no use of.
    if (this.#msToDeadline() < grainMs) return false
    // ORDER: sample, then arm, then poll. Work made before the sample is found by the poll; work made after it is followed by a
    // ring that the sleep does not sleep through. Were the sample last, a ring between poll and sample would be lost.
    this.#doorbells.sample()
    this.#foundLate = this.#machine.arm()
    const found = this.#foundLate || this.#pollOnce()
    const nudged = this.#nudged
    this.#nudged = false
    if (!found && !nudged && !this.#mustStop) {
      // Asked again: the last poll, or arming, may have brought it nearer.
      this.#sleepMs = this.#msToDeadline()
      if (this.#sleepMs >= grainMs) return true
    }
    this.#machine.disarm()
    this.#clock.update()
    return false
  }

  #msToDeadline(): number {
    const deadlineMs = this.#machine.nextDeadlineMs()
    return deadlineMs === Infinity ? Infinity : deadlineMs - this.#clock.update()
  }

  async #sleep(): Promise<void> {
    if (this.#doorbells.beginWaits(() => this.#resume?.())) {
      this.stats.sleeps++
      const fromMs = this.#clock.nowMs
      const isDeadline = await this.#resumed()
      this.#resume = null
      this.stats.wakes++
      // A deadline is no wake-up in vain, though the clock may be a little short of it yet.
      if (isDeadline) this.stats.deadlines++
      else this.#justWoke = true
      // Only a sleep that was one gave the event loop its turn: a peer that rings all the time lets none begin.
      this.#lastYieldMs = this.#clock.update()
      this.#turnsSinceYield = 0
      this.#sleptLong = this.#lastYieldMs - fromMs >= LONE_SLEEP_MS
    }
    this.#nudged = false
    this.#machine.disarm()
    this.#clock.update()
  }

  /** Waits for `#resume`, or the deadline: true when that came first. */
  #resumed(): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#sleepMs === Infinity) {
        this.#resume = () => resolve(false)
        return
      }
      const cancel = this.#alarm(alarmMs(this.#sleepMs), () => resolve(true))
      this.#resume = () => {
        cancel()
        resolve(false)
      }
    })
  }

  #sleepBlocking(): void {
    const isDeadline = this.#sleepMs < this.#netMs
    this.stats.sleeps++
    const fromMs = this.#clock.nowMs
    this.#doorbells.waitBlocking(isDeadline ? this.#sleepMs : this.#netMs)
    this.stats.wakes++
    const rang = this.#doorbells.rang
    this.#machine.disarm()
    this.#lastYieldMs = this.#clock.update()
    this.#sleptLong = this.#lastYieldMs - fromMs >= LONE_SLEEP_MS
    if (rang) {
      this.#justWoke = true
      return
    }
    if (isDeadline) {
      this.stats.deadlines++
      return
    }
    this.stats.netFirings++
    // ORDER: `rang` was read before this look, so what the look finds may have been announced only after it: looked at again below.
    if (this.#pollOnce() && !this.#doorbells.rang) this.stats.netRescues++
  }

  /** A poll outside the loop of `#pollUntil`. True when it did something. */
  #pollOnce(): boolean {
    this.stats.polls++
    if (this.#machine.poll(this.#budget) === 0) return false
    this.stats.turns++
    this.#justWoke = false
    return true
  }

  #isYieldDue(): boolean {
    return (
      this.#turnsSinceYield >= this.#turnsPerImmediate ||
      this.#clock.nowMs - this.#lastYieldMs >= this.#busyMsPerImmediate
    )
  }

  async #giveTurn(): Promise<void> {
    this.#foundLate = false
    this.stats.yields++
    await this.#yield()
    this.#turnsSinceYield = 0
    this.#sleptLong = false
    this.#lastYieldMs = this.#clock.update()
  }
}

/** Whole grains: what is left of the last one is polled for. */
function alarmMs(sleepMs: number): number {
  return Math.min(Math.floor(sleepMs / ALARM_GRAIN_MS) * ALARM_GRAIN_MS, ALARM_MS_MAX)
}

function spinMsOf(options: ThreadEngineOptions): number {
  switch (options.strategy) {
    case 'busy':
      return Infinity
    case 'block':
      return 0
    case 'adaptive':
    case 'event-loop':
      return (options.spinMicroseconds ?? SPIN_MICROSECONDS_DEFAULT) / 1000
  }
}
