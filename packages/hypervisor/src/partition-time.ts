// A partition's reference time when its parent has touched it: frozen, or set to another value (properties TimeFreeze and
// ReferenceTime). One i64 of the partition page, so that no VP ever sees half a change.
//
//   bit 0: frozen | bits 63:1, signed: the time at which it stands, or what is subtracted from the time since creation

import { TIME_CONTROL } from './partition-page.ts'

/** The root's end. Times are 100 ns units. */
export class PartitionTime {
  readonly #words: BigInt64Array
  readonly #createdAt: number
  #frozen = false
  #value = 0

  constructor(page: SharedArrayBuffer, createdAt100ns: number) {
    this.#words = new BigInt64Array(page)
    this.#createdAt = createdAt100ns
  }

  /** Reference time when the machine's clock says `now`. */
  at(now: number): number {
    return this.#frozen ? this.#value : Math.max(0, now - this.#createdAt - this.#value)
  }

  /** Stops, or goes on from where it stood. */
  setFrozen(frozen: boolean, now: number): void {
    if (frozen === this.#frozen) return
    this.#value = frozen ? this.at(now) : now - this.#createdAt - this.#value
    this.#frozen = frozen
    this.#publish()
  }

  /** Another time, while it is frozen. */
  set(time: number): void {
    this.#value = time
    this.#publish()
  }

  #publish(): void {
    const value = (BigInt(this.#value) << 1n) | (this.#frozen ? 1n : 0n)
    Atomics.store(this.#words, TIME_CONTROL, value)
  }
}

/** Reference time as a VP sees it, by the page it shares with the root. Any thread. */
export function referenceTimeOf(page: BigInt64Array, now: number, createdAt: number): number {
  const control = Atomics.load(page, TIME_CONTROL)
  if (control === 0n) return Math.max(0, now - createdAt)
  const value = Number(control >> 1n)
  return (control & 1n) === 1n ? value : Math.max(0, now - createdAt - value)
}
