// A list of 4 KiB pages of one RAM, in the order a guest gave them: the memory behind a GPADL.

import { PAGE_OFFSET_MASK, PAGE_SHIFT, PAGE_SIZE, assert } from '@guestyard/hvdef'
import type { GuestMemory } from './guest-memory.ts'

/**
 * Pages of one RAM that together hold `pageCount * 4096` bytes, wherever each page lies. Every page
 * was checked to be RAM when the list was made, and RAM never shrinks, so what the list says stays
 * good. Offsets are bytes from the start of the first page.
 */
export class PageList {
  readonly memory: GuestMemory
  readonly pfns: Uint32Array
  /** True when the pages follow each other in RAM, so that the whole is one run. */
  readonly contiguous: boolean

  private constructor(memory: GuestMemory, pfns: Uint32Array) {
    this.memory = memory
    this.pfns = pfns
    this.contiguous = isContiguous(pfns)
  }

  /**
   * The pages with these frame numbers, or undefined when one of them is not RAM. Pages may repeat.
   */
  static from(memory: GuestMemory, pfns: ArrayLike<number>): PageList | undefined {
    const copy = new Uint32Array(pfns.length)
    for (let index = 0; index < pfns.length; index += 1) {
      const pfn = pfns[index]!
      if (!Number.isInteger(pfn) || !memory.contains(pfn * PAGE_SIZE, PAGE_SIZE)) return undefined
      copy[index] = pfn
    }
    return new PageList(memory, copy)
  }

  /** `pageCount` pages from `firstPfn` on, or undefined when some of them are not RAM. */
  static contiguous(
    memory: GuestMemory,
    firstPfn: number,
    pageCount: number,
  ): PageList | undefined {
    if (!memory.contains(firstPfn * PAGE_SIZE, pageCount * PAGE_SIZE)) return undefined
    const pfns = new Uint32Array(pageCount)
    for (let index = 0; index < pageCount; index += 1) pfns[index] = firstPfn + index
    return new PageList(memory, pfns)
  }

  get pageCount(): number {
    return this.pfns.length
  }

  get lengthBytes(): number {
    return this.pfns.length * PAGE_SIZE
  }

  /** Byte address in RAM of the byte at `offsetBytes`, which lies inside the list. */
  addressOf(offsetBytes: number): number {
    assert(
      offsetBytes >= 0 && offsetBytes < this.lengthBytes,
      'The offset lies inside the page list.',
    )
    return this.pfns[offsetBytes >>> PAGE_SHIFT]! * PAGE_SIZE + (offsetBytes & PAGE_OFFSET_MASK)
  }

  /** Bytes from `offsetBytes` on that follow each other in RAM. */
  runLengthAt(offsetBytes: number): number {
    assert(
      offsetBytes >= 0 && offsetBytes < this.lengthBytes,
      'The offset lies inside the page list.',
    )
    let page = offsetBytes >>> PAGE_SHIFT
    while (page + 1 < this.pfns.length && this.pfns[page + 1] === this.pfns[page]! + 1) page += 1
    return (page + 1) * PAGE_SIZE - offsetBytes
  }

  /** `pageCount` pages from page `firstPage` on, as a list of their own. */
  slice(firstPage: number, pageCount: number): PageList {
    assert(firstPage >= 0 && pageCount >= 0, 'A slice begins and ends at a page.')
    assert(pageCount <= this.pfns.length - firstPage, 'A slice lies inside its page list.')
    return new PageList(this.memory, this.pfns.slice(firstPage, firstPage + pageCount))
  }
}

function isContiguous(pfns: Uint32Array): boolean {
  for (let index = 1; index < pfns.length; index += 1) {
    if (pfns[index] !== pfns[index - 1]! + 1) return false
  }
  return true
}
