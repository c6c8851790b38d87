// HOT
// VPs of a simulation that have halted, by the time at which they wake.

/** Whoever sleeps. */
export interface Sleeper {
  readonly wakesAt: number
}

/** A binary heap: adding one that wakes after all others, which is the rule, touches nobody else. */
export class Sleepers<T extends Sleeper> {
  readonly #heap: T[] = []

  /** When the first wakes; Infinity: nobody sleeps. */
  get nextWake(): number {
    return this.#heap.length === 0 ? Number.POSITIVE_INFINITY : this.#heap[0]!.wakesAt
  }

  add(sleeper: T): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.wakesAt <= sleeper.wakesAt) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = sleeper
  }

  /** The first; there is one. */
  take(): T {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (last !== first) this.#sink(last)
    return first
  }

  #sink(sleeper: T): void {
    const heap = this.#heap
    const size = heap.length
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= size) break
      if (child + 1 < size && heap[child + 1]!.wakesAt < heap[child]!.wakesAt) child += 1
      if (heap[child]!.wakesAt >= sleeper.wakesAt) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = sleeper
  }
}
