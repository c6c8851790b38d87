import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator'

const RANGE = 2 ** 32

/** Seeds are whole numbers from 0 to this. */
export const SEED_MAX: number = 2 ** 32 - 1

/** A stream of numbers that a seed decides; the same on every machine. */
export class SeededRandom {
  readonly #generator: RandomGenerator

  /** `seed`: 0 to SEED_MAX. */
  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed | 0)
    // Seeds that differ little begin with numbers that differ little.
    for (let i = 0; i < 8; i++) this.#generator.next()
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    return this.#generator.next() >>> 0
  }

  /** A whole number from 0 to `below` - 1; `below` is far smaller than 2^32, so the remainder's bias does not show. */
  below(below: number): number {
    return Math.floor((this.next() / RANGE) * below)
  }

  /** In [0, 1), with 53 bits. */
  float(): number {
    return ((this.next() >>> 5) * 2 ** 26 + (this.next() >>> 6)) / 2 ** 53
  }

  /** Fills bytes. */
  fillBytes(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.next() >>> 24
  }
}
