/**
 * A guest that moves blocks as fast as its disk lets it: so many requests under way at a time, without promises, into and out of pages
 * of its own. The same program for every disk, whatever controller it is on.
 */

import type { BlockRequest, DmaBuffer, Guest, GuestDisk } from '@guestyard/child-partition'

/** What a host asks for with `transfers`. */
export interface TransfersAsked {
  /** Disk by address. */
  readonly disk: string
  readonly access: 'random-read' | 'sequential-read' | 'sequential-write'
  readonly bytes: number
  /** Requests at a time. */
  readonly depth: number
  readonly requests: number
  readonly seed: number
}

export async function main(guest: Guest): Promise<void> {
  guest.expose({
    async transfers(data) {
      const asked = data as TransfersAsked
      const disk = await guest.disks.get(asked.disk)
      const buffer = guest.dma.alloc(asked.bytes * asked.depth)
      try {
        return await new Transfers(disk, buffer, asked).run()
      } finally {
        buffer.free()
      }
    },
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

class Transfers {
  readonly #disk: GuestDisk
  readonly #asked: TransfersAsked
  readonly #slots: readonly BlockRequest[]
  readonly #blocks: number
  readonly #places: number
  readonly #ended: PromiseWithResolvers<void> = Promise.withResolvers()
  #state: number
  #toSubmit: number
  #left: number

  constructor(disk: GuestDisk, buffer: DmaBuffer, asked: TransfersAsked) {
    this.#disk = disk
    this.#asked = asked
    this.#blocks = asked.bytes / disk.blockBytes
    this.#places = Math.floor(disk.blockCount / this.#blocks)
    this.#state = asked.seed | 1
    this.#toSubmit = asked.requests
    this.#left = asked.requests
    this.#slots = Array.from({ length: asked.depth }, (_, index) => {
      const pages = Math.ceil(asked.bytes / 4096)
      const slot = disk.queue.request(pages, (request) => this.#onEnd(request))
      slot.setData(buffer.gpa + index * asked.bytes, asked.bytes)
      return slot
    })
  }

  /** Nanoseconds of a request. */
  async run(): Promise<number> {
    const began = performance.now()
    for (const slot of this.#slots) this.#submit(slot)
    this.#disk.queue.publish()
    await this.#ended.promise
    return ((performance.now() - began) * 1e6) / this.#asked.requests
  }

  #onEnd(slot: BlockRequest): void {
    const problem = this.#disk.queue.problem(slot)
    if (problem !== null) this.#ended.reject(new Error(problem))
    this.#left -= 1
    if (this.#left === 0) this.#ended.resolve()
    else this.#submit(slot)
  }

  #submit(slot: BlockRequest): void {
    if (this.#toSubmit === 0) return
    this.#toSubmit -= 1
    const block = this.#next() * this.#blocks
    const { queue } = this.#disk
    const isWrite = this.#asked.access === 'sequential-write'
    const isTaken = isWrite
      ? queue.write(slot, block, this.#blocks, false)
      : queue.read(slot, block, this.#blocks)
    if (!isTaken) this.#ended.reject(new Error('the disk is gone'))
  }

  /** A place: Marsaglia's xorshift of 32 bits, or the next. */
  #next(): number {
    let x = this.#state
    if (this.#asked.access === 'random-read') {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
    } else {
      x = (x + 1) | 0
    }
    this.#state = x
    return (x >>> 0) % this.#places
  }
}
