/** Two threads that measure what Node offers without a bus, one task at a time. */

import { MessageChannel, Worker } from 'node:worker_threads'

import { createRingLink } from '@guestyard/ring'
import { RingBuffer } from 'ringbuf.js'

import { PEER_RING_BYTES } from './peer-protocol.ts'
import type {
  BareRingTask,
  PeerAnswer,
  PeerOrder,
  PeerTask,
  RoundTripTask,
  ThroughputTask,
} from './peer-protocol.ts'

/** What a throughput task found. */
export interface PeerThroughput {
  readonly packetsPerSecond: number
  readonly bytesPerSecond: number
  /** Packets out of sequence at the receiver. */
  readonly errors: number
}

export class PeerPair {
  readonly #sender: Worker
  readonly #receiver: Worker

  constructor() {
    const file = new URL('peer-worker.ts', import.meta.url)
    this.#sender = new Worker(file, { name: 'peer sender' })
    this.#receiver = new Worker(file, { name: 'peer receiver' })
  }

  async throughput(task: Omit<ThroughputTask, 'kind'>): Promise<PeerThroughput> {
    const [sent, received] = await this.#run({ kind: 'throughput', ...task })
    if (sent.is !== 'sent' || received.is !== 'received') throw failure(sent, received)
    const packetsPerSecond = (sent.packets / (received.untilMs - sent.fromMs)) * 1000
    const bytesPerSecond = packetsPerSecond * task.payloadBytes
    return { packetsPerSecond, bytesPerSecond, errors: received.errors }
  }

  /** Packets of both directions together where they go both ways. */
  async bareRing(task: Omit<BareRingTask, 'kind'>): Promise<PeerThroughput> {
    const [sent, received] = await this.#run({ kind: 'bare-ring', ...task })
    if (received.is !== 'received') throw failure(sent, received)
    if (sent.is !== 'sent' && sent.is !== 'moved') throw failure(sent, received)
    const untilMs = sent.is === 'moved' ? sent.untilMs : received.untilMs
    const packetsPerSecond = (sent.packets / (untilMs - sent.fromMs)) * 1000
    const bytesPerSecond = packetsPerSecond * task.payloadBytes
    const errors = received.errors + (sent.is === 'moved' ? sent.errors : 0)
    return { packetsPerSecond, bytesPerSecond, errors }
  }

  /** Nanoseconds of each round trip (of groups of them, for `spin`). */
  async roundTrips(task: Omit<RoundTripTask, 'kind'>): Promise<Float64Array> {
    const [timed, echoed] = await this.#run({ kind: 'round-trip', ...task })
    if (timed.is !== 'timed') throw failure(timed, echoed)
    return timed.roundTripsNs
  }

  async close(): Promise<void> {
    await Promise.all([this.#sender.terminate(), this.#receiver.terminate()])
  }

  async #run(task: PeerTask): Promise<[PeerAnswer, PeerAnswer]> {
    const { port1, port2 } = new MessageChannel()
    const shared = RingBuffer.getStorageForCapacity(PEER_RING_BYTES, Uint8Array)
    const channels = task.kind === 'bare-ring' ? task.channels : 0
    const links = Array.from({ length: channels }, () => createRingLink(PEER_RING_BYTES))
    const common = { task, shared, links }
    return Promise.all([
      order(this.#sender, { role: 'sender', port: port1, ...common }),
      order(this.#receiver, { role: 'receiver', port: port2, ...common }),
    ])
  }
}

/** The answer to one order; a thread that dies instead rejects. */
function order(worker: Worker, what: PeerOrder): Promise<PeerAnswer> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number): void => reject(new Error(`a peer ended with code ${code}`))
    worker.once('exit', onExit)
    worker.once('error', reject)
    worker.once('message', (answer: PeerAnswer) => {
      worker.off('exit', onExit)
      worker.off('error', reject)
      resolve(answer)
    })
    worker.postMessage(what, [what.port])
  })
}

function failure(...answers: readonly PeerAnswer[]): Error {
  const failed = answers.find((answer) => answer.is === 'failed')
  return new Error(failed === undefined ? 'the peers answered the wrong question' : failed.reason)
}
