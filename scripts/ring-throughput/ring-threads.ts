/** The threads of a ring measurement, kept from task to task so that their code stays compiled. */

import { Worker } from 'node:worker_threads'

import { PAGE_SIZE } from '@guestyard/hvdef'
import { WASM_PAGE_SIZE, wasm } from '@guestyard/guestmem'
import { DOORBELL_BYTES, initializeRing } from '@guestyard/ring'
import type { RingPages } from '@guestyard/ring'

import { FLAG_ENDED, FLAG_STOP, FLAGS } from './ring-tasks.ts'
import type {
  AskResult,
  BenchAnswer,
  BenchLink,
  BenchTask,
  BenchWorkerData,
  ReceiveResult,
  SendResult,
  SendWay,
  WaitWay,
} from './ring-tasks.ts'

/** Bytes of data of every ring that is measured, ours and the others'. */
export const RING_BYTES: number = 1 << 20

export interface RingThreadsOptions {
  readonly senders?: number
  /** Pages in an order of their own, no two neighbours side by side. */
  readonly scattered?: boolean
  readonly kernel?: 'wasm' | 'typed'
}

export interface OneWayResult {
  readonly packetsPerSecond: number
  readonly errors: number
  readonly senderHeapBytesPerPacket: number
  readonly receiverHeapBytesPerPacket: number
}

export class RingThreads {
  readonly #senders: readonly Worker[]
  readonly #receiver: Worker
  readonly #flags: Int32Array

  constructor(options: RingThreadsOptions = {}) {
    const count = options.senders ?? 1
    const kernel = options.kernel ?? 'wasm'
    const flags = new SharedArrayBuffer(4 * FLAGS)
    const links = Array.from({ length: count }, () => makeLink(options.scattered ?? false))
    this.#flags = new Int32Array(flags)
    this.#senders = links.map((link) => start({ links: [link], side: 'a', flags, kernel }))
    this.#receiver = start({ links, side: 'b', flags, kernel })
  }

  /** Packets one way from every sender for `measureMs`. */
  async oneWay(
    way: SendWay,
    payloadBytes: number,
    batch: number,
    measureMs: number,
  ): Promise<OneWayResult> {
    this.#flags[FLAG_STOP] = 0
    this.#flags[FLAG_ENDED] = 0
    const senders = this.#senders.length
    const received = ask<ReceiveResult>(this.#receiver, { is: 'receive', senders, measureMs })
    const sent = await Promise.all(
      this.#senders.map((sender) =>
        ask<SendResult>(sender, { is: 'send', way, payloadBytes, batch }),
      ),
    )
    const result = await received
    return {
      packetsPerSecond: result.packets / result.seconds,
      errors: result.errors,
      senderHeapBytesPerPacket: Math.max(...sent.map((one) => one.heapBytesPerPacket)),
      receiverHeapBytesPerPacket: result.heapBytesPerPacket,
    }
  }

  /** Round trips between the first sender and the receiver for `measureMs`. */
  async roundTrips(wait: WaitWay, measureMs: number): Promise<AskResult> {
    const answered = ask(this.#receiver, { is: 'answer', wait })
    const result = await ask<AskResult>(this.#senders[0]!, { is: 'ask', wait, measureMs })
    await answered
    return result
  }

  /** Round trips of a word between the two event loops: bare `Atomics.waitAsync` and `notify`, no ring. */
  async bareRoundTrips(measureMs: number): Promise<AskResult> {
    const answered = ask(this.#receiver, { is: 'answer bare' })
    const result = await ask<AskResult>(this.#senders[0]!, { is: 'ask bare', measureMs })
    await answered
    return result
  }

  async close(): Promise<void> {
    await Promise.all([...this.#senders, this.#receiver].map((worker) => worker.terminate()))
  }
}

function start(data: BenchWorkerData): Worker {
  return new Worker(new URL('ring-worker.ts', import.meta.url), { workerData: data })
}

/** The answer to one task; a thread that dies instead rejects. */
function ask<T extends BenchAnswer>(worker: Worker, task: BenchTask): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', (answer: T) => {
      worker.off('error', reject)
      resolve(answer)
    })
    worker.postMessage(task)
  })
}

function makeLink(scattered: boolean): BenchLink {
  const pages = 2 * (1 + RING_BYTES / PAGE_SIZE)
  const initial = Math.ceil((pages * PAGE_SIZE) / WASM_PAGE_SIZE)
  const shared = new wasm.Memory({ initial, maximum: initial, shared: true })
  // A stride that has no common factor with the count visits every page, and no two neighbours in
  // turn.
  const stride = scattered ? 71 : 1
  const order = Array.from({ length: pages }, (_, index) => (index * stride) % pages)
  const ring = (first: number): RingPages => ({
    shared,
    controlAt: order[first]! * PAGE_SIZE,
    dataAt: Uint32Array.from(order.slice(first + 1, first + pages / 2), (page) => page * PAGE_SIZE),
  })
  const link = {
    aToB: ring(0),
    bToA: ring(pages / 2),
    doorbells: new SharedArrayBuffer(2 * DOORBELL_BYTES),
  }
  initializeRing(link.aToB)
  initializeRing(link.bToA)
  return link
}
