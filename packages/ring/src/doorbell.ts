// A doorbell: how one thread wakes another. It counts, so that a ring between looking and sleeping
// is never lost, and any number of rings before the sleeper wakes are one wake-up.
//
// | Word        | Written by          | Read by | Rule                                            |
// |-------------|---------------------|---------|-------------------------------------------------|
// | count (0)   | whoever rings: add  | waiter  | sampled before looking for work; waited on      |
// | waiting (1) | waiter: add, sub    | ringers | not 0 = somebody may sleep, so notify           |
// | stop (2)    | whoever stops       | waiter  | 1 = leave; never cleared                        |
//
//   const sample = bell.sample()
//   if (!lookForWork()) bell.waitBlocking(sample)

import { assert } from '@guestyard/hvdef'

/** Bytes one doorbell takes: a cache line of its own. */
export const DOORBELL_BYTES = 64

const COUNT = 0
const WAITING = 1
const STOP = 2

/** Why a wait ended. `rung` says nothing of whether there is work: look. */
export type WaitEnd = 'rung' | 'timed-out' | 'stopped'

/** One thread's view of a doorbell. Any thread may ring and stop; one thread at a time waits. */
export class Doorbell {
  readonly words: Int32Array
  readonly #count: number
  /**
   * Waits that slept, waits that ended because the net of a timeout caught them, and wakes that
   * found the count unchanged.
   */
  sleeps = 0
  timeouts = 0
  spuriousWakes = 0
  /** Times this view rang, and times that woke a sleeper. */
  rings = 0
  notifies = 0

  /** The doorbell in the 64 bytes at `byteOffset` of `buffer`, which are zero when it is new. */
  constructor(buffer: ArrayBufferLike, byteOffset = 0) {
    assert(byteOffset % 4 === 0, 'A doorbell is made of 32-bit words.')
    this.words = new Int32Array(buffer)
    this.#count = byteOffset >> 2
  }

  /** A doorbell in a buffer of its own. Hand `words.buffer` to the other thread. */
  static create(): Doorbell {
    return new Doorbell(new SharedArrayBuffer(DOORBELL_BYTES))
  }

  /** Wakes the waiter, now or when it next wants to sleep. Any thread. */
  ring(): void {
    this.rings += 1
    // ORDER: the add comes before the load. The waiter adds to `waiting`, then sleeps only if the
    // count is still its sample: either this sees it waiting, or it sees the new count.
    Atomics.add(this.words, this.#count + COUNT, 1)
    if (Atomics.load(this.words, this.#count + WAITING) === 0) return
    this.notifies += Atomics.notify(this.words, this.#count + COUNT)
  }

  /**
   * As `ring`, without trusting `waiting`. Whoever shares the words with a hostile peer uses this
   * where a wait of its own must end, as when it gives the doorbell up: the peer may have cleared
   * `waiting`, and `ring` would then notify nobody. It always costs a notify, so not for data.
   */
  ringAlways(): void {
    this.rings += 1
    // ORDER: the add comes before the notify. A waiter that is not asleep yet sees the new count.
    Atomics.add(this.words, this.#count + COUNT, 1)
    this.notifies += Atomics.notify(this.words, this.#count + COUNT)
  }

  /** The count now. Take it before looking for work, and wait on it. */
  sample(): number {
    return Atomics.load(this.words, this.#count + COUNT)
  }

  /** Ends every wait, now and later. */
  stop(): void {
    Atomics.store(this.words, this.#count + STOP, 1)
    // ORDER: after the stop word, so that whoever wakes sees it.
    Atomics.add(this.words, this.#count + COUNT, 1)
    Atomics.notify(this.words, this.#count + COUNT)
  }

  get stopped(): boolean {
    return Atomics.load(this.words, this.#count + STOP) !== 0
  }

  /**
   * Sleeps until the count is no longer `sample`. The timeout is a net: its firing is counted. Not
   * on a thread that must not block.
   */
  waitBlocking(sample: number, timeoutMs: number = Infinity): WaitEnd {
    if (this.stopped) return 'stopped'
    Atomics.add(this.words, this.#count + WAITING, 1)
    const outcome = Atomics.wait(this.words, this.#count + COUNT, sample, timeoutMs)
    Atomics.sub(this.words, this.#count + WAITING, 1)
    if (outcome !== 'not-equal') this.sleeps += 1
    return this.#ended(outcome, sample)
  }

  /**
   * As `waitBlocking`, for a thread with an event loop. It does not keep that event loop alive.
   * Begin one wait at a time: an abandoned one goes on until the count changes.
   */
  async waitAsync(sample: number, timeoutMs: number = Infinity): Promise<WaitEnd> {
    if (this.stopped) return 'stopped'
    Atomics.add(this.words, this.#count + WAITING, 1)
    const wait = Atomics.waitAsync(this.words, this.#count + COUNT, sample, timeoutMs)
    if (wait.async) this.sleeps += 1
    const outcome = wait.async ? await wait.value : wait.value
    Atomics.sub(this.words, this.#count + WAITING, 1)
    return this.#ended(outcome, sample)
  }

  /**
   * Begins a wait as `waitAsync` does, and calls `onEnd` once when it ends: always from a later turn of the event loop. False, and
   * nothing was begun, when the count is no longer `sample` or the doorbell is stopped.
   */
  beginWait(sample: number, onEnd: () => void): boolean {
    if (this.stopped) return false
    Atomics.add(this.words, this.#count + WAITING, 1)
    const wait = Atomics.waitAsync(this.words, this.#count + COUNT, sample)
    if (!wait.async) {
      Atomics.sub(this.words, this.#count + WAITING, 1)
      return false
    }
    this.sleeps += 1
    void wait.value.then((outcome) => {
      Atomics.sub(this.words, this.#count + WAITING, 1)
      this.#ended(outcome, sample)
      onEnd()
    })
    return true
  }

  #ended(outcome: string, sample: number): WaitEnd {
    if (this.stopped) return 'stopped'
    if (this.sample() !== sample) return 'rung'
    if (outcome === 'timed-out') {
      this.timeouts += 1
      return 'timed-out'
    }
    this.spuriousWakes += 1
    return 'rung'
  }
}
