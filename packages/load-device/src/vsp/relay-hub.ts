// Joins relay streams: two channels, as a rule of different partitions, that named the same stream id. One hub
// serves a whole root, so it is the only thing here that knows two guests at once. It holds no packets.
//
//   state   | sender joins | receiver joins | end forwarded  | sender goes       | receiver goes
//   --------|--------------|----------------|----------------|-------------------|-------------------
//   half    | -> joined    | -> joined      |                | -> over           | -> over
//   joined  | taken        | taken          | -> over        | -> over, PEER_GONE| -> over, PEER_GONE
//   over    | the id is free for another stream
//
// Only the sender's program moves packets: it reads its own ring and writes the receiver's, and the receiver's
// program wakes it when there is room again. So order is kept for free and one loop knows about both rings.

import type { OutgoingRing } from '@guestyard/ring'
import { LOAD_STREAMS_MAX, LOAD_STREAMS_PER_PARTITION_MAX, LoadStatus } from '../protocol.ts'

/** The program that reads the sender's ring. */
export interface RelaySource {
  /** The receiver is there, or has room again: move on. */
  onRoom(): void
  /** The receiver's channel closed or failed before the end of the stream. */
  onPeerGone(): void
}

/** The program whose ring the stream ends in. */
export interface RelayTarget {
  readonly outgoing: OutgoingRing
  /** The largest payload it takes. */
  readonly payloadBytes: number
  /** False while the receiver has messages of its own to send first. */
  readonly takesPackets: boolean
  /** Packets were written to `outgoing`: publish and signal them. */
  onForwarded(packets: number, bytes: number): void
  /** The next packet does not fit `outgoing` now. */
  onFull(): void
  /** The sender ended the stream after `packets`. */
  onEnd(packets: number): void
  /** Asks the guest for a signal once `bytes` are free. True: they are already. */
  askForRoom(bytes: number): boolean
  /** The sender's channel closed or failed before the end of the stream. */
  onPeerGone(): void
}

/** One stream, from the first SETUP that names it until its end. */
export class RelayStream {
  readonly id: bigint
  source: RelaySource | null = null
  target: RelayTarget | null = null
  /** Partitions of the two ends. Written by the hub alone. */
  sourceKey: number | null = null
  targetKey: number | null = null
  /** The source left packets in its ring: `onRoom` it when the target can take them. */
  isWaiting = false
  /** Bytes that the source needs free in the target's ring; 0 when it waits for something else. */
  neededBytes = 0
  readonly #forget: (stream: RelayStream) => void

  constructor(id: bigint, forget: (stream: RelayStream) => void) {
    this.id = id
    this.#forget = forget
  }

  /** The stream's last packet is with the receiver. */
  end(): void {
    this.source = null
    this.target = null
    this.isWaiting = false
    this.neededBytes = 0
    this.#forget(this)
  }

  /** The sender's channel closed or failed. */
  onSourceGone(): void {
    const { target } = this
    this.end()
    target?.onPeerGone()
  }

  /** The receiver's channel closed or failed. */
  onTargetGone(): void {
    const { source } = this
    this.end()
    source?.onPeerGone()
  }
}

export interface RelayInspection {
  /** Streams that have one end or both; ids in decimal. */
  readonly streams: readonly {
    readonly id: string
    readonly hasSender: boolean
    readonly hasReceiver: boolean
  }[]
  /** Streams that had both ends, so far. */
  readonly joined: number
}

/** A stream, or the LoadStatus that says why there is none. */
export type JoinOutcome =
  | RelayStream
  | typeof LoadStatus.STREAM_TAKEN
  | typeof LoadStatus.TOO_MANY_STREAMS
  | typeof LoadStatus.STREAM_DENIED

/** The host's rule: whether the partition may be an end of the stream. Asked at each SETUP; plain and quick. */
export type MayJoin = (streamId: bigint, partitionKey: number) => boolean

export interface RelayHubOptions {
  /** Default: whoever names a stream may join it. */
  readonly mayJoin?: MayJoin
}

/** The relay streams of one root: every `LoadVsp` of it is given the same hub. Root thread only. */
export class RelayHub {
  readonly #mayJoin: MayJoin
  readonly #streams = new Map<bigint, RelayStream>()
  /** Ends that each partition holds; none for one that holds no end. */
  readonly #held = new Map<number, number>()
  #joined = 0

  constructor(options: RelayHubOptions = {}) {
    this.#mayJoin = options.mayJoin ?? (() => true)
  }

  /** Called by the sender's program; `partitionKey` is its partition's, any number that is its alone. */
  joinSource(id: bigint, partitionKey: number, source: RelaySource): JoinOutcome {
    const stream = this.#find(id, partitionKey)
    if (!(stream instanceof RelayStream)) return stream
    if (stream.source !== null) return LoadStatus.STREAM_TAKEN
    stream.source = source
    stream.sourceKey = partitionKey
    this.#hold(partitionKey, 1)
    if (stream.target !== null) this.#joined += 1
    return stream
  }

  /** Called by the receiver's program. */
  joinTarget(id: bigint, partitionKey: number, target: RelayTarget): JoinOutcome {
    const stream = this.#find(id, partitionKey)
    if (!(stream instanceof RelayStream)) return stream
    if (stream.target !== null) return LoadStatus.STREAM_TAKEN
    stream.target = target
    stream.targetKey = partitionKey
    this.#hold(partitionKey, 1)
    if (stream.source !== null) this.#joined += 1
    return stream
  }

  inspect(): RelayInspection {
    const streams = [...this.#streams.values()].map((stream) => ({
      id: stream.id.toString(),
      hasSender: stream.source !== null,
      hasReceiver: stream.target !== null,
    }))
    return { streams, joined: this.#joined }
  }

  #find(id: bigint, partitionKey: number): JoinOutcome {
    if (!this.#mayJoin(id, partitionKey)) return LoadStatus.STREAM_DENIED
    const held = this.#held.get(partitionKey) ?? 0
    if (held >= LOAD_STREAMS_PER_PARTITION_MAX) return LoadStatus.TOO_MANY_STREAMS
    const known = this.#streams.get(id)
    if (known !== undefined) return known
    if (this.#streams.size >= LOAD_STREAMS_MAX) return LoadStatus.TOO_MANY_STREAMS
    const stream = new RelayStream(id, (ended) => this.#forget(ended))
    this.#streams.set(id, stream)
    return stream
  }

  #forget(stream: RelayStream): void {
    this.#streams.delete(stream.id)
    if (stream.sourceKey !== null) this.#hold(stream.sourceKey, -1)
    if (stream.targetKey !== null) this.#hold(stream.targetKey, -1)
  }

  #hold(partitionKey: number, change: 1 | -1): void {
    const held = (this.#held.get(partitionKey) ?? 0) + change
    if (held > 0) this.#held.set(partitionKey, held)
    else this.#held.delete(partitionKey)
  }
}
