// Bytes in order: those that aren't acknowledged, or that nobody has read. Made when the first is written: a connection that never carries
// anything costs none.

export class ByteRing {
  readonly capacity: number
  #bytes: Uint8Array | null = null
  #head = 0
  #size = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get size(): number {
    return this.#size
  }

  get free(): number {
    return this.capacity - this.#size
  }

  /** Puts bytes at the end, as many as there is room for; says how many. */
  push(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.free)
    this.place(0, bytes, 0, count)
    this.#size += count
    return count
  }

  /** Writes bytes `offset` behind the end, where they stay until `grow` reaches them. The caller keeps to `free`. */
  place(offset: number, source: Uint8Array, from: number, count: number): void {
    if (count === 0) return
    this.#bytes ??= new Uint8Array(this.capacity)
    const at = (this.#head + this.#size + offset) % this.capacity
    const first = Math.min(count, this.capacity - at)
    this.#bytes.set(source.subarray(from, from + first), at)
    if (first < count) this.#bytes.set(source.subarray(from + first, from + count), 0)
  }

  /** What was placed directly behind the end belongs to it. */
  grow(count: number): void {
    this.#size += count
  }

  /** Copies bytes `offset` from the front on. The caller keeps to `size`. */
  copyOut(offset: number, target: Uint8Array, to: number, count: number): void {
    if (count === 0) return
    const at = (this.#head + offset) % this.capacity
    const first = Math.min(count, this.capacity - at)
    target.set(this.#bytes!.subarray(at, at + first), to)
    if (first < count) target.set(this.#bytes!.subarray(0, count - first), to + first)
  }

  /** Takes bytes from the front. */
  drop(count: number): void {
    this.#head = (this.#head + count) % this.capacity
    this.#size -= count
  }
}
