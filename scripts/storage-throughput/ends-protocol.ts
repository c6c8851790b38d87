/** What the host's thread of the storage figures is started with, and the words by which both ends agree. */

import type { WasmMemory } from '@guestyard/guestmem'

/** A disk of the figures. */
export type DiskName = 'memory' | 'raw' | 'vhdx'
/** Those of the ends, by LUN. */
export const END_DISKS: readonly DiskName[] = ['memory', 'raw']

/** By the number that the words have for them. */
export const ACCESSES = ['random-read', 'sequential-read', 'sequential-write'] as const
export type Access = (typeof ACCESSES)[number]

/** What a stretch of requests is. */
export interface Load {
  readonly disk: DiskName
  readonly access: Access
  readonly bytes: number
  /** Requests at a time. */
  readonly depth: number
}

export interface HostThreadData {
  /** The guest's RAM. */
  readonly memory: WasmMemory
  /** Shared words, below. */
  readonly control: SharedArrayBuffer
  readonly diskBytes: number
  readonly rawPath: string
}

/** Words of `control`: what the host's thread is to do, written by the guest's; and what it does, written by the host's. */
export const PHASE = 0
export const SEEN = 16
export const PING = 32
export const PONG = 48
/** A bare stretch: kind of access, bytes of a transfer, transfers, buffers, and the seed of the positions; then its nanoseconds. */
export const BARE = 64
export const BARE_NS = 80
/** Bytes that the host's heap has taken while it served, in all. */
export const HEAP = 96
export const CONTROL_BYTES = 512

export const Phase = {
  STARTING: 0,
  /** Nothing: the thread sleeps. */
  REST: 1,
  /** The controller's program is polled without a pause. */
  SERVE: 2,
  /** Two words answer each other. */
  SPIN: 3,
  /** Transfers by `readSync` and `writeSync` alone, then rest. */
  BARE: 4,
  END: 5,
} as const
export type Phase = (typeof Phase)[keyof typeof Phase]

/** RAM of the guest: rings from the second page on, data from here on. */
export const RAM_BYTES = 64 * 1024 * 1024
export const DATA_GPA = 8 * 1024 * 1024
export const FIRST_RING_PFN = 1
/** Data bytes of each ring. */
export const RING_BYTES = 64 * 4096
export const RING_PAGES = RING_BYTES / 4096 + 1

/** Where transfer number `n` begins: the same at either end. In blocks of the transfer's size. */
export class Positions {
  readonly #isRandom: boolean
  readonly #count: number
  #state: number

  /** `count`: blocks of the transfer's size that the disk has. */
  constructor(access: Access, count: number, seed: number) {
    this.#isRandom = access === 'random-read'
    this.#count = count
    this.#state = seed | 1
  }

  next(): number {
    // Marsaglia's xorshift, of 32 bits.
    let x = this.#state
    if (this.#isRandom) {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
    } else {
      x = (x + 1) | 0
    }
    this.#state = x
    return (x >>> 0) % this.#count
  }
}
