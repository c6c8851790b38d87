// Zeroing takes as long as the guest says it shall: it goes on a few MiB at a time, between the requests of others.

import { DiskStatus } from './disk.ts'
import type { DiskRequest } from './disk.ts'
import { RequestQueue } from './request-queue.ts'

/** Bytes that one step zeroes, at most: a millisecond or so. */
const STEP_BYTES = 1 << 20

/** Makes bytes of the disk zero: OK, or the status that ends the request. */
export type ZeroBytes = (positionBytes: number, lengthBytes: number) => DiskStatus

/** WRITE_ZEROES requests (and UNMAP, where it is the same), one after the other. */
export class ZeroQueue {
  readonly #zero: ZeroBytes
  readonly #blockBytes: number
  /** Called when the blocks are zero and the request is left to end, with `durable` looked after by its owner. */
  readonly #finish: (request: DiskRequest) => void
  readonly #queue = new RequestQueue()
  /** Bytes of the first request that are zero already. */
  #doneBytes = 0

  constructor(blockBytes: number, zero: ZeroBytes, finish: (request: DiskRequest) => void) {
    this.#blockBytes = blockBytes
    this.#zero = zero
    this.#finish = finish
  }

  get isEmpty(): boolean {
    return this.#queue.head === null
  }

  /** Begins, and ends at once what is short. */
  submit(request: DiskRequest): void {
    request.status = DiskStatus.PENDING
    const isFirst = this.#queue.head === null
    this.#queue.push(request)
    if (isFirst) this.#step()
  }

  /** At most `budget` steps. How many requests got their last status here. */
  poll(budget: number): number {
    let ended = 0
    for (let step = 0; step < budget && this.#queue.head !== null; step++) {
      if (this.#step()) ended += 1
    }
    return ended
  }

  /** False: it is not here. */
  abort(request: DiskRequest): boolean {
    if (request === this.#queue.head) this.#doneBytes = 0
    const here = this.#queue.remove(request)
    if (here) request.status = DiskStatus.ABORTED
    return here
  }

  abortAll(): void {
    this.#queue.endAll(DiskStatus.ABORTED)
    this.#doneBytes = 0
  }

  /** True when it gave the first request its last status. */
  #step(): boolean {
    const request = this.#queue.head!
    const totalBytes = request.blockCount * this.#blockBytes
    const lengthBytes = Math.min(totalBytes - this.#doneBytes, STEP_BYTES)
    const status = this.#zero(request.block * this.#blockBytes + this.#doneBytes, lengthBytes)
    this.#doneBytes += lengthBytes
    if (status === DiskStatus.OK && this.#doneBytes < totalBytes) return false
    this.#queue.shift()
    this.#doneBytes = 0
    request.status = status
    if (status === DiskStatus.OK) this.#finish(request)
    // `finish` may have it wait for a sync.
    return request.status !== DiskStatus.PENDING
  }
}
