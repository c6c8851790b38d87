// A load device and a guest that has opened it, joined over a bus in one thread. For tests and examples; never
// loaded by the package itself.

import type { ChannelProgram } from '@guestyard/vmbus'
import type { ChannelOffer, ClientChannel } from '@guestyard/vmbus/client'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback, LoopbackOptions } from '@guestyard/vmbus/testing'
import { LOAD_CLASS_ID } from './protocol.ts'
import type { ChannelLoadSpec } from './protocol.ts'
import { LoadRunner } from './vsc/index.ts'
import type { LoadOutcome, LoadRunnerOptions } from './vsc/index.ts'
import { LoadVsp, RelayHub, loadOffer } from './vsp/index.ts'

/** Data bytes of each ring when a test does not say. */
const RING_BYTES = 256 * 1024
/** Guest memory when a test does not say: rings for a handful of channels. */
const MEMORY_BYTES = 4 * 1024 * 1024

export interface LoadBenchOptions extends LoopbackOptions {
  /** Shared by the partitions that relay to each other. Default: a hub of its own. */
  readonly hub?: RelayHub
  /** The partition in the hub's accounts. Default: one of its own. */
  readonly partitionKey?: number
  /** Data bytes of each ring. Default 256 KiB. */
  readonly ringBytes?: number
}

let lastKey = 0

function nextKey(): number {
  lastKey += 1
  return lastKey
}

/** One partition with a load device, its primary channel open. Nothing moves except in `pump`. */
export class LoadBench {
  readonly loopback: Loopback
  readonly vsp: LoadVsp
  readonly hub: RelayHub
  readonly channel: ClientChannel
  readonly #ringBytes: number

  constructor(options: LoadBenchOptions = {}) {
    this.hub = options.hub ?? new RelayHub()
    this.vsp = new LoadVsp({ hub: this.hub, partitionKey: options.partitionKey ?? nextKey() })
    this.#ringBytes = options.ringBytes ?? RING_BYTES
    this.loopback = createLoopback({ memoryBytes: MEMORY_BYTES, ...options })
    this.loopback.server.offer(loadOffer, this.vsp)
    this.loopback.client.connect()
    this.loopback.pump()
    this.channel = this.open(this.#offer(0))
  }

  /** Offers of this device that the guest sees, the primary first. */
  offers(): readonly ChannelOffer[] {
    return this.loopback.client.offers().filter((offer) => offer.classId === LOAD_CLASS_ID)
  }

  /** Opens an offer; nothing runs on it yet. Throws when it does not open. */
  open(offer: ChannelOffer): ClientChannel {
    const bytes = this.#ringBytes
    const channel = this.loopback.client.open(
      offer,
      { sendBytes: bytes, receiveBytes: bytes },
      { opened: () => undefined },
    )
    this.loopback.pump()
    if (channel?.state !== 'open') throw new Error('The channel did not open.')
    return channel
  }

  /** Runs `program` on `channel` and pumps until everything rests. */
  run(program: ChannelProgram, channel: ClientChannel = this.channel): void {
    channel.run(program)
    this.loopback.pump()
  }

  /** Runs a whole load on `channel` and returns its outcome; undefined when it did not come to an end. */
  runLoad(
    spec: ChannelLoadSpec,
    options: Partial<Omit<LoadRunnerOptions, 'spec' | 'onDone'>> = {},
    channel: ClientChannel = this.channel,
  ): LoadOutcome | undefined {
    let outcome: LoadOutcome | undefined
    const program = new LoadRunner(channel, {
      spec,
      nowNs: options.nowNs ?? steppingClock(),
      latency: options.latency ?? null,
      onDone: (ended) => {
        outcome = ended
      },
    })
    this.run(program, channel)
    return outcome
  }

  #offer(subChannelIndex: number): ChannelOffer {
    const found = this.offers().find((offer) => offer.subChannelIndex === subChannelIndex)
    if (found === undefined) throw new Error('The load device is not offered.')
    return found
  }
}

/** A clock that moves by `stepNs` each time it is read. */
export function steppingClock(stepNs = 1000): () => number {
  let now = 0
  return () => {
    now += stepNs
    return now
  }
}

/** A small load that every test can change: 64-byte packets, one at a time, a hundred of them. */
export function smallLoad(changes: Partial<ChannelLoadSpec> = {}): ChannelLoadSpec {
  return {
    direction: 'echo',
    payloadBytes: 64,
    batch: 1,
    loop: { kind: 'closed', window: 1 },
    warmUp: { kind: 'packets', packets: 0 },
    measure: { kind: 'packets', packets: 100 },
    ...changes,
  }
}
