/**
 * Frames: how a message lies in ring packets. Each packet is DATA_INBAND with no completion asked for, so its
 * transaction id is free: the low word holds the kind of frame (bits 0-7) and how its message is encoded (bits
 * 8-15, the codec's business), the high word the length in bytes of the whole message (a ring packet's own length
 * is rounded up to 8).
 *
 *   short message   [message n]
 *   long message    [first n] [middle n]… [last n]     every piece but the last is full
 *   end of stream   [end 0]
 */
export const FrameKind = { message: 1, first: 2, middle: 3, last: 4, end: 5 } as const
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind]

/** Bits of the low word above the kind. */
export const FRAME_FORMAT_SHIFT = 8

/** What one accepted piece means. Everything below zero is the peer's fault. */
export const Reassembly = {
  incomplete: 0,
  complete: 1,
  outOfOrder: -1,
  wrongLength: -2,
  tooBig: -3,
} as const
export type Reassembly = (typeof Reassembly)[keyof typeof Reassembly]

const FIRST_ALLOCATION_BYTES = 1 << 20

/** Puts the pieces of long messages together. Trusts no length: memory grows with bytes that came, not with bytes announced. */
export class Reassembler {
  readonly #maxMessageBytes: number
  #buffer: Uint8Array = new Uint8Array(0)
  #total = 0
  #received = 0
  #active = false

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes
  }

  /** True between a first piece and its last one: the stream may not end here. */
  get active(): boolean {
    return this.#active
  }

  /** The bytes of the message that `accept` just called complete. The array is given away. */
  takeBytes(): Uint8Array {
    const bytes = this.#buffer.subarray(0, this.#total)
    this.#buffer = new Uint8Array(0)
    return bytes
  }

  /** Adds `length` payload bytes of `source` at `at`, of a message of `total` bytes. */
  accept(
    kind: FrameKind,
    total: number,
    source: Uint8Array,
    at: number,
    length: number,
  ): Reassembly {
    if (kind === FrameKind.first) {
      if (this.#active) return Reassembly.outOfOrder
      if (total > this.#maxMessageBytes) return Reassembly.tooBig
      this.#active = true
      this.#total = total
      this.#received = 0
      this.#buffer = new Uint8Array(Math.min(total, FIRST_ALLOCATION_BYTES))
    } else if (!this.#active) return Reassembly.outOfOrder
    if (total !== this.#total) return Reassembly.wrongLength
    const left = this.#total - this.#received
    const isLast = kind === FrameKind.last
    if (isLast ? left > length || length - left >= 8 : length >= left) return Reassembly.wrongLength
    const useful = isLast ? left : length
    this.#reserve(this.#received + useful)
    this.#buffer.set(source.subarray(at, at + useful), this.#received)
    this.#received += useful
    if (!isLast) return Reassembly.incomplete
    this.#active = false
    return Reassembly.complete
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return
    const grown = new Uint8Array(Math.min(this.#total, Math.max(bytes, this.#buffer.length * 2)))
    grown.set(this.#buffer)
    this.#buffer = grown
  }
}
