// Zeroing takes as long as the guest says it shall: it goes on a little at a time, between the requests of others. A poll zeroes as
// many bytes as so many requests would move: what a guest orders with one command, others wait for no longer than for its reads.

import { DiskStatus } from './disk.ts'
import type { DiskRequest } from './disk.ts'
import { RequestQueue } from './request-queue.ts'

/** Bytes that one step zeroes, at most: a millisecond or so. */
const STEP_BYTES = 1 << 20
/** Bytes for each request of a poll's budget. */
const BYTES_PER_REQUEST = 1 << 14
/** Bytes that are zeroed when the request comes: guests may send hundreds of them before the next poll. */
const BYTES_AT_ONCE = 1 << 16

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
  #hasEnded = false

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
    if (isFirst) this.#step(BYTES_AT_ONCE)
  }

  /** As many bytes as `budget` is good for. How many requests got their last status here. */
  poll(budget: number): number {
    let ended = 0
    let leftBytes = budget * BYTES_PER_REQUEST
    while (leftBytes > 0 && this.#queue.head !== null) {
      const doneBytes = this.#step(Math.min(leftBytes, STEP_BYTES))
      // A request without bytes, or one that fails, costs its place.
      leftBytes -= Math.max(doneBytes, BYTES_PER_REQUEST)
      ended += this.#hasEnded ? 1 : 0
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

  /** Goes on with the first request by `mostBytes`. How many it did; `#hasEnded`: it gave the request its last status. */
  #step(mostBytes: number): number {
    const request = this.#queue.head!
    const totalBytes = request.blockCount * this.#blockBytes
    const lengthBytes = Math.min(totalBytes - this.#doneBytes, mostBytes)
    const status = this.#zero(request.block * this.#blockBytes + this.#doneBytes, lengthBytes)
    this.#doneBytes += lengthBytes
    this.#hasEnded = false
    if (status === DiskStatus.OK && this.#doneBytes < totalBytes) return lengthBytes
    this.#queue.shift()
    this.#doneBytes = 0
    request.status = status
    if (status === DiskStatus.OK) this.#finish(request)
    // `finish` may have it wait for a sync.
    this.#hasEnded = request.status !== DiskStatus.PENDING
    return lengthBytes
  }
}
