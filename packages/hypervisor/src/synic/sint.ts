// The sixteen SINT registers of a VP (TLFS, "Synthetic Interrupt Sources"). Private to the VP's thread.

import {
  SINT_AUTO_EOI,
  SINT_COUNT,
  SINT_MASKED,
  SINT_POLLING,
  SINT_RESET_VALUE,
  SINT_VECTOR_MASK,
  SINT_VECTOR_MIN,
} from '@guestyard/hvdef'

/** SINT registers: each 64 bits, of which the low half means something and the rest reads back. */
export class SintRegisters {
  readonly #low: Int32Array = new Int32Array(SINT_COUNT).fill(SINT_RESET_VALUE)
  readonly #high: Int32Array = new Int32Array(SINT_COUNT)

  low(sint: number): number {
    return this.#low[sint]! >>> 0
  }

  high(sint: number): number {
    return this.#high[sint]! >>> 0
  }

  /** False (#GP) for an unmasked SINT with a vector below 16; a masked one may hold any. */
  write(sint: number, low: number, high: number): boolean {
    const masked = (low & SINT_MASKED) !== 0
    if (!masked && (low & SINT_VECTOR_MASK) < SINT_VECTOR_MIN) return false
    this.#low[sint] = low
    this.#high[sint] = high
    return true
  }

  vector(sint: number): number {
    return this.#low[sint]! & SINT_VECTOR_MASK
  }

  isMasked(sint: number): boolean {
    return (this.#low[sint]! & SINT_MASKED) !== 0
  }

  /** The guest looks at slots and flags by itself: no interrupt. */
  isPolled(sint: number): boolean {
    return (this.#low[sint]! & SINT_POLLING) !== 0
  }

  /** The interrupt ends as it is taken. */
  hasAutoEoi(sint: number): boolean {
    return (this.#low[sint]! & SINT_AUTO_EOI) !== 0
  }

  /** Bit n: SINTn is not masked. */
  unmasked(): number {
    let bits = 0
    for (let sint = 0; sint < SINT_COUNT; sint++) if (!this.isMasked(sint)) bits |= 1 << sint
    return bits
  }
}
