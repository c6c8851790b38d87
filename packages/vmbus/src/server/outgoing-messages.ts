// Messages on their way to the guest. While the guest leaves its message slot full they wait here, in
// order; the queue's bound is computed, not hoped for (limits.ts), so that it is asserted, not handled.

import { HvStatus, assert } from '@guestyard/hvdef'
import type { ServerTransport } from './transport.ts'

interface QueuedMessage {
  readonly vp: number
  readonly payload: Uint8Array
}

export class OutgoingMessages {
  /** Messages delivered, and messages that no slot could ever take. */
  readonly counts: { sent: number; undeliverable: number } = { sent: 0, undeliverable: 0 }
  readonly #transport: ServerTransport
  readonly #bound: number
  #queue: QueuedMessage[] = []
  // Delivered messages at the front of the queue, dropped when it is empty or half of it.
  #head = 0

  constructor(transport: ServerTransport, bound: number) {
    this.#transport = transport
    this.#bound = bound
  }

  /** Messages that wait. */
  get length(): number {
    return this.#queue.length - this.#head
  }

  /** Appends a message. It is sent by the next `flush`. */
  push(vp: number, payload: Uint8Array): void {
    assert(this.length < this.#bound, 'The queue holds what the host can owe a guest.')
    this.#queue.push({ vp, payload })
  }

  /** Sends what the guest has room for; returns how many messages left the queue. */
  flush(): number {
    let left = 0
    for (;;) {
      const message = this.#queue[this.#head]
      if (message === undefined) break
      const { vp, payload } = message
      const status = this.#transport.postMessage(vp, payload, payload.length)
      if (status === HvStatus.INSUFFICIENT_BUFFERS) break
      if (status === HvStatus.SUCCESS) this.counts.sent += 1
      else this.counts.undeliverable += 1
      this.#head += 1
      left += 1
    }
    this.#compact()
    return left
  }

  /** Forgets what waits: it belonged to a connection that is over. */
  clear(): void {
    this.#queue = []
    this.#head = 0
  }

  #compact(): void {
    if (this.#head * 2 < this.#queue.length) return
    this.#queue = this.#queue.slice(this.#head)
    this.#head = 0
  }
}
