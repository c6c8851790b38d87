// What a poll of a channel records: packets taken, caused by the peer's publishing them, and packets published.

import { TraceKind, TraceLink, traceKey, type Trace } from '@guestyard/trace'

import type { Channel, ChannelProgram } from './channel.ts'

/** A bus end's trace. */
export interface BusTrace {
  readonly trace: Trace
  /** The partition whose bus it is. */
  readonly partition: number
}

/** Packets of one end of a partition's channels. */
export class ChannelTrace {
  readonly #trace: Trace
  readonly #partition: number
  readonly #takes: TraceLink
  readonly #publishes: TraceLink

  constructor({ trace, partition }: BusTrace, end: 'root' | 'guest') {
    this.#trace = trace
    this.#partition = partition
    this.#takes = end === 'root' ? TraceLink.PACKETS_TO_ROOT : TraceLink.PACKETS_TO_VP
    this.#publishes = end === 'root' ? TraceLink.PACKETS_TO_VP : TraceLink.PACKETS_TO_ROOT
  }

  /** Polls the program. Its units. */
  poll(program: ChannelProgram, channel: Channel, budget: number): number {
    const trace = this.#trace
    const { incoming, outgoing, relid } = channel
    const before = trace.cause
    const taken = incoming.packets
    const takenBytes = incoming.bytes
    const published = outgoing.packets
    const publishedBytes = outgoing.bytes
    const units = program.poll(budget)
    if (incoming.packets !== taken) {
      const key = traceKey(this.#takes, this.#partition, 0, relid)
      const bytes = incoming.bytes - takenBytes
      trace.beginWith(key, TraceKind.PACKETS_TAKEN, relid, incoming.packets - taken, bytes)
    }
    if (outgoing.packets !== published) {
      const key = traceKey(this.#publishes, this.#partition, 0, relid)
      const bytes = outgoing.bytes - publishedBytes
      trace.beginFor(key, TraceKind.PACKETS_PUBLISHED, relid, outgoing.packets - published, bytes)
    }
    trace.cause = before
    return units
  }
}
