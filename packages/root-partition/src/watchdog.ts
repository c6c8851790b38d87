// Watches that guests' processors poll, and leave a processor when told to: each is pinged in turn and must have answered by the next look. One timer for all
// partitions, here in the root, so that an idle VM costs its worker process nothing.

/** What the watchdog asks of the root. */
export interface Watched {
  ping(partitionId: number): void
  /** The latest ping was answered, and no processor is kept for longer than `limitMs` by a VP that was told to leave it. */
  answered(partitionId: number, limitMs: number): boolean
}

/** How its owner waits. */
export interface WatchdogTimer {
  nowMs(): number
  /** Calls `look` after `ms` and returns what cancels that. */
  after(ms: number, look: () => void): () => void
}

interface Entry {
  readonly limitMs: number
  readonly gone: PromiseWithResolvers<void>
  pinged: boolean
  dueMs: number
}

/** Looks are made at multiples of this, so that those of many partitions fall together. */
const GRAIN_MS = 50

/** Root thread only. */
export class Watchdog {
  readonly #root: Watched
  readonly #timer: WatchdogTimer
  readonly #entries: Map<number, Entry> = new Map()
  #cancel: (() => void) | null = null

  constructor(root: Watched, timer: WatchdogTimer) {
    this.#root = root
    this.#timer = timer
  }

  /**
   * Resolves when a VP of the partition has not polled, or has kept a processor against orders, for `limitMs` (20 or more).
   * Pending for as long as none has; a partition that is forgotten leaves it pending.
   */
  watch(partitionId: number, limitMs: number): Promise<void> {
    const entry: Entry = {
      limitMs,
      gone: Promise.withResolvers(),
      pinged: false,
      dueMs: this.#timer.nowMs(),
    }
    this.#entries.set(partitionId, entry)
    this.#rearm()
    return entry.gone.promise
  }

  forget(partitionId: number): void {
    if (this.#entries.delete(partitionId)) this.#rearm()
  }

  #look(): void {
    this.#cancel = null
    const nowMs = this.#timer.nowMs()
    for (const [partitionId, entry] of this.#entries) {
      if (entry.dueMs > nowMs) continue
      if (entry.pinged && !this.#root.answered(partitionId, entry.limitMs)) {
        this.#entries.delete(partitionId)
        entry.gone.resolve()
        continue
      }
      // The answer to one ping is looked for when the next is due, so every silence is seen within twice the half.
      this.#root.ping(partitionId)
      entry.pinged = true
      entry.dueMs = Math.ceil((nowMs + entry.limitMs / 2) / GRAIN_MS) * GRAIN_MS
    }
    this.#rearm()
  }

  #rearm(): void {
    this.#cancel?.()
    this.#cancel = null
    let dueMs = Number.POSITIVE_INFINITY
    for (const entry of this.#entries.values()) dueMs = Math.min(dueMs, entry.dueMs)
    if (dueMs === Number.POSITIVE_INFINITY) return
    const waitMs = Math.max(0, dueMs - this.#timer.nowMs())
    this.#cancel = this.#timer.after(waitMs, () => this.#look())
  }
}
