// The requests behind the promises of one disk: as many as are under way at a time, each with pages of its own for data that lies
// outside the guest's RAM. Both are made when they are needed first, and kept.

import { PAGE_SIZE } from '@guestyard/hvdef'

import type { BlockQueue, BlockRequest } from '../api/disks.ts'
import type { PageAllocator } from '../kernel/page-allocator.ts'

/** One request, while it belongs to one transfer. */
export class TransferSlot {
  readonly request: BlockRequest
  /** Pages for copies, or none yet. */
  pages: Uint32Array | null = null
  #ended: ((problem: string | null) => void) | null = null

  constructor(queue: BlockQueue, maxPages: number) {
    this.request = queue.request(maxPages, (request) => {
      const ended = this.#ended
      this.#ended = null
      ended?.(queue.problem(request))
    })
  }

  /** Submits by `submit`; resolves with what is wrong with it, or null, when it has ended. */
  run(submit: (request: BlockRequest) => boolean): Promise<string | null> {
    const done = Promise.withResolvers<string | null>()
    this.#ended = done.resolve
    if (!submit(this.request)) {
      this.#ended = null
      return Promise.resolve('the disk is gone')
    }
    return done.promise
  }
}

/** Pages of a slot for copies: 64 KiB at a time are as fast as more. */
export const BOUNCE_PAGES = 16

export class TransferSlots {
  readonly #queue: BlockQueue
  readonly #allocator: PageAllocator
  readonly #maxPages: number
  readonly #free: TransferSlot[] = []
  readonly #waiting: ((slot: TransferSlot) => void)[] = []
  readonly #limit: number
  #made = 0

  /** `limit`: slots in all. `maxPages`: what one request may have. */
  constructor(queue: BlockQueue, allocator: PageAllocator, limit: number, maxPages: number) {
    this.#queue = queue
    this.#allocator = allocator
    this.#limit = limit
    this.#maxPages = maxPages
  }

  /** A slot, once one is free. */
  take(): Promise<TransferSlot> {
    const slot = this.#free.pop()
    if (slot !== undefined) return Promise.resolve(slot)
    if (this.#made < this.#limit) {
      this.#made += 1
      return Promise.resolve(new TransferSlot(this.#queue, this.#maxPages))
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  release(slot: TransferSlot): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(slot)
    else next(slot)
  }

  /** Sees to it that the slot has pages for copies, which it keeps. How many; 0 when RAM has none at all left. */
  bounce(slot: TransferSlot): number {
    slot.pages ??= this.#allocator.allocate(BOUNCE_PAGES) ?? this.#allocator.allocate(1) ?? null
    return slot.pages?.length ?? 0
  }

  /** The disk is gone: pages go back, of slots that are free. */
  dispose(): void {
    for (const slot of this.#free) {
      if (slot.pages !== null) this.#allocator.free(slot.pages)
      slot.pages = null
    }
  }
}

/** Puts `lengthBytes` bytes of pages into the request. */
export function setPages(request: BlockRequest, pages: Uint32Array, lengthBytes: number): void {
  const count = Math.ceil(lengthBytes / PAGE_SIZE)
  for (let page = 0; page < count; page += 1) request.pfns[page] = pages[page]!
  request.offsetBytes = 0
  request.lengthBytes = lengthBytes
}
