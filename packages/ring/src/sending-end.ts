// HOT. Where a sending end composes packets: the staging area for one at a time, and the batch area,
// where packets follow each other as they will lie in the ring. Both are private: the peer sees
// nothing of them.

import { PACKET_LENGTH_MAX, PACKET_TRAILER_SIZE, PAGE_SIZE, assert } from '@guestyard/hvdef'
import { RingFault, RingStatus } from './ring-fault.ts'
import { type RingKernel, roundUp } from './ring-kernel.ts'
import type { RingPages } from './ring-pages.ts'
import { RingEnd, initializeState, stateBytes } from './ring-state.ts'
import * as layout from './state-layout.ts'

export interface OutgoingRingOptions {
  /** Bytes of the staging area, 64 KiB when left out. */
  readonly stagingBytes?: number
  /** Bytes of the batch area, framing included, 64 KiB when left out. */
  readonly batchBytes?: number
}

const STAGING_BYTES = 65536
const BATCH_BYTES = 65536
/** Of the batch area, for packets of one size: more would not stay in the nearest cache. */
const TOGETHER_BYTES = 16896
export const DESCRIPTOR_BYTES = 16
/** Areas begin at a cache line. */
const ALIGNMENT = 64

/** Private bytes that an `OutgoingRing` with these options takes. */
export function outgoingPrivateBytes(ring: RingPages, options: OutgoingRingOptions = {}): number {
  const staging = (options.stagingBytes ?? STAGING_BYTES) + layout.AREA_SLACK
  const batch = (options.batchBytes ?? BATCH_BYTES) + layout.AREA_SLACK
  return stateBytes(ring) + staging + batch + 2 * ALIGNMENT
}

/**
 * Bytes of ring that a packet with `bodyBytes` of header and payload takes, padding and trailer
 * included.
 */
export function packetBytes(bodyBytes: number): number {
  return ((bodyBytes + DESCRIPTOR_BYTES + 7) & -8) + PACKET_TRAILER_SIZE
}

/** What an `OutgoingRing` is made of beside writing. */
export abstract class SendingEnd extends RingEnd {
  /** Where packets are composed. Private: the peer sees nothing of it until it is written. */
  readonly staging: Uint8Array<ArrayBuffer>
  readonly stagingView: DataView<ArrayBuffer>
  readonly stagingWords: Int32Array<ArrayBuffer>
  /** Where `append` puts packets. Private too. */
  readonly batch: Uint8Array<ArrayBuffer>
  readonly batchView: DataView<ArrayBuffer>
  readonly batchWords: Int32Array<ArrayBuffer>
  /** Largest header and payload together that this ring, its staging area permitting, can carry. */
  readonly maxBodyBytes: number
  /** Packets appended and not yet written. */
  appended = 0
  /** Bytes of the data area, after `close` too. */
  protected readonly size: number
  /** Private address and bytes of the staging area, and address and bytes of the batch area. */
  readonly #stagingAt: number
  readonly #stagingBytes: number
  readonly #batchAt: number
  readonly #batchBytes: number
  /**
   * Appended packets lie between these offsets of the batch area; the next one will begin at ring
   * offset `#appendOffset`.
   */
  #batchFirst = 0
  #batchEnd = 0
  #appendOffset = 0

  constructor(kernel: RingKernel, ring: RingPages, options: OutgoingRingOptions) {
    super(kernel, kernel.allocate(outgoingPrivateBytes(ring, options)))
    const stagingBytes = options.stagingBytes ?? STAGING_BYTES
    const batchBytes = options.batchBytes ?? BATCH_BYTES
    assert(stagingBytes % 8 === 0, 'A staging area is a multiple of 8 bytes.')
    assert(batchBytes % 8 === 0, 'A batch area is a multiple of 8 bytes.')
    const stagingAt = roundUp(initializeState(kernel, this.s, ring), ALIGNMENT)
    const batchAt = roundUp(stagingAt + stagingBytes + layout.AREA_SLACK, ALIGNMENT)
    this.#stagingAt = stagingAt
    this.#stagingBytes = stagingBytes
    this.#batchAt = batchAt
    this.#batchBytes = batchBytes
    this.size = ring.dataAt.length * PAGE_SIZE
    const buffer = kernel.u8.buffer
    this.staging = new Uint8Array(buffer, stagingAt, stagingBytes)
    this.stagingView = new DataView(buffer, stagingAt, stagingBytes)
    this.stagingWords = new Int32Array(buffer, stagingAt, stagingBytes >> 2)
    this.batch = new Uint8Array(buffer, batchAt, batchBytes)
    this.batchView = new DataView(buffer, batchAt, batchBytes)
    this.batchWords = new Int32Array(buffer, batchAt, batchBytes >> 2)
    const maxTotal = Math.min(this.size - 16, PACKET_LENGTH_MAX + PACKET_TRAILER_SIZE)
    this.maxBodyBytes = maxTotal - DESCRIPTOR_BYTES - PACKET_TRAILER_SIZE
    this.setWord(layout.MAX_TOTAL, maxTotal)
    this.setWord(layout.AREA_AT, batchAt)
    this.setWord(layout.AREA_BYTES, Math.min(batchBytes, TOGETHER_BYTES))
  }

  /**
   * Appends a packet to the batch and returns the offset in `batch` where its `length` bytes
   * (before them `headerBytes` of header) are to be put. `sendBatch` or `writeBatch` then writes
   * many packets with one copy: the fastest way. Below zero nothing was appended: RingStatus.FULL
   * when the batch area is, TOO_BIG when the ring can never carry it. No other packet is written in
   * between.
   */
  append(
    length: number,
    type: number,
    flags: number,
    tidLow: number,
    tidHigh: number,
    headerBytes = 0,
  ): number {
    const packet = (headerBytes + length + DESCRIPTOR_BYTES + 7) & -8
    const at = this.#batchEnd
    const next = at + packet + PACKET_TRAILER_SIZE
    if (headerBytes + length > this.maxBodyBytes) return RingStatus.TOO_BIG
    if (next > this.#batchBytes) return RingStatus.FULL
    if (this.appended === 0) this.#appendOffset = this.word(layout.NEXT)
    const words = this.batchWords
    const start = at >> 2
    const end = (at + packet) >> 2
    if ((length & 7) !== 0) {
      words[end - 2] = 0
      words[end - 1] = 0
    }
    words[start] = type | (((headerBytes >> 3) + 2) << 16)
    words[start + 1] = (packet >> 3) | (flags << 16)
    words[start + 2] = tidLow
    words[start + 3] = tidHigh
    words[end] = 0
    words[end + 1] = this.#appendOffset
    const offset = this.#appendOffset + packet + PACKET_TRAILER_SIZE
    this.#appendOffset = offset >= this.size ? offset - this.size : offset
    this.#batchEnd = next
    this.appended += 1
    return at + DESCRIPTOR_BYTES
  }

  /**
   * Writes appended packets, in order, while they fit. Returns how many; `appended` says how many
   * are left. Not visible before `commit`.
   */
  writeBatch(): number {
    return this.#flush(0)
  }

  /** As `writeBatch`, and commits. True: signal the peer. */
  sendBatch(): boolean {
    return this.#flush(1) > 0 && this.word(layout.SIGNAL_DUE) === 1
  }

  /** Forgets what is appended and not written. */
  clearBatch(): void {
    this.appended = 0
    this.#batchFirst = 0
    this.#batchEnd = 0
  }

  /** Private address of `bytes` bytes at `at` of the staging area, which has them. */
  protected stagingAddress(at: number, bytes: number): number {
    if (at < 0 || bytes < 0 || bytes > this.#stagingBytes - at) failStaging()
    return this.#stagingAt + at
  }

  #flush(publish: number): number {
    const { appended } = this
    if (appended === 0 || this.fault !== RingFault.NONE) return 0
    const from = this.#batchFirst
    const bytes = this.#batchEnd - from
    assert(
      this.batchWords[(from >> 2) + this.#firstTrailer(from)] === this.word(layout.NEXT),
      'No packet is written between appended ones.',
    )
    const written = this.calls.batch(this.s, this.#batchAt + from, bytes, appended, publish)
    if (written === bytes) {
      this.clearBatch()
      return appended
    }
    let count = 0
    for (let at = from; at < from + written; at += this.#batchedBytes(at)) count += 1
    this.#batchFirst = from + written
    this.appended = appended - count
    return count
  }

  /** Bytes with trailer of the packet at `at` of the batch area. */
  #batchedBytes(at: number): number {
    return ((this.batchWords[(at >> 2) + 1]! & 0xffff) << 3) + PACKET_TRAILER_SIZE
  }

  /** Word, counted from the packet at `at`, of the ring offset that its trailer states. */
  #firstTrailer(at: number): number {
    return (this.#batchedBytes(at) >> 2) - 1
  }
}

function failStaging(): never {
  assert(false, 'A packet is composed inside the staging area.')
}
