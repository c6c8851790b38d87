/** xorshift32: the same numbers for the same seed, everywhere. */
export class Random {
  #state: number

  constructor(seed: number) {
    // Neighbouring seeds begin far apart, and none at zero, where it would stay.
    this.#state = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) | 0 || 1
    for (let i = 0; i < 8; i += 1) this.u32()
  }

  u32(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  u16(): number {
    return this.u32() >>> 16
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.u32() / 2 ** 32) * limit)
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }
}
