// What a connection receives: bytes in order for the application, and those that came ahead of their turn (RFC 9293 sections 3.8.6 and 3.10.7.4).

import { ByteRing } from './byte-ring.ts'
import { Gaps } from './gaps.ts'
import { advance, distance, isBefore } from './sequence.ts'

/** An acknowledgement may wait for a second segment, or for data that it can travel with (RFC 9293 section 3.8.6.3). */
const DELAY_MS = 40

export class ReceiveHalf {
  readonly #buffer: ByteRing
  readonly #gaps = new Gaps()
  /** Shift of the window's field. */
  readonly #scale: number
  readonly #segment: number
  /** RCV.NXT, and the end of the window that was told last: it never moves back. */
  #next: number
  #edge: number
  #finAt = -1
  #isFinished = false
  #waiting = 0
  #acknowledgeAtMs = Infinity
  #isOwed = false

  /** `initial`: the number of the peer's SYN. `segment`: the most data that comes in one. */
  constructor(initial: number, segment: number, capacity: number, scale: number) {
    this.#buffer = new ByteRing(capacity)
    this.#scale = scale
    this.#segment = segment
    this.#next = advance(initial, 1)
    this.#edge = this.#next
  }

  get next(): number {
    return this.#next
  }

  /** Bytes in order that nobody has read. */
  get readableBytes(): number {
    return this.#buffer.size
  }

  /** The peer's FIN has come, and all before it. */
  get isFinished(): boolean {
    return this.#isFinished
  }

  /** An acknowledgement is due at once. */
  get isOwed(): boolean {
    return this.#isOwed
  }

  get acknowledgeAtMs(): number {
    return this.#acknowledgeAtMs
  }

  /** True when any of it lies in the window, or it is just at its edge (the table of section 3.10.7.4). */
  isAcceptable(sequence: number, bytes: number): boolean {
    const window = distance(this.#next, this.#edge)
    const at = (sequence - this.#next) | 0
    if (bytes === 0) return window === 0 ? at === 0 : at >= 0 && at < window
    return window > 0 && at < window && at + bytes > 0
  }

  /** Data of an acceptable segment, and whether a FIN is behind it. Says how many bytes can be read that could not. */
  take(
    sequence: number,
    frame: Uint8Array,
    dataAt: number,
    dataBytes: number,
    hasFin: boolean,
    nowMs: number,
  ): number {
    let at = (sequence - this.#next) | 0
    const skipped = at < 0 ? Math.min(-at, dataBytes) : 0
    const end = advance(sequence, dataBytes)
    at = Math.max(0, at)
    const room = distance(this.#next, this.#edge) - at
    const bytes = Math.max(0, Math.min(dataBytes - skipped, room))
    const isWhole = skipped + bytes === dataBytes
    if (hasFin && isWhole && this.#finAt < 0) this.#finAt = end
    const before = this.#next
    let grown = 0
    if (bytes > 0) {
      if (at === 0) {
        this.#buffer.place(0, frame, dataAt + skipped, bytes)
        grown = this.#gaps.join(bytes)
        this.#buffer.grow(grown)
        this.#next = advance(this.#next, grown)
      } else if (this.#gaps.add(at, at + bytes)) {
        this.#buffer.place(at, frame, dataAt + skipped, bytes)
      }
    }
    if (this.#finAt === this.#next && !this.#isFinished) {
      this.#isFinished = true
      this.#next = advance(this.#next, 1)
      if (isBefore(this.#edge, this.#next)) this.#edge = this.#next
    }
    this.#oweFor(at === 0 && skipped === 0 && grown === bytes && !this.#isFinished, before, nowMs)
    return grown
  }

  /** The window to tell with an acknowledgement that goes out now: in units of the scale, but in a SYN (RFC 7323 section 2.2). */
  tell(isSyn: boolean): number {
    const free = this.#buffer.free
    const fresh = advance(this.#next, free)
    const opened = (fresh - this.#edge) | 0
    // Small openings are not told (section 3.8.6.2.2).
    if (opened >= Math.min(this.#segment, this.#buffer.capacity / 2)) this.#edge = fresh
    const bytes = distance(this.#next, this.#edge)
    const window = Math.min(0xffff, isSyn ? bytes : bytes >>> this.#scale)
    this.#waiting = 0
    this.#acknowledgeAtMs = Infinity
    this.#isOwed = false
    return window
  }

  /** Copies bytes in order to the front of an array; says how many. */
  read(into: Uint8Array): number {
    const bytes = Math.min(into.length, this.#buffer.size)
    this.#buffer.copyOut(0, into, 0, bytes)
    this.#buffer.drop(bytes)
    const opened = (advance(this.#next, this.#buffer.free) - this.#edge) | 0
    // A sender that may be waiting for room learns of it.
    if (opened >= Math.min(2 * this.#segment, this.#buffer.capacity / 2) && !this.#isFinished) {
      this.#isOwed = true
    }
    return bytes
  }

  /** An acknowledgement goes out with whatever is next: at once. */
  owe(): void {
    this.#isOwed = true
  }

  /** In order: every second one at once. Anything else at once, so that a sender learns of a loss (RFC 5681 section 4.2). */
  #oweFor(isInOrder: boolean, before: number, nowMs: number): void {
    if (!isInOrder || !this.#gaps.isEmpty) {
      this.#isOwed = true
      return
    }
    if (this.#next === before) return
    this.#waiting += 1
    if (this.#waiting >= 2) this.#isOwed = true
    if (this.#acknowledgeAtMs === Infinity) this.#acknowledgeAtMs = nowMs + DELAY_MS
  }
}
