// HOT (poll)
// The four synthetic timers of a VP (TLFS, "Synthetic Timers"). They are looked at on every way into the guest and never fire
// early; `nextDeadline100ns` says when the next look is due. Private to the VP's thread.
//
//   stopped --enable, count > 0--> armed --due--> one-shot: stopped | periodic: armed for the next
//                                        --due, message mode, slot in use--> owed: retried on EOM, EOI and unmasking
//
// A periodic timer that comes late fires once for each period missed, up to CATCH_UP_MAX of them; a lazy one fires once.
// In message mode a timer waits for its message before it counts on, so that each expiry is one message.

import {
  HvMessageType,
  STIMER_AUTO_ENABLE,
  STIMER_COUNT,
  STIMER_DIRECT,
  STIMER_ENABLE,
  STIMER_LAZY,
  STIMER_PERIODIC,
  STIMER_RESERVED,
  STIMER_SINT_SHIFT,
  STIMER_VECTOR_SHIFT,
  TimerMessagePayload,
} from '@guestyard/hvdef'
import { TraceKind, type Trace } from '@guestyard/trace'

import type { LocalApic } from '../apic.ts'
import type { MsrValue } from '../msr-value.ts'
import type { Synic } from '../synic/synic.ts'
import { MESSAGE_WORDS } from '../vp-page.ts'
import type { ReferenceClock } from './reference-clock.ts'

const NEVER: number = Number.POSITIVE_INFINITY
/** Periods that a late timer makes up for. */
const CATCH_UP_MAX = 16
/** Lowest vector of a direct-mode timer. */
const VECTOR_MIN = 16
/** Words of the message: payload from word 4 on. */
const [INDEX, EXPIRATION, DELIVERY] = [4, 6, 8]

/** Reference times, 100 ns; Infinity: never. */
export interface SavedTimer {
  /** The next expiry. */
  readonly due: number
  /** The expiry whose message waits for its slot. */
  readonly owed: number
}

interface Timer {
  config: number
  countLow: number
  countHigh: number
  /** Reference time of the next expiry, 100 ns, or NEVER. */
  due: number
  /** The expiry whose message waits for its slot, or NEVER. */
  owed: number
}

export class SyntheticTimers {
  /** Expiries so far, and periods that were skipped. */
  expirations = 0
  skipped = 0
  trace: Trace | null = null
  readonly #clock: ReferenceClock
  readonly #apic: LocalApic
  readonly #synic: Synic
  readonly #timers: Timer[] = Array.from({ length: STIMER_COUNT }, stoppedTimer)
  readonly #message: Int32Array = new Int32Array(MESSAGE_WORDS)
  /** The earliest `due`. */
  #next = NEVER
  /** Timers whose message waits. */
  #owing = 0

  constructor(clock: ReferenceClock, apic: LocalApic, synic: Synic) {
    this.#clock = clock
    this.#apic = apic
    this.#synic = synic
    this.#message[0] = HvMessageType.TIMER_EXPIRED
    this.#message[1] = TimerMessagePayload.size
  }

  /** On the machine's clock, when `poll` has something to do; Infinity: never, unless the guest does something. */
  get nextDeadline100ns(): number {
    return this.#next === NEVER ? NEVER : this.#clock.machineTime100ns(this.#next)
  }

  /** True when `poll` would do something. */
  get isDue(): boolean {
    return this.#next !== NEVER && this.#clock.now100ns >= this.#next
  }

  readConfig(timer: number, out: MsrValue): void {
    out.low = this.#timers[timer]!.config
    out.high = 0
  }

  readCount(timer: number, out: MsrValue): void {
    out.low = this.#timers[timer]!.countLow
    out.high = this.#timers[timer]!.countHigh
  }

  /** False (#GP) for reserved bits, and for a direct mode timer with a vector below 16 that is enabled. */
  writeConfig(index: number, low: number, high: number): boolean {
    if (high !== 0 || (low & STIMER_RESERVED) !== 0) return false
    const direct = (low & STIMER_DIRECT) !== 0
    const vector = (low >>> STIMER_VECTOR_SHIFT) & 0xff
    if (direct && (low & STIMER_ENABLE) !== 0 && vector < VECTOR_MIN) return false
    const timer = this.#timers[index]!
    this.#stop(timer)
    timer.config = low >>> 0
    // A message timer without a SINT has nowhere to send to: it is off at once.
    if (!direct && sintOf(timer) === 0) timer.config = (timer.config & ~STIMER_ENABLE) >>> 0
    this.#start(timer)
    return true
  }

  /** A count of 0 stops the timer; any other starts it if it is to be enabled by that. */
  writeCount(index: number, low: number, high: number): boolean {
    const timer = this.#timers[index]!
    this.#stop(timer)
    timer.countLow = low >>> 0
    timer.countHigh = high >>> 0
    if (low === 0 && high === 0) timer.config = (timer.config & ~STIMER_ENABLE) >>> 0
    else if ((timer.config & STIMER_AUTO_ENABLE) !== 0) this.#autoEnable(timer)
    this.#start(timer)
    return true
  }

  /** Fires what is due. Expiries; a compare when there are none. */
  poll(): number {
    if (this.#next === NEVER) return 0
    const now = this.#clock.now100ns
    if (now < this.#next) return 0
    const before = this.expirations
    for (let index = 0; index < STIMER_COUNT; index++) {
      const timer = this.#timers[index]!
      if (now >= timer.due) this.#expire(timer, index, now)
    }
    this.#findNext()
    return this.expirations - before
  }

  /** A slot may have become free, or a SINT open: tries the messages that wait. */
  retry(): void {
    if (this.#owing === 0) return
    for (let index = 0; index < STIMER_COUNT; index++) {
      const timer = this.#timers[index]!
      if (timer.owed === NEVER || !this.#send(timer, index, timer.owed)) continue
      const expired = timer.owed
      timer.owed = NEVER
      this.#owing--
      this.#goOn(timer, expired, this.#clock.now100ns)
    }
    this.#findNext()
  }

  /** What the registers do not say: when each is due, and what it owes. */
  save(): SavedTimer[] {
    return this.#timers.map(({ due, owed }) => ({ due, owed }))
  }

  /** After the registers were written: when each is due. False, and nothing changed, for what no timer can have. */
  restore(saved: readonly SavedTimer[]): boolean {
    if (saved.length !== STIMER_COUNT) return false
    if (!saved.every(({ due, owed }) => isTime(due) && isTime(owed))) return false
    for (const [index, { due, owed }] of saved.entries()) {
      const timer = this.#timers[index]!
      timer.due = due
      timer.owed = owed
    }
    this.#owing = saved.filter(({ owed }) => owed !== NEVER).length
    this.#findNext()
    return true
  }

  /** Plain data. */
  inspect(): { expirations: number; skipped: number; due100ns: number[]; owing: number } {
    return {
      expirations: this.expirations,
      skipped: this.skipped,
      due100ns: this.#timers.map((timer) => timer.due),
      owing: this.#owing,
    }
  }

  #autoEnable(timer: Timer): void {
    const direct = (timer.config & STIMER_DIRECT) !== 0
    const vector = (timer.config >>> STIMER_VECTOR_SHIFT) & 0xff
    if (direct ? vector < VECTOR_MIN : sintOf(timer) === 0) return
    timer.config = (timer.config | STIMER_ENABLE) >>> 0
  }

  #stop(timer: Timer): void {
    timer.due = NEVER
    if (timer.owed !== NEVER) this.#owing--
    timer.owed = NEVER
  }

  #start(timer: Timer): void {
    const count = timer.countHigh * 2 ** 32 + timer.countLow
    if ((timer.config & STIMER_ENABLE) !== 0 && count !== 0) {
      const periodic = (timer.config & STIMER_PERIODIC) !== 0
      timer.due = periodic ? this.#clock.read100ns() + count : count
    }
    this.#findNext()
  }

  #expire(timer: Timer, index: number, now: number): void {
    const expired = timer.due
    timer.due = NEVER
    this.expirations++
    this.trace?.begin(TraceKind.TIMER, index, sintOf(timer))
    if (this.#send(timer, index, expired)) {
      this.#goOn(timer, expired, now)
      return
    }
    timer.owed = expired
    this.#owing++
  }

  /** After an expiry has reached the guest. */
  #goOn(timer: Timer, expired: number, now: number): void {
    if ((timer.config & STIMER_PERIODIC) === 0) {
      timer.config = (timer.config & ~STIMER_ENABLE) >>> 0
      return
    }
    const period = timer.countHigh * 2 ** 32 + timer.countLow
    const missed = Math.max(0, Math.floor((now - expired) / period))
    const keep = (timer.config & STIMER_LAZY) !== 0 ? 0 : CATCH_UP_MAX
    const skip = Math.max(0, missed - keep)
    this.skipped += skip
    timer.due = expired + (skip + 1) * period
  }

  /** True when the expiry is with the guest: an interrupt requested, or a message in its slot. */
  #send(timer: Timer, index: number, expired: number): boolean {
    if ((timer.config & STIMER_DIRECT) !== 0) {
      this.#apic.request((timer.config >>> STIMER_VECTOR_SHIFT) & 0xff, false)
      return true
    }
    const message = this.#message
    message[INDEX] = index
    putTime(message, EXPIRATION, expired)
    putTime(message, DELIVERY, this.#clock.now100ns)
    return this.#synic.sendLocal(sintOf(timer), message)
  }

  #findNext(): void {
    let next = NEVER
    for (const timer of this.#timers) if (timer.due < next) next = timer.due
    this.#next = next
  }
}

function isTime(time: number): boolean {
  return time === NEVER || (Number.isFinite(time) && time >= 0)
}

function stoppedTimer(): Timer {
  return { config: 0, countLow: 0, countHigh: 0, due: NEVER, owed: NEVER }
}

function sintOf(timer: Timer): number {
  return (timer.config >>> STIMER_SINT_SHIFT) & 0xf
}

function putTime(words: Int32Array, at: number, time: number): void {
  words[at] = time % 2 ** 32
  words[at + 1] = Math.floor(time / 2 ** 32)
}
