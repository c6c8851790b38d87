// HOT. The sending half of the typed-array kernel. See typed-kernel.ts, which has the ownership
// table.

import { RingFault, RingStatus } from './ring-fault.ts'
import * as layout from './state-layout.ts'
import { TypedRings, WORD_COPY_BYTES, distance } from './typed-rings.ts'

// Offsets of state-layout.ts as word indices.
const CONTROL = layout.CONTROL >> 2
const SIZE = layout.SIZE >> 2
const FAULT = layout.FAULT >> 2
const NEXT = layout.NEXT >> 2
const PUBLISHED = layout.PUBLISHED >> 2
const PEER = layout.PEER >> 2
const RUN_DELTA = layout.RUN_DELTA >> 2
const RUN_END = layout.RUN_END >> 2
const MAX_TOTAL = layout.MAX_TOTAL >> 2
const NEEDED = layout.NEEDED >> 2
const PENDING = layout.PENDING >> 2
const SIGNAL_DUE = layout.SIGNAL_DUE >> 2
const PUBLISHES = layout.PUBLISHES >> 2
const SIGNALS = layout.SIGNALS >> 2
const FULLS = layout.FULLS >> 2
const SCRATCH = layout.SCRATCH >> 2
const IN = layout.CONTROL_IN >> 2
const OUT = layout.CONTROL_OUT >> 2
const MASK = layout.CONTROL_MASK >> 2
const PENDING_WORD = layout.CONTROL_PENDING >> 2

/** Writing and publishing. */
export class TypedOutgoing extends TypedRings {
  #readOut(w: number): boolean {
    const i32 = this.i32
    const out = Atomics.load(this.sharedI32, (i32[w + CONTROL]! >>> 2) + OUT)
    const size = i32[w + SIZE]!
    if (out >>> 0 >= size || (out & 7) !== 0) {
      i32[w + FAULT] = RingFault.BAD_READ_INDEX
      return false
    }
    const published = i32[w + PUBLISHED]!
    if (distance(out, published, size) > distance(i32[w + PEER]!, published, size)) {
      i32[w + FAULT] = RingFault.READ_INDEX_REWOUND
      return false
    }
    i32[w + PEER] = out
    return true
  }

  #free(w: number): number {
    const size = this.i32[w + SIZE]!
    return size - 8 - distance(this.i32[w + PEER]!, this.i32[w + NEXT]!, size)
  }

  #claim(w: number, total: number): number {
    const i32 = this.i32
    if (i32[w + FAULT] !== 0) return RingStatus.FAULT
    if (total > i32[w + MAX_TOTAL]!) return RingStatus.TOO_BIG
    if (total <= this.#free(w)) return RingStatus.OK
    if (!this.#readOut(w)) return RingStatus.FAULT
    if (total <= this.#free(w)) return RingStatus.OK
    i32[w + NEEDED] = total
    this.count(w + FULLS, 1)
    return RingStatus.FULL
  }

  /**
   * Writes descriptor, body, padding and trailer; a `body` below 0 leaves the body to the caller.
   */
  #put(
    w: number,
    from: number,
    body: number,
    length: number,
    low: number,
    high: number,
    tidLow: number,
    tidHigh: number,
  ): void {
    const i32 = this.i32
    const start = i32[w + NEXT]!
    const scratch = w + SCRATCH
    const scratchAt = scratch << 2
    i32[scratch] = low
    i32[scratch + 1] = high
    i32[scratch + 2] = tidLow
    i32[scratch + 3] = tidHigh
    let offset = this.copyIn(w, start, scratchAt, 16)
    i32[scratch] = 0
    i32[scratch + 1] = 0
    i32[scratch + 2] = 0
    i32[scratch + 3] = start
    if (body >= 0) {
      const whole = body & -8
      const rest = body & 7
      offset = this.copyIn(w, offset, from, whole)
      for (let index = 0; index < rest; index += 1) {
        this.u8[scratchAt + index] = this.u8[from + whole + index]!
      }
      offset =
        rest === 0
          ? this.copyIn(w, offset, scratchAt + 8, 8)
          : this.copyIn(w, offset, scratchAt, 16)
    } else if (length === 16) {
      offset = this.copyIn(w, offset, scratchAt + 8, 8)
    } else {
      offset += length - 24
      const size = i32[w + SIZE]!
      offset = this.copyIn(w, offset >= size ? offset - size : offset, scratchAt, 16)
    }
    i32[w + NEXT] = offset
    this.findRun(w, offset)
  }

  /**
   * As `#put`, for a packet inside one run whose body begins at a word: word by word, straight to
   * its place.
   */
  #putWords(
    w: number,
    from: number,
    body: number,
    length: number,
    low: number,
    high: number,
    tidLow: number,
    tidHigh: number,
  ): void {
    const i32 = this.i32
    const shared = this.sharedI32
    const start = i32[w + NEXT]!
    const to = (start + i32[w + RUN_DELTA]!) >>> 2
    const end = to + (length >> 2)
    shared[end - 2] = 0
    shared[end - 1] = 0
    shared[to] = low
    shared[to + 1] = high
    shared[to + 2] = tidLow
    shared[to + 3] = tidHigh
    const words = body >> 2
    const source = from >> 2
    for (let word = 0; word < words; word += 1) shared[to + 4 + word] = i32[source + word]!
    const rest = body & 3
    if (rest !== 0) shared[to + 4 + words] = i32[source + words]! & ((1 << (rest << 3)) - 1)
    shared[end] = 0
    shared[end + 1] = start
    const next = start + length + 8
    if (next === i32[w + RUN_END]) {
      i32[w + NEXT] = next === i32[w + SIZE] ? 0 : next
      this.findRun(w, i32[w + NEXT]!)
    } else {
      i32[w + NEXT] = next
    }
  }

  write(
    s: number,
    from: number,
    body: number,
    header: number,
    kind: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    const w = s >> 2
    const length = (body + 23) & -8
    const status = this.#claim(w, length + 8)
    if (status !== RingStatus.OK) return status
    const low = (kind & 0xffff) | (((header >>> 3) + 2) << 16)
    const high = (length >>> 3) | (kind & 0xffff0000)
    const inRun = this.i32[w + NEXT]! + length + 8 <= this.i32[w + RUN_END]!
    if (inRun && (from & 3) === 0 && body <= WORD_COPY_BYTES) {
      this.#putWords(w, from, body, length, low, high, tidLow, tidHigh)
    } else {
      this.#put(w, from, body, length, low, high, tidLow, tidHigh)
    }
    this.countMoved(w, 1, length + 8)
    return RingStatus.OK
  }

  reserve(
    s: number,
    body: number,
    header: number,
    kind: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    const w = s >> 2
    const length = (body + 23) & -8
    const status = this.#claim(w, length + 8)
    if (status !== RingStatus.OK) return status
    const low = (kind & 0xffff) | (((header >>> 3) + 2) << 16)
    const high = (length >>> 3) | (kind & 0xffff0000)
    this.#put(w, 0, -1, length, low, high, tidLow, tidHigh)
    this.countMoved(w, 1, length + 8)
    return RingStatus.OK
  }

  publish(s: number): number {
    const w = s >> 2
    const i32 = this.i32
    const shared = this.sharedI32
    const next = i32[w + NEXT]!
    const old = i32[w + PUBLISHED]!
    if (next === old || i32[w + FAULT] !== 0) return 0
    const control = i32[w + CONTROL]! >>> 2
    i32[w + PUBLISHED] = next
    this.count(w + PUBLISHES, 1)
    // ORDER: the store publishes the packets (plain writes before it), and comes before the loads
    // of mask and `out`. The receiver clears its mask, then reads `in`: either it sees the new
    // `in`, or this sees the mask cleared.
    Atomics.store(shared, control + IN, next)
    if (Atomics.load(shared, control + MASK) !== 0) return 0
    // Was the ring empty? Only an `out` read after the store can tell: an older one may lag behind
    // a receiver that has emptied the ring and gone to sleep since.
    if (!this.#readOut(w)) return 0
    const signal = i32[w + PEER] === old ? 1 : 0
    this.count(w + SIGNALS, signal)
    return signal
  }

  send(
    s: number,
    from: number,
    body: number,
    header: number,
    kind: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    const status = this.write(s, from, body, header, kind, tidLow, tidHigh)
    return status === RingStatus.OK ? this.publish(s) : status
  }

  each(
    s: number,
    from: number,
    stride: number,
    count: number,
    body: number,
    kind: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    let written = 0
    while (
      written < count &&
      this.write(s, from + written * stride, body, 0, kind, tidLow, tidHigh) === RingStatus.OK
    ) {
      written += 1
    }
    return written
  }

  batch(s: number, from: number, bytes: number, packets: number, publish: number): number {
    const w = s >> 2
    const i32 = this.i32
    if (i32[w + FAULT] !== 0) return 0
    let fit = bytes
    let count = packets
    if (bytes > this.#free(w)) {
      if (!this.#readOut(w)) return 0
      const free = this.#free(w)
      if (bytes > free) {
        fit = 0
        count = 0
        let total = this.batchedBytes(from)
        while (fit + total <= free) {
          fit += total
          count += 1
          total = this.batchedBytes(from + fit)
        }
        i32[w + NEEDED] = total
        this.count(w + FULLS, 1)
      }
    }
    this.countMoved(w, count, fit)
    const next = this.copyIn(w, i32[w + NEXT]!, from, fit)
    i32[w + NEXT] = next
    this.findRun(w, next)
    if (publish !== 0) i32[w + SIGNAL_DUE] = this.publish(s)
    return fit
  }

  room(s: number): number {
    const w = s >> 2
    if (this.i32[w + FAULT] !== 0 || !this.#readOut(w)) return RingStatus.FAULT
    return this.#free(w)
  }

  block(s: number, total: number): number {
    const w = s >> 2
    const i32 = this.i32
    if (i32[w + FAULT] !== 0) return RingStatus.FAULT
    const control = i32[w + CONTROL]! >>> 2
    // ORDER: the store comes before the load of `out`. The receiver stores `out`, then reads this
    // word: either it sees the request, or this sees the space.
    i32[w + PENDING] = total
    Atomics.store(this.sharedI32, control + PENDING_WORD, total)
    if (!this.#readOut(w)) return RingStatus.FAULT
    if (total > this.#free(w)) return 0
    i32[w + PENDING] = 0
    Atomics.store(this.sharedI32, control + PENDING_WORD, 0)
    return 1
  }
}
