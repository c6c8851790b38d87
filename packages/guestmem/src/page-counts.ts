// HOT
// How often each page of a GPA space is mapped, for reading and for writing: what a DMA domain knows. Chunks of 2 MiB
// come when a page of theirs is first mapped. Some stay when the last is unmapped: a device maps the same pages again and again.

import { assert } from '@guestyard/hvdef'

import { SLAT_CHUNK_PAGES, SLAT_CHUNK_SHIFT, SlatRight } from './slat-layout.ts'

const COUNT_MAX = 0xffff
/** Chunks that stay without mapped pages: 2 KiB each, so half a MiB for a device whose requests go all over 512 MiB. */
const EMPTY_CHUNKS_MAX = 256

class Chunk {
  /** Counts of page n: 2n for reading, 2n + 1 for writing. */
  readonly counts: Uint16Array = new Uint16Array(2 * SLAT_CHUNK_PAGES)
  /** Sum of all counts. */
  used = 0
}

/** Which of a page's two counts. */
const READS = 0
const WRITES = 1

/** Stands for a chunk that there is not: nothing of it is mapped. */
const NO_CHUNK = new Chunk()

/** Root's thread only. `access` is READ, WRITE or both. */
export class PageCounts {
  readonly #chunks: Map<number, Chunk> = new Map()
  // The chunk of the latest page: the next page is mostly of the same.
  #number = -1
  #chunk: Chunk | undefined = undefined
  /** Chunks without mapped pages. */
  #empty = 0

  /** Chunks that have mapped pages. */
  get chunks(): number {
    return this.#chunks.size - this.#empty
  }

  /** Counts the first `count` pages. How many were counted: less than all when the next has been mapped 65,535 times. */
  add(pages: Uint32Array, count: number, access: number): number {
    const reads = (access & SlatRight.READ) !== 0
    const added = reads ? this.#addEach(pages, count, READS) : count
    if ((access & SlatRight.WRITE) === 0) return added
    const written = this.#addEach(pages, added, WRITES)
    if (reads && written < added) this.#removeEach(pages, written, added, READS)
    return written
  }

  /** Takes back the first `count` pages of an `add` that counted them. */
  remove(pages: Uint32Array, count: number, access: number): void {
    if ((access & SlatRight.READ) !== 0) this.#removeEach(pages, 0, count, READS)
    if ((access & SlatRight.WRITE) !== 0) this.#removeEach(pages, 0, count, WRITES)
  }

  /** True when the page is mapped for all of `access`. */
  allows(page: number, access: number): boolean {
    const chunk = this.#find(page >>> SLAT_CHUNK_SHIFT)
    if (chunk === undefined) return false
    const at = (page & (SLAT_CHUNK_PAGES - 1)) << 1
    if ((access & SlatRight.READ) !== 0 && chunk.counts[at] === 0) return false
    return (access & SlatRight.WRITE) === 0 || chunk.counts[at + 1] !== 0
  }

  /** True when any of these pages is mapped. */
  touches(firstPage: number, pageCount: number): boolean {
    for (const [number, chunk] of this.#chunks) {
      const base = number << SLAT_CHUNK_SHIFT
      const from = Math.max(firstPage, base)
      const end = Math.min(firstPage + pageCount, base + SLAT_CHUNK_PAGES)
      for (let page = from; page < end; page++) {
        const at = (page - base) << 1
        if (chunk.counts[at] !== 0 || chunk.counts[at + 1] !== 0) return true
      }
    }
    return false
  }

  // Neighbours are mostly of one chunk: what is known of it is settled when the next begins.
  #addEach(pages: Uint32Array, count: number, which: number): number {
    let chunk = NO_CHUNK
    let { counts } = chunk
    let number = -1
    let added = 0
    let index = 0
    for (; index < count; index++) {
      const page = pages[index]!
      if (page >>> SLAT_CHUNK_SHIFT !== number) {
        this.#settle(chunk, added)
        added = 0
        number = page >>> SLAT_CHUNK_SHIFT
        chunk = this.#find(number) ?? this.#make(number)
        counts = chunk.counts
      }
      const at = ((page & (SLAT_CHUNK_PAGES - 1)) << 1) | which
      const before = counts[at]!
      if (before === COUNT_MAX) break
      counts[at] = before + 1
      added += 1
    }
    this.#settle(chunk, added)
    return index
  }

  #removeEach(pages: Uint32Array, from: number, to: number, which: number): void {
    let chunk = NO_CHUNK
    let { counts } = chunk
    let number = -1
    let removed = 0
    for (let index = from; index < to; index++) {
      const page = pages[index]!
      if (page >>> SLAT_CHUNK_SHIFT !== number) {
        this.#settle(chunk, -removed)
        if (removed > 0 && chunk.used === 0) this.#letGo(number)
        removed = 0
        number = page >>> SLAT_CHUNK_SHIFT
        chunk = this.#find(number) ?? NO_CHUNK
        counts = chunk.counts
      }
      const at = ((page & (SLAT_CHUNK_PAGES - 1)) << 1) | which
      const before = counts[at]!
      assert(before > 0, 'A page that is unmapped was mapped.')
      counts[at] = before - 1
      removed += 1
    }
    this.#settle(chunk, -removed)
    if (removed > 0 && chunk.used === 0) this.#letGo(number)
  }

  /** So many more pages of the chunk are mapped, or less. */
  #settle(chunk: Chunk, pages: number): void {
    if (pages > 0 && chunk.used === 0) this.#empty -= 1
    chunk.used += pages
  }

  #make(number: number): Chunk {
    const chunk = new Chunk()
    this.#chunks.set(number, chunk)
    this.#chunk = chunk
    this.#empty += 1
    return chunk
  }

  /** The last page of a chunk was unmapped. */
  #letGo(number: number): void {
    if (this.#empty < EMPTY_CHUNKS_MAX) {
      this.#empty += 1
      return
    }
    this.#chunks.delete(number)
    this.#chunk = undefined
  }

  #find(number: number): Chunk | undefined {
    if (number !== this.#number) {
      this.#number = number
      this.#chunk = this.#chunks.get(number)
    }
    return this.#chunk
  }
}
