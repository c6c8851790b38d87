// HOT
// The buffers of a partition's message ports, at the root's end: eight queues of sixteen in the partition page, each with
// the port whose handler it feeds. Root's thread only. Positions are private; what lies in a buffer was written by a
// thread that may be hostile, and is copied once, checked, and used from the copy.

import { HV_MESSAGE_MAX_PAYLOAD, PORT_MESSAGE_BUFFERS } from '@guestyard/hvdef'

import {
  BUFFER_PAYLOAD,
  BUFFER_SIZE,
  BUFFER_TYPE,
  BUFFER_VP,
  messageBuffer,
  resetQueue,
  slotSequence,
} from './partition-page.ts'
import type { MessagePort } from './port.ts'
import { MESSAGE_QUEUES_MAX } from './vp-page.ts'

/** One queue: the port at its end, and the ticket that is read next. */
interface Queue {
  port: MessagePort | null
  head: number
}

export class PortBuffers {
  readonly #page: Int32Array
  readonly #vps: readonly unknown[]
  readonly #queues: Queue[] = Array.from({ length: MESSAGE_QUEUES_MAX }, () => ({
    port: null,
    head: 0,
  }))
  readonly #payload: Uint8Array = new Uint8Array(HV_MESSAGE_MAX_PAYLOAD)
  readonly #payloadWords: Int32Array = new Int32Array(this.#payload.buffer)
  /** Bit q: the handler of queue q refuses, and messages wait for it. */
  #stalled = 0
  received = 0
  /** Messages dropped because their buffer held what no hypercall lets through. */
  malformed = 0

  /** Empties all queues of a page that no VP has yet. `vps`: those of the partition, as they come and go. */
  constructor(page: Int32Array, vps: readonly unknown[]) {
    this.#page = page
    this.#vps = vps
    for (let queue = 0; queue < MESSAGE_QUEUES_MAX; queue++) resetQueue(page, queue)
  }

  /** A queue without a port, or -1. */
  findFree(): number {
    return this.#queues.findIndex((queue) => queue.port === null)
  }

  /** Puts a port at the end of its queue, which has none. */
  attach(port: MessagePort): void {
    const queue = this.#queues[port.queue]!
    // What was left for an earlier port is dropped. Positions go on: a VP may be in the middle of a post.
    for (let left = 0; left < PORT_MESSAGE_BUFFERS; left++) {
      if (!this.#isFull(port.queue, queue.head)) break
      this.#free(port.queue, queue)
    }
    queue.port = port
  }

  /** Takes a port from its queue. Messages that wait there are never delivered. */
  detach(port: MessagePort): void {
    this.#queues[port.queue]!.port = null
    this.#stalled &= ~(1 << port.queue)
  }

  /**
   * Hands on messages of one queue, sixteen at most, until they took `most` units: units, of which the last message may have
   * taken some too many. From `most` on there may be more to take. The handler may delete ports and partitions.
   */
  drain(index: number, most: number): number {
    const queue = this.#queues[index]!
    let done = 0
    this.#stalled &= ~(1 << index)
    for (let left = PORT_MESSAGE_BUFFERS; left > 0 && done < most && queue.port !== null; left--) {
      if (!this.#isFull(index, queue.head)) break
      if (!queue.port.handler.canReceive()) {
        this.#stalled |= 1 << index
        break
      }
      done += this.#take(queue.port, index, queue)
    }
    return done
  }

  /** True while a handler refuses and messages wait for it. */
  get isStalled(): boolean {
    return this.#stalled !== 0
  }

  /** True when a handler that refused would now accept. */
  get canResume(): boolean {
    return this.#queues.some(
      ({ port }, index) =>
        port !== null && ((this.#stalled >>> index) & 1) === 1 && port.handler.canReceive(),
    )
  }

  /** Tries again the queues whose handler refused, until they took `most` units, at least one: units. */
  retry(most: number): number {
    let done = 0
    let stalled = this.#stalled
    while (stalled !== 0 && (done === 0 || done < most)) {
      const queue = 31 - Math.clz32(stalled)
      stalled &= ~(1 << queue)
      const allowed = Math.max(1, most - done)
      const taken = this.drain(queue, allowed)
      done += taken
      // What is left of an old announcement is announced by nobody: it waits on for the next try.
      if (taken >= allowed && this.#queues[queue]!.port !== null) this.#stalled |= 1 << queue
    }
    return done
  }

  #isFull(index: number, head: number): boolean {
    return Atomics.load(this.#page, slotSequence(index, head)) === ((head + 1) | 0)
  }

  /** Gives the buffer at the head back, for the ticket sixteen later. */
  #free(index: number, queue: Queue): void {
    const next = (queue.head + PORT_MESSAGE_BUFFERS) | 0
    Atomics.store(this.#page, slotSequence(index, queue.head), next)
    queue.head = (queue.head + 1) | 0
  }

  /** Units that the message took. */
  #take(port: MessagePort, index: number, queue: Queue): number {
    const buffer = messageBuffer(index, queue.head)
    const type = this.#page[buffer + BUFFER_TYPE]!
    const size = this.#page[buffer + BUFFER_SIZE]! >>> 0
    const vp = this.#page[buffer + BUFFER_VP]! >>> 0
    const valid = type > 0 && size <= HV_MESSAGE_MAX_PAYLOAD && vp < this.#vps.length
    const words = valid ? (size + 3) >>> 2 : 0
    for (let word = 0; word < words; word++) {
      this.#payloadWords[word] = this.#page[buffer + BUFFER_PAYLOAD + word]!
    }
    // ORDER: the buffer is copied out before it is given back.
    this.#free(index, queue)
    if (!valid) {
      this.malformed++
      return 1
    }
    this.received++
    port.handler.receiveMessage(type, this.#payload, size, vp)
    return port.handler.messageUnits ?? 1
  }
}
