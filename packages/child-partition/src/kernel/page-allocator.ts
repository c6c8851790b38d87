// Which pages of the guest's RAM are in use. Cold: asked when a channel opens or closes, never per packet.

export type Placement = 'contiguous' | 'scattered'

/**
 * Hands out 4 KiB pages of guest RAM by page frame number.
 *
 * `contiguous` gives one run where there is one and any free pages where there is none; `scattered` never gives
 * two neighbours in a row, so that nothing may come to rely on contiguity.
 */
export class PageAllocator {
  #used: Uint8Array
  readonly #firstPfn: number
  readonly #placement: Placement
  #free: number

  /** Owns `pageCount` pages from `firstPfn` on. */
  constructor(firstPfn: number, pageCount: number, placement: Placement) {
    this.#used = new Uint8Array(pageCount)
    this.#firstPfn = firstPfn
    this.#placement = placement
    this.#free = pageCount
  }

  /** RAM has grown: `pageCount` pages more at the end. */
  extend(pageCount: number): void {
    const used = new Uint8Array(this.#used.length + pageCount)
    used.set(this.#used)
    this.#used = used
    this.#free += pageCount
  }

  get pageCount(): number {
    return this.#used.length
  }

  get freePages(): number {
    return this.#free
  }

  /** `count` page frame numbers in the order the caller is to use them, or undefined when RAM is exhausted. */
  allocate(count: number): Uint32Array | undefined {
    if (count < 1 || count > this.#free) return undefined
    const run = this.#placement === 'contiguous' ? this.#findRun(count) : -1
    const pfns = run >= 0 ? this.#takeRun(run, count) : this.#takeAny(count)
    this.#free -= count
    return pfns
  }

  /** As `allocate`, and always neighbours in order; undefined when no such run is free. */
  allocateRun(count: number): Uint32Array | undefined {
    if (count < 1 || count > this.#free) return undefined
    const run = this.#findRun(count)
    if (run < 0) return undefined
    this.#free -= count
    return this.#takeRun(run, count)
  }

  /** Gives pages back. Pages that are not allocated, or not ours, are ignored. */
  free(pfns: ArrayLike<number>): void {
    for (let i = 0; i < pfns.length; i += 1) {
      const index = pfns[i]! - this.#firstPfn
      if (this.#used[index] !== 1) continue
      this.#used[index] = 0
      this.#free += 1
    }
  }

  #findRun(count: number): number {
    let start = 0
    for (let i = 0; i < this.#used.length; i += 1) {
      if (this.#used[i] === 1) start = i + 1
      else if (i - start + 1 === count) return start
    }
    return -1
  }

  #takeRun(start: number, count: number): Uint32Array {
    this.#used.fill(1, start, start + count)
    return Uint32Array.from({ length: count }, (_, i) => this.#firstPfn + start + i)
  }

  /** Every second free page from the top down, then the rest: neighbours in the list are none in RAM. */
  #takeAny(count: number): Uint32Array {
    const pfns = new Uint32Array(count)
    let taken = 0
    for (const parity of [0, 1]) {
      for (let i = this.#used.length - 1 - parity; i >= 0 && taken < count; i -= 2) {
        if (this.#used[i] === 1) continue
        this.#used[i] = 1
        pfns[taken] = this.#firstPfn + i
        taken += 1
      }
    }
    return pfns
  }
}
