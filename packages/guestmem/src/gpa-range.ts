// HOT. The walk over parsed page ranges: what a device touches of its guest's memory, page by page through its domain.

import { PAGE_OFFSET_MASK, PAGE_SHIFT, PAGE_SIZE, assert } from '@guestyard/hvdef'
import type { CopyKernel } from './copy-kernel.ts'
import type { DmaDomain } from './dma-domain.ts'
import type { PageRangeTable } from './page-range-table.ts'

/**
 * Walks the bytes of parsed ranges as runs: stretches that follow each other in RAM. Made once,
 * used for each request.
 *
 * ```ts
 * walker.begin(domain, SlatRight.READ, 0, table.rangeCount, 0, table.totalBytes)
 * while (walker.next()) use(walker.address, walker.lengthBytes)
 * if (walker.outside) answerWithFailure()
 * ```
 */
export class PageRangeWalker {
  /** Address in RAM and length of the run that `next` found. */
  address = 0
  lengthBytes = 0
  /** True once a page was met that the device may not reach: fail the request. No run of it was handed out. */
  outside = false
  readonly #table: PageRangeTable
  #domain: DmaDomain | null = null
  #access = 0
  #range = 0
  #rangeEnd = 0
  #offset = 0
  #left = 0

  constructor(table: PageRangeTable) {
    this.#table = table
  }

  /**
   * Starts over `rangeCount` ranges from `firstRange` on, seen as one sequence of bytes: skips
   * `skipBytes`, then walks `lengthBytes`. False when the ranges are shorter than that. Each page is
   * asked of the device's domain when it is reached; `access` is READ or WRITE (SlatRight).
   */
  begin(
    domain: DmaDomain,
    access: number,
    firstRange: number,
    rangeCount: number,
    skipBytes: number,
    lengthBytes: number,
  ): boolean {
    const table = this.#table
    assert(firstRange + rangeCount <= table.rangeCount, 'The walk stays inside the parsed ranges.')
    domain.sampleOverlays()
    this.#domain = domain
    this.#access = access
    this.outside = false
    this.#left = 0
    let range = firstRange
    let skip = skipBytes
    let available = -skipBytes
    for (let index = 0; index < rangeCount; index += 1) {
      available += table.byteCounts[firstRange + index]!
    }
    if (lengthBytes > available) return false
    while (range < firstRange + rangeCount && skip >= table.byteCounts[range]!) {
      skip -= table.byteCounts[range]!
      range += 1
    }
    this.#range = range
    this.#rangeEnd = firstRange + rangeCount
    this.#offset = skip
    this.#left = lengthBytes
    return true
  }

  /** Finds the next run. False at the end, or when a page may not be reached (`outside`). */
  next(): boolean {
    const domain = this.#domain
    if (domain === null || this.#left === 0 || this.#range === this.#rangeEnd) return false
    const table = this.#table
    const range = this.#range
    const inRange = table.byteCounts[range]! - this.#offset
    const wanted = inRange < this.#left ? inRange : this.#left
    const from = table.byteOffsets[range]! + this.#offset
    let page = table.firstPages[range]! + (from >>> PAGE_SHIFT)
    const ramPage = domain.translate(table.pfns[page]!, this.#access)
    if (ramPage < 0) return this.#stop()
    let length = PAGE_SIZE - (from & PAGE_OFFSET_MASK)
    let last = ramPage
    while (length < wanted && domain.peek(table.pfns[page + 1]!, this.#access) === last + 1) {
      length += PAGE_SIZE
      page += 1
      last += 1
    }
    if (length > wanted) length = wanted
    this.address = ramPage * PAGE_SIZE + (from & PAGE_OFFSET_MASK)
    this.lengthBytes = length
    this.#left -= length
    this.#offset += length
    if (this.#offset === table.byteCounts[range]!) {
      this.#range += 1
      this.#offset = 0
    }
    return true
  }

  #stop(): false {
    this.outside = true
    this.#left = 0
    return false
  }
}

/**
 * Copies what the walker still has to walk into `local` at `localAt`. Bytes copied; look at
 * `walker.outside`.
 */
export function copyFromRanges(
  walker: PageRangeWalker,
  kernel: CopyKernel,
  localAt: number,
): number {
  let copied = 0
  while (walker.next()) {
    kernel.toLocal(localAt + copied, walker.address, walker.lengthBytes)
    copied += walker.lengthBytes
  }
  return copied
}

/**
 * Copies `local` at `localAt` over what the walker still has to walk. Bytes copied; look at
 * `walker.outside`.
 */
export function copyToRanges(walker: PageRangeWalker, kernel: CopyKernel, localAt: number): number {
  let copied = 0
  while (walker.next()) {
    kernel.toRemote(walker.address, localAt + copied, walker.lengthBytes)
    copied += walker.lengthBytes
  }
  return copied
}
