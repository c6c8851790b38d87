// Exits for an owner in another thread: kept until it asks, handed over together. Root thread only.

import type { ExitOwner } from './intercept-queue.ts'
import type { VpExit } from './vp-exit.ts'

export class ExitMailbox implements ExitOwner {
  #waiting: VpExit[] = []
  #asked: ((exits: readonly VpExit[]) => void) | null = null
  #closed = false

  /** At most one for each VP: a VP does nothing more before it is answered. */
  take(exit: VpExit): void {
    this.#waiting.push(exit)
    this.#handOver()
  }

  /** What has come since the last time, as soon as there is something; nothing once it is closed. One question at a time. */
  next(): Promise<readonly VpExit[]> {
    this.#asked?.([])
    const { promise, resolve } = Promise.withResolvers<readonly VpExit[]>()
    this.#asked = resolve
    this.#handOver()
    return promise
  }

  /** The partition is gone. */
  close(): void {
    this.#closed = true
    this.#handOver()
  }

  #handOver(): void {
    if (this.#asked === null || (this.#waiting.length === 0 && !this.#closed)) return
    const asked = this.#asked
    const exits = this.#waiting
    this.#asked = null
    this.#waiting = []
    asked(exits)
  }
}
