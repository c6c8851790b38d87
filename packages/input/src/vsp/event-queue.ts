// Events that wait for room in a guest's ring: a ring of numbers with a fixed number of places. What does not
// fit is dropped and counted, since a guest that never reads must cost its host nothing.

/** Numbers of one event. */
const WIDTH = 4

/** A bounded queue of events of four numbers each. One thread. */
export class EventQueue {
  readonly #values: Int32Array
  readonly #limit: number
  #first = 0
  #length = 0
  #dropped = 0

  /** Throws a RangeError when `limit` is not a whole number of at least 1. */
  constructor(limit: number) {
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new RangeError(`queueLimit must be a whole number of at least 1, got ${limit}`)
    }
    this.#limit = limit
    this.#values = new Int32Array(limit * WIDTH)
  }

  /** Events waiting. */
  get length(): number {
    return this.#length
  }

  /** Events refused so far, `drop()` included. */
  get dropped(): number {
    return this.#dropped
  }

  /** Counts an event that was refused before it came here. */
  drop(): void {
    this.#dropped += 1
  }

  /** Appends an event. False, and counted, when every place is taken. */
  push(a: number, b: number, c: number, d: number): boolean {
    if (this.#length === this.#limit) {
      this.#dropped += 1
      return false
    }
    const at = ((this.#first + this.#length) % this.#limit) * WIDTH
    this.#values[at] = a
    this.#values[at + 1] = b
    this.#values[at + 2] = c
    this.#values[at + 3] = d
    this.#length += 1
    return true
  }

  /** Number `field` of the oldest event; 0 when there is none. */
  peek(field: number): number {
    if (this.#length === 0) return 0
    return this.#values[this.#first * WIDTH + field] ?? 0
  }

  /** Removes the oldest event. */
  shift(): void {
    if (this.#length === 0) return
    this.#first = (this.#first + 1) % this.#limit
    this.#length -= 1
  }

  /** Forgets every waiting event: whoever they were for is gone. They count as dropped. */
  clear(): void {
    this.#dropped += this.#length
    this.#length = 0
  }
}
