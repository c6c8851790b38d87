// What is due when, in virtual time: a binary heap, earliest first, in the order of asking among equals.

/** Something that an actor is to do at a time. */
export interface VirtualEvent<Actor> {
  readonly dueNs: number
  readonly order: number
  readonly actor: Actor
  readonly run: () => void
  /** Id of the trace's record that asked for it. */
  readonly cause: number
  readonly askedNs: number
  cancelled: boolean
}

export class EventQueue<Actor> {
  readonly #heap: VirtualEvent<Actor>[] = []

  get size(): number {
    return this.#heap.length
  }

  /** When the earliest is due; Infinity: there is none. */
  get dueNs(): number {
    this.#dropCancelled()
    return this.#heap[0]?.dueNs ?? Infinity
  }

  push(event: VirtualEvent<Actor>): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (isBefore(heap[parent]!, event)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  /** The earliest that is due at `nowNs`, taken out. */
  takeDue(nowNs: number): VirtualEvent<Actor> | undefined {
    if (this.dueNs > nowNs) return undefined
    return this.#pop()
  }

  #dropCancelled(): void {
    while (this.#heap[0]?.cancelled === true) this.#pop()
  }

  #pop(): VirtualEvent<Actor> | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

function isBefore<A>(a: VirtualEvent<A>, b: VirtualEvent<A>): boolean {
  return a.dueNs < b.dueNs || (a.dueNs === b.dueNs && a.order < b.order)
}
