// HOT. What both ends of the typed-array kernel share: runs of pages, copies across them, counters.
// See typed-kernel.ts.

import * as layout from './state-layout.ts'

// Offsets of state-layout.ts as word indices.
const SIZE = layout.SIZE >> 2
const PAGES_AT = layout.PAGES_AT >> 2
const RUN_DELTA = layout.RUN_DELTA >> 2
const RUN_END = layout.RUN_END >> 2
const PACKETS = layout.PACKETS >> 2
const BYTES = layout.BYTES >> 2
/** Copies longer than this go through `set`, which leaves a subarray behind. */
export const WORD_COPY_BYTES = 1024

/** Bytes from `from` forward to `to`, in an area of `size`. */
export function distance(from: number, to: number, size: number): number {
  const d = (to - from) | 0
  return d + (size & (d >> 31))
}

/** Private state and shared pages, as typed arrays. `w` is the word index of an end's state. */
export class TypedRings {
  protected readonly i32: Int32Array
  protected readonly u8: Uint8Array
  protected readonly sharedI32: Int32Array
  protected readonly sharedU8: Uint8Array

  constructor(privateBuffer: ArrayBuffer, shared: ArrayBufferLike) {
    this.i32 = new Int32Array(privateBuffer)
    this.u8 = new Uint8Array(privateBuffer)
    this.sharedI32 = new Int32Array(shared)
    this.sharedU8 = new Uint8Array(shared)
  }

  spin(sharedAt: number, value: number, turns: number): number {
    for (let turn = 0; turn < turns || turn === 0; turn += 1) {
      if (Atomics.load(this.sharedI32, sharedAt >>> 2) !== value) return 1
    }
    return 0
  }

  protected findRun(w: number, offset: number): void {
    const entry = (this.i32[w + PAGES_AT]! >> 2) + (offset >>> 12) * 2
    this.i32[w + RUN_DELTA] = this.i32[entry]!
    this.i32[w + RUN_END] = this.i32[entry + 1]!
  }

  protected count(word: number, amount: number): void {
    const low = (this.i32[word]! >>> 0) + amount
    this.i32[word] = low
    if (low >= 0x1_0000_0000) this.i32[word + 1]! += 1
  }

  protected countMoved(w: number, packets: number, bytes: number): void {
    this.count(w + PACKETS, packets)
    this.count(w + BYTES, bytes)
  }

  /**
   * Copies private bytes to ring offset `offset` on, across pages and the wrap. Returns the offset
   * after them.
   */
  protected copyIn(w: number, offset: number, from: number, length: number): number {
    const i32 = this.i32
    const size = i32[w + SIZE]!
    let at = offset
    let source = from
    let left = length
    while (left > 0) {
      this.findRun(w, at)
      const piece = Math.min(i32[w + RUN_END]! - at, left)
      this.#copyPiece(
        this.sharedU8,
        this.sharedI32,
        (at + i32[w + RUN_DELTA]!) >>> 0,
        this.u8,
        i32,
        source,
        piece,
      )
      at += piece
      if (at === size) at = 0
      source += piece
      left -= piece
    }
    return at
  }

  /** Copies ring bytes from `offset` on, across pages and the wrap, to private memory. */
  protected copyOut(w: number, offset: number, to: number, length: number): void {
    const i32 = this.i32
    const size = i32[w + SIZE]!
    let at = offset >= size ? offset - size : offset
    let target = to
    let left = length
    while (left > 0) {
      this.findRun(w, at)
      const piece = Math.min(i32[w + RUN_END]! - at, left)
      this.#copyPiece(
        this.u8,
        i32,
        target,
        this.sharedU8,
        this.sharedI32,
        (at + i32[w + RUN_DELTA]!) >>> 0,
        piece,
      )
      at += piece
      if (at === size) at = 0
      target += piece
      left -= piece
    }
  }

  /** Bytes with trailer of the composed packet at private address `at`. */
  protected batchedBytes(at: number): number {
    return ((this.i32[(at >> 2) + 1]! & 0xffff) << 3) + 8
  }

  #copyPiece(
    toU8: Uint8Array,
    toI32: Int32Array,
    to: number,
    fromU8: Uint8Array,
    fromI32: Int32Array,
    from: number,
    length: number,
  ): void {
    if (length > WORD_COPY_BYTES) {
      toU8.set(fromU8.subarray(from, from + length), to)
      return
    }
    let done = 0
    if (((to | from) & 3) === 0) {
      const whole = length >>> 2
      const toWord = to >>> 2
      const fromWord = from >>> 2
      for (let word = 0; word < whole; word += 1) toI32[toWord + word] = fromI32[fromWord + word]!
      done = whole << 2
    }
    for (; done < length; done += 1) toU8[to + done] = fromU8[from + done]!
  }
}
