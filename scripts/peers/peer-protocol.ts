/** What a pair of peer threads is asked to measure, and what its ends answer. */

import type { MessagePort } from 'node:worker_threads'

import type { RingLink } from '@guestyard/ring'

/**
 * `post`: postMessage of a copied array; `transfer`: of a transferred buffer; `ringbuf.js`: that library. Each moves
 * packets one way and checks every sequence number.
 */
export type ThroughputPeer = 'post' | 'transfer' | 'ringbuf.js'

/** `spin`: two words in shared memory, nothing else: the machine's speed of the moment. */
export type RoundTripPeer = 'port' | 'spin'

export interface ThroughputTask {
  readonly kind: 'throughput'
  readonly peer: ThroughputPeer
  readonly payloadBytes: number
  /** Packets published at once, where the peer has such a thing. */
  readonly batch: number
  readonly warmUpMs: number
  readonly measureMs: number
}

/** Bare rings of ours: packets one way or both ways, over so many channels between the same two threads. */
export interface BareRingTask {
  readonly kind: 'bare-ring'
  readonly payloadBytes: number
  readonly batch: number
  readonly channels: number
  readonly bothWays: boolean
  readonly warmUpMs: number
  readonly measureMs: number
}

export interface RoundTripTask {
  readonly kind: 'round-trip'
  readonly peer: RoundTripPeer
  readonly warmUpMs: number
  readonly measureMs: number
}

export type PeerTask = ThroughputTask | BareRingTask | RoundTripTask

/** Sent to both ends; what they share is made anew for each task. */
export interface PeerOrder {
  readonly role: 'sender' | 'receiver'
  readonly task: PeerTask
  readonly port: MessagePort
  /** For `ringbuf.js` and `spin`. */
  readonly shared: SharedArrayBuffer
  /** For bare rings: one for each channel. */
  readonly links: readonly RingLink[]
}

/** Times are milliseconds since the epoch, from clocks of one process. */
export type PeerAnswer =
  | { readonly is: 'sent'; readonly packets: number; readonly fromMs: number }
  | {
      readonly is: 'moved'
      readonly packets: number
      readonly errors: number
      readonly fromMs: number
      readonly untilMs: number
    }
  | { readonly is: 'received'; readonly errors: number; readonly untilMs: number }
  | { readonly is: 'timed'; readonly roundTripsNs: Float64Array }
  | { readonly is: 'echoed' }
  | { readonly is: 'failed'; readonly reason: string }

/** Bytes of the shared rings, ours and ringbuf.js's alike. */
export const PEER_RING_BYTES = 1024 * 1024
/** Sequence number of the packet that ends a task. */
export const LAST_SEQUENCE = 0xffff_ffff
