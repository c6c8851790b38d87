// RAM of the guest's own for devices: runs of pages, whatever placement the guest's rings have.

import { PAGE_SHIFT, PAGE_SIZE } from '@guestyard/hvdef'
import type { GuestMemory } from '@guestyard/guestmem'

import type { DmaBuffer, GuestDma } from '../api/disks.ts'
import type { PageAllocator } from '../kernel/page-allocator.ts'

export class PageDma implements GuestDma {
  readonly #memory: GuestMemory
  readonly #pages: PageAllocator

  constructor(memory: GuestMemory, pages: PageAllocator) {
    this.#memory = memory
    this.#pages = pages
  }

  alloc(byteLength: number): DmaBuffer {
    if (!(Number.isSafeInteger(byteLength) && byteLength > 0)) {
      throw new RangeError(`${byteLength} is no number of bytes`)
    }
    const count = Math.ceil(byteLength / PAGE_SIZE)
    const pfns = this.#pages.allocateRun(count)
    if (pfns === undefined) throw new Error(`no ${count} pages in a row are free`)
    const gpa = pfns[0]! * PAGE_SIZE
    return {
      gpa,
      bytes: this.#memory.u8.subarray(gpa, gpa + (count << PAGE_SHIFT)),
      free: () => this.#pages.free(pfns),
    }
  }
}
