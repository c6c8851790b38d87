// HOT
// The request slots of one channel: those that run, in no order, and those that are free. A slot is made when more requests run than
// ever before, so that a channel costs what its guest uses.

import { assert } from '@guestyard/hvdef'
import { RequestSlot } from './request-slot.ts'

export class SlotPool {
  readonly #limit: number
  readonly #maxTransferBytes: number
  readonly #free: RequestSlot[] = []
  readonly #running: RequestSlot[] = []
  #made = 0

  /** `limit`: requests that run at a time. */
  constructor(limit: number, maxTransferBytes: number) {
    this.#limit = limit
    this.#maxTransferBytes = maxTransferBytes
  }

  /** Requests that run. */
  get runningCount(): number {
    return this.#running.length
  }

  /** Those that run, and those that are taken and do not yet. */
  get takenCount(): number {
    return this.#made - this.#free.length
  }

  /** True when as many are taken as may run. */
  get isFull(): boolean {
    return this.takenCount === this.#limit
  }

  /** A free slot, to be given to `run` or `release`. Not when full. */
  take(): RequestSlot {
    const slot = this.#free.pop()
    if (slot !== undefined) return slot
    assert(this.#made < this.#limit, 'A slot is taken when fewer run than may.')
    this.#made += 1
    return new RequestSlot(this.#maxTransferBytes)
  }

  release(slot: RequestSlot): void {
    this.#free.push(slot)
  }

  run(slot: RequestSlot): void {
    this.#running.push(slot)
  }

  /** Number `index` of those that run. */
  running(index: number): RequestSlot {
    return this.#running[index]!
  }

  /** Takes number `index` off those that run; the last of them gets its number. */
  end(index: number): void {
    const slot = this.#running[index]!
    const last = this.#running.pop()
    assert(last !== undefined, 'A slot that ends was running.')
    if (last !== slot) this.#running[index] = last
    this.#free.push(slot)
  }
}
