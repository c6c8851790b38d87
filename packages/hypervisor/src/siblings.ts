// HOT (send)
// What a VP does to its siblings: interrupts by ICR and by hypercall, a start, and the flush of cached translations. Everything
// goes through the blocks of the partition page, and a doorbell.
//
//   VP block   25 start state     0 not started | 1 a context is being written | 2 it is there | 3 started
//              26 translations    1: this VP caches translations, and flushes them when asked
//              27 flushes asked for, 28 flushes done

import { HvStatus } from '@guestyard/hvdef'

import type { LocalApic } from './apic.ts'
import type { Wake } from './wake.ts'
import { raiseInterrupt, raiseNmi } from './interrupt-inbox.ts'
import {
  FLUSH_DONE,
  FLUSH_REQUESTED,
  REQUEST_FLUSH,
  REQUEST_START,
  REQUEST_SUMMARY,
  START_CONTEXT,
  START_CONTEXT_WORDS,
  START_STATE,
  TRANSLATIONS,
  vpBlock,
} from './partition-page.ts'
import { sipiContext } from './start-context.ts'

const START_BEGUN = 1
const START_READY = 2
const STARTED = 3

/** ICR, low half. */
const VECTOR_MASK = 0xff
const DELIVERY_SHIFT = 8
const LOGICAL = 0x800
const SHORTHAND_SHIFT = 18
/** Kinds of delivery. */
const [FIXED, LOWEST_PRIORITY, NMI, STARTUP] = [0, 1, 4, 6]
/** What reads back: not the delivery status, which is always "idle". */
const ICR_LOW_MASK = 0x000c_cfff
const ICR_BROADCAST = 0xff
const VECTOR_MIN = 16

/** Cached translations of a VP, as whoever runs its guest keeps them. */
export interface Translations {
  /** Forgets all of them. VP's thread. */
  flush(): void
}

export interface SiblingsOptions {
  readonly page: Int32Array
  readonly vp: number
  readonly vpCount: number
  readonly apic: LocalApic
  /** Doorbells of the partition's VPs; one that is missing is not rung. */
  readonly wakes: readonly Wake[]
  /** Null: this VP caches none. */
  readonly translations: Translations | null
}

/** The partition's VPs as one of them reaches them. Its thread only. */
export class Siblings {
  interruptsSent = 0
  flushes = 0
  readonly #page: Int32Array
  readonly #vp: number
  readonly #vpCount: number
  readonly #block: number
  readonly #apic: LocalApic
  readonly #wakes: readonly Wake[]
  readonly #translations: Translations | null
  /** Flushes that this VP waits for: by VP, the number that its FLUSH_DONE must reach. */
  readonly #awaited: Int32Array
  /** VPs among them, as a mask of two words. */
  #awaitingLow = 0
  #awaitingHigh = 0

  constructor(options: SiblingsOptions) {
    this.#page = options.page
    this.#vp = options.vp
    this.#vpCount = options.vpCount
    this.#block = vpBlock(options.vp)
    this.#apic = options.apic
    this.#wakes = options.wakes
    this.#translations = options.translations
    this.#awaited = new Int32Array(options.vpCount)
    if (options.translations !== null) Atomics.store(this.#page, this.#block + TRANSLATIONS, 1)
    if (options.vp === 0) Atomics.store(this.#page, this.#block + START_STATE, STARTED)
  }

  /**
   * WRMSR of ICR, in the layout of an xAPIC: destination in 31:24 of the high half. Fixed and lowest-priority interrupts, NMI,
   * and start-up; INIT changes nothing, since a VP that was not started waits. False (#GP) for a vector below 16.
   */
  writeIcr(low: number, high: number): boolean {
    const vector = low & VECTOR_MASK
    const delivery = (low >>> DELIVERY_SHIFT) & 7
    const isInterrupt = delivery === FIXED || delivery === LOWEST_PRIORITY
    if (isInterrupt && vector < VECTOR_MIN) return false
    let last = -1
    for (let vp = 0; vp < this.#vpCount; vp++) {
      if (!this.#isAddressed(vp, low, high >>> 24)) continue
      last = vp
      if (delivery === LOWEST_PRIORITY) break
      if (delivery === FIXED) this.send(vp, vector)
      else if (delivery === NMI) this.#sendNmi(vp)
      else if (delivery === STARTUP && vp !== this.#vp) this.start(vp, sipiContext(vector), 0)
    }
    if (delivery === LOWEST_PRIORITY && last >= 0) this.send(last, vector)
    return true
  }

  /** What ICR's low half reads back. */
  static readableIcr(low: number): number {
    return (low & ICR_LOW_MASK) >>> 0
  }

  /** Interrupts every VP whose bit is set in a mask of 64, with `vector` (16 to 255). Bits of VPs that are not there mean nothing. */
  sendToMask(low: number, high: number, vector: number): void {
    for (let vp = 0; vp < this.#vpCount; vp++) {
      if (inMask(low, high, vp)) this.send(vp, vector)
    }
  }

  /** Interrupts one VP that is there. */
  send(vp: number, vector: number): void {
    this.interruptsSent++
    if (vp === this.#vp) this.#apic.request(vector, false)
    else if (raiseInterrupt(this.#page, vpBlock(vp), vector, false, false)) this.#ring(vp)
  }

  /**
   * Gives a VP that was not started 56 words of context, from word `at` on. SUCCESS; INVALID_VP_INDEX; INVALID_VP_STATE for
   * one that was started.
   */
  start(vp: number, context: Int32Array, at: number): HvStatus {
    if (!(vp >= 0 && vp < this.#vpCount)) return HvStatus.INVALID_VP_INDEX
    const block = vpBlock(vp)
    if (Atomics.compareExchange(this.#page, block + START_STATE, 0, START_BEGUN) !== 0) {
      return HvStatus.INVALID_VP_STATE
    }
    for (let word = 0; word < START_CONTEXT_WORDS; word++) {
      this.#page[block + START_CONTEXT + word] = context[at + word]!
    }
    // ORDER: the context before the state that vouches for it.
    Atomics.store(this.#page, block + START_STATE, START_READY)
    this.#announce(vp, REQUEST_START)
    return HvStatus.SUCCESS
  }

  /** The context that this VP was started with: 56 words into `out`. False before that, and afterwards. */
  takeStart(out: Int32Array): boolean {
    if (Atomics.load(this.#page, this.#block + START_STATE) !== START_READY) return false
    for (let word = 0; word < START_CONTEXT_WORDS; word++) {
      out[word] = this.#page[this.#block + START_CONTEXT + word]!
    }
    Atomics.store(this.#page, this.#block + START_STATE, STARTED)
    return true
  }

  /**
   * Flushes the translations of the VPs in a mask. True when all have; false: the rest have been asked, and the caller is to ask
   * again. `fresh`: the guest may have changed its tables since the last time.
   */
  flush(low: number, high: number, fresh: boolean): boolean {
    if (fresh || (this.#awaitingLow | this.#awaitingHigh) === 0) this.#requestFlushes(low, high)
    let waits = false
    for (let vp = 0; vp < this.#vpCount; vp++) {
      if (!inMask(this.#awaitingLow, this.#awaitingHigh, vp)) continue
      const done = Atomics.load(this.#page, vpBlock(vp) + FLUSH_DONE)
      if (((this.#awaited[vp]! - done) | 0) > 0) waits = true
      else this.#forget(vp)
    }
    return !waits
  }

  /** Does the flushes that siblings asked for. A load when there are none. Whenever this VP's thread is outside its guest. */
  answerFlushes(): void {
    if (this.#translations === null) return
    const asked = Atomics.load(this.#page, this.#block + FLUSH_REQUESTED)
    if (asked === Atomics.load(this.#page, this.#block + FLUSH_DONE)) return
    this.#translations.flush()
    this.flushes++
    // ORDER: flushed, then said so. What was asked for later than `asked` was read is answered next time.
    Atomics.store(this.#page, this.#block + FLUSH_DONE, asked)
  }

  #requestFlushes(low: number, high: number): void {
    this.#awaitingLow = 0
    this.#awaitingHigh = 0
    for (let vp = 0; vp < this.#vpCount; vp++) {
      if (!inMask(low, high, vp)) continue
      if (vp === this.#vp) {
        this.#translations?.flush()
        this.flushes++
        continue
      }
      const block = vpBlock(vp)
      if (Atomics.load(this.#page, block + TRANSLATIONS) === 0) continue
      this.#awaited[vp] = (Atomics.add(this.#page, block + FLUSH_REQUESTED, 1) + 1) | 0
      if (vp < 32) this.#awaitingLow |= 1 << vp
      else this.#awaitingHigh |= 1 << (vp - 32)
      this.#announce(vp, REQUEST_FLUSH)
    }
  }

  #forget(vp: number): void {
    if (vp < 32) this.#awaitingLow &= ~(1 << vp)
    else this.#awaitingHigh &= ~(1 << (vp - 32))
  }

  #sendNmi(vp: number): void {
    this.interruptsSent++
    if (vp === this.#vp) this.#apic.requestNmi()
    else if (raiseNmi(this.#page, vpBlock(vp))) this.#ring(vp)
  }

  #isAddressed(vp: number, icrLow: number, destination: number): boolean {
    switch ((icrLow >>> SHORTHAND_SHIFT) & 3) {
      case 1:
        return vp === this.#vp
      case 2:
        return true
      case 3:
        return vp !== this.#vp
      default:
        break
    }
    if (destination === ICR_BROADCAST) return true
    // Logical, flat model: a bit for each of the first eight.
    if ((icrLow & LOGICAL) !== 0) return vp < 8 && ((destination >>> vp) & 1) === 1
    return vp === destination
  }

  #announce(vp: number, bit: number): void {
    if (Atomics.or(this.#page, vpBlock(vp) + REQUEST_SUMMARY, bit) === 0) this.#ring(vp)
  }

  #ring(vp: number): void {
    this.#wakes[vp]?.ring()
  }
}

/** True when bit `vp` (0 to 63) of a mask of two words is set. */
function inMask(low: number, high: number, vp: number): boolean {
  return (((vp < 32 ? low : high) >>> (vp & 31)) & 1) === 1
}
