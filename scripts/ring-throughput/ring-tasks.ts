/** What the threads of a ring measurement are asked, and what they answer. */

import type { RingPages } from '@guestyard/ring'

/** Two rings and two doorbells; each thread gets this, and takes its side of each link. */
export interface BenchLink {
  readonly aToB: RingPages
  readonly bToA: RingPages
  readonly doorbells: SharedArrayBuffer
}

export interface BenchWorkerData {
  /** One, or one for each sender where a receiver serves many. */
  readonly links: readonly BenchLink[]
  readonly side: 'a' | 'b'
  /** Words of `flags`: see below. */
  readonly flags: SharedArrayBuffer
  readonly kernel: 'wasm' | 'typed'
}

/** 1 once the receiver has measured enough. */
export const FLAG_STOP = 0
/** Senders that have ended. */
export const FLAG_ENDED = 1
/** Round trips without a ring: a number there, and back. */
export const FLAG_PING = 2
export const FLAG_PONG = 3
export const FLAGS = 4

/**
 * How a sender hands over a batch. `each`: packets of one size; `append`: of any size, composed in
 * place.
 */
export type SendWay = 'each' | 'append' | 'one-by-one'

/** How an end waits for a packet. */
export type WaitWay = 'busy' | 'adaptive' | 'blocking' | 'event loop'
export const WAIT_WAYS: readonly WaitWay[] = ['busy', 'adaptive', 'blocking', 'event loop']

export type BenchTask =
  | {
      readonly is: 'send'
      readonly way: SendWay
      readonly payloadBytes: number
      readonly batch: number
    }
  | { readonly is: 'receive'; readonly senders: number; readonly measureMs: number }
  | { readonly is: 'ask'; readonly wait: WaitWay; readonly measureMs: number }
  | { readonly is: 'answer'; readonly wait: WaitWay }
  | { readonly is: 'ask bare'; readonly measureMs: number }
  | { readonly is: 'answer bare' }

export interface ReceiveResult {
  readonly packets: number
  readonly seconds: number
  readonly errors: number
  /** JavaScript heap bytes that each side allocated for a packet, on average. */
  readonly heapBytesPerPacket: number
}

export interface SendResult {
  readonly packets: number
  readonly fulls: number
  readonly heapBytesPerPacket: number
}

export interface AskResult {
  readonly p50Ns: number
  readonly p99Ns: number
  readonly errors: number
}

export type BenchAnswer = ReceiveResult | SendResult | AskResult | { readonly trips: number }
