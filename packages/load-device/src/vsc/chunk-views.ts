// Views of pieces of a caller's bytes, kept for the next time: `TypedArray.set` copies a whole array only, so that a
// piece takes a view, which is garbage of a hundred bytes. Who sends a file reads into the same buffer again and again, and
// it is cut at the same places each time.

/** Pieces of one buffer that are remembered: of a chunk of 4 MiB in packets of 16 KiB, every one. */
const VIEWS_MAX = 256

/** For one stream at a time. Holds on to the buffer it saw last. */
export class ChunkViews {
  readonly #pieceBytes: number
  readonly #views: Uint8Array[] = []

  /** Pieces are `pieceBytes` long, but for the last of a chunk. */
  constructor(pieceBytes: number) {
    this.#pieceBytes = pieceBytes
  }

  /** Bytes `at` up to `at + length` of `bytes`. */
  of(bytes: Uint8Array, at: number, length: number): Uint8Array {
    if (at === 0 && length === bytes.length) return bytes
    const piece = Math.floor(at / this.#pieceBytes)
    if (piece >= VIEWS_MAX) return bytes.subarray(at, at + length)
    const known = piece < this.#views.length ? this.#views[piece] : undefined
    if (
      known !== undefined &&
      known.length === length &&
      known.buffer === bytes.buffer &&
      known.byteOffset === bytes.byteOffset + at
    ) {
      return known
    }
    // Of another buffer: nothing of the old one is kept.
    if (known !== undefined && known.buffer !== bytes.buffer) this.#views.length = 0
    const view = bytes.subarray(at, at + length)
    if (piece <= this.#views.length) this.#views[piece] = view
    return view
  }

  clear(): void {
    this.#views.length = 0
  }
}
