// The doorbells that one thread waits on. A root has one for each VP, since two guests never share a buffer; a guest has
// one or two. Used by the engine's thread only. Doorbells may come and go while the engine sleeps.
//
// Falling asleep on an event loop means a wait on every doorbell at once. A wait that has not ended is kept for the next sleep: it
// ends on the first ring after it began, whatever was sampled since, so it can only wake the engine early, never late.

import { assert } from '@guestyard/hvdef'
import type { Doorbell } from '@guestyard/ring'

/** The part of a doorbell that a waiter uses. */
export type WaitableDoorbell = Pick<
  Doorbell,
  'beginWait' | 'ringAlways' | 'sample' | 'stopped' | 'waitBlocking'
>

interface Entry {
  readonly doorbell: WaitableDoorbell
  sample: number
  /** A wait on it has begun and not ended. */
  waiting: boolean
  removed: boolean
}

export interface DoorbellSetOptions {
  /**
   * The doorbell whose stop word ends the engine; it belongs to the set. Make it one that no guest can write. Another
   * doorbell that is found stopped only leaves the set: its peer is gone, or hostile.
   */
  readonly stoppedBy?: WaitableDoorbell
}

export class DoorbellSet {
  readonly #stoppedBy: WaitableDoorbell | null
  #entries: Entry[] = []
  #onRing: (() => void) | null = null
  /** Doorbells that left the set because their stop word was set. */
  dropped = 0

  constructor(options: DoorbellSetOptions = {}) {
    this.#stoppedBy = options.stoppedBy ?? null
    if (options.stoppedBy !== undefined) this.add(options.stoppedBy)
  }

  get size(): number {
    return this.#entries.length
  }

  /** True when the stop word was set. */
  get stopped(): boolean {
    return this.#stoppedBy !== null && this.#stoppedBy.stopped
  }

  /** Waits on this one too. The sleeping engine wakes to begin. */
  add(doorbell: WaitableDoorbell): void {
    assert(
      !this.#entries.some((entry) => entry.doorbell === doorbell),
      'A doorbell is in the set once.',
    )
    this.#entries.push({ doorbell, sample: doorbell.sample(), waiting: false, removed: false })
    this.#onRing?.()
  }

  /** Waits on it no more. It is rung once, which ends the wait that may still be on it. */
  remove(doorbell: WaitableDoorbell): void {
    const entry = this.#entries.find((entry) => entry.doorbell === doorbell)
    if (entry === undefined) return
    this.#forget(entry)
  }

  /** Notes every count. Take it before the last look for work. */
  sample(): void {
    for (const entry of this.#entries) entry.sample = entry.doorbell.sample()
  }

  /** True when some doorbell was rung since `sample`. */
  get rang(): boolean {
    return this.#entries.some((entry) => entry.doorbell.sample() !== entry.sample)
  }

  /**
   * Begins a wait wherever none is on. False when a doorbell was rung since `sample`: do not sleep. After true, `onRing` is called
   * from another turn of the event loop, whatever a peer does to its doorbell.
   */
  beginWaits(onRing: () => void): boolean {
    this.#dropStopped()
    if (this.rang) return false
    this.#onRing = onRing
    for (const entry of this.#entries) if (!entry.waiting && !this.#begin(entry)) return false
    return true
  }

  /** Sleeps on the only doorbell of the set until it is rung, stopped, or `timeoutMs` have passed. */
  waitBlocking(timeoutMs: number): void {
    const entry = this.#entries[0]
    assert(
      entry !== undefined && this.#entries.length === 1,
      'A blocking wait is on exactly one doorbell.',
    )
    entry.doorbell.waitBlocking(entry.sample, timeoutMs)
  }

  #begin(entry: Entry): boolean {
    entry.waiting = entry.doorbell.beginWait(entry.sample, () => {
      entry.waiting = false
      if (!entry.removed) this.#onRing?.()
    })
    return entry.waiting
  }

  #dropStopped(): void {
    for (const entry of this.#entries) {
      if (entry.doorbell === this.#stoppedBy || !entry.doorbell.stopped) continue
      this.#forget(entry)
      this.dropped++
    }
  }

  #forget(entry: Entry): void {
    this.#entries = this.#entries.filter((other) => other !== entry)
    entry.removed = true
    // The wait must end, or it stays for ever: the peer may have cleared the word that says that somebody waits, and a stop
    // word that it wrote by itself woke nobody.
    if (entry.waiting) entry.doorbell.ringAlways()
  }
}
