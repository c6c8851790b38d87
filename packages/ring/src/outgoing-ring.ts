// HOT. The sending end of a ring.
//
// Compose in `staging`, `write` any number of packets, then `commit` once: that is when the peer
// can see them, and its answer says whether the peer must be signalled. `send` does both for one
// packet. Nothing here allocates, waits or throws for what the peer wrote.

import {
  PACKET_TYPE_DATA_USING_GPA_DIRECT,
  PACKET_TYPE_DATA_USING_TRANSFER_PAGES,
  RING_FEATURE_PENDING_SEND_SIZE,
  assert,
} from '@guestyard/hvdef'
import type { TransferKernel } from '@guestyard/guestmem'
import type { IncomingRing } from './incoming-ring.ts'
import type { RingKernel } from './ring-kernel.ts'
import { RingFault, RingStatus, ringFaultName } from './ring-fault.ts'
import type { RingPages } from './ring-pages.ts'
import { assertRingPages } from './ring-state.ts'
import { DESCRIPTOR_BYTES, type OutgoingRingOptions, SendingEnd } from './sending-end.ts'
import * as layout from './state-layout.ts'

/** Bytes that GPA-direct and transfer-page packets carry between descriptor and ranges. */
const RANGE_PREFIX_BYTES = 8

export class OutgoingRing extends SendingEnd {
  /** `setPendingSendSize` has answered that this end is dead. */
  #isFaultTold = false
  /** The kernel whose packets were passed on last, and how its private memory is copied to ours. */
  #passedFrom: RingKernel | null = null
  #transfer: TransferKernel | null = null

  /** Use `createRingPair` or `openRings`, unless this end is all you need. */
  constructor(kernel: RingKernel, ring: RingPages, options: OutgoingRingOptions = {}) {
    assertRingPages(ring)
    super(kernel, ring, options)
    const shared = kernel.sharedI32
    // ORDER: this end is the only writer of these words; the receiver reads the feature bits only
    // after it saw a packet.
    this.adoptIndices(
      Atomics.load(shared, this.controlWord(layout.CONTROL_IN)),
      Atomics.load(shared, this.controlWord(layout.CONTROL_OUT)),
      RingFault.BAD_WRITE_INDEX,
      RingFault.BAD_READ_INDEX,
    )
    if (this.fault === RingFault.NONE) {
      const features = this.controlWord(layout.CONTROL_FEATURES)
      Atomics.store(shared, features, RING_FEATURE_PENDING_SEND_SIZE)
    }
  }

  /**
   * Writes one packet whose payload is `length` bytes at `at` of `staging`. It is not visible
   * before `commit`. RingStatus: OK, FULL (`neededBytes` says what it takes), TOO_BIG, FAULT.
   * `length` is rounded up to 8 with zeros: receivers see the rounded length.
   */
  write(
    at: number,
    length: number,
    type: number,
    flags: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    return this.#write(at, 0, length, type | (flags << 16), tidLow, tidHigh)
  }

  /**
   * As `write`, with `headerBytes` (a multiple of 8) of type-specific header directly before the
   * payload at `at`.
   */
  writeWithHeader(
    at: number,
    headerBytes: number,
    length: number,
    type: number,
    flags: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    return this.#write(at, headerBytes, length, type | (flags << 16), tidLow, tidHigh)
  }

  /**
   * Writes a GPA-direct packet. At `at` of `staging` (a multiple of 4) the caller leaves 8 bytes,
   * which this fills in, then puts the `rangeCount` encoded ranges (`rangesBytes` of them:
   * guestmem, `encodePageRange`), then `length` bytes of payload.
   */
  writeGpaDirect(
    at: number,
    rangeCount: number,
    rangesBytes: number,
    length: number,
    flags: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    this.stagingWords[at >> 2] = 0
    this.stagingWords[(at >> 2) + 1] = rangeCount
    const kind = PACKET_TYPE_DATA_USING_GPA_DIRECT | (flags << 16)
    return this.#write(at, RANGE_PREFIX_BYTES + rangesBytes, length, kind, tidLow, tidHigh)
  }

  /**
   * Writes a transfer-page packet: as `writeGpaDirect`, but each of the `rangeCount` ranges is a
   * byte count u32 and a byte offset u32 into the buffer that `setId` names.
   */
  writeTransferPages(
    at: number,
    setId: number,
    rangeCount: number,
    length: number,
    flags: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    this.stagingWords[at >> 2] = setId & 0xffff
    this.stagingWords[(at >> 2) + 1] = rangeCount
    const kind = PACKET_TYPE_DATA_USING_TRANSFER_PAGES | (flags << 16)
    return this.#write(at, RANGE_PREFIX_BYTES + rangeCount * 8, length, kind, tidLow, tidHigh)
  }

  /**
   * `write` and `commit` in one call, for one packet at a time. 1: signal the peer; 0: sent, no
   * signal due; below zero: a RingStatus, and nothing was sent.
   */
  send(
    at: number,
    length: number,
    type: number,
    flags: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    return this.calls.send(
      this.s,
      this.stagingAddress(at, length),
      length,
      0,
      type | (flags << 16),
      tidLow,
      tidHigh,
    )
  }

  /**
   * Writes `count` packets of one size, type and transaction id: the payload of packet `i` is
   * `length` bytes at `at + i * strideBytes` of `staging`. Returns how many were written: fewer
   * when the ring is full or this end is dead. Not visible before `commit`. Uses the batch area:
   * nothing may wait there.
   */
  writeEach(
    at: number,
    strideBytes: number,
    count: number,
    length: number,
    type: number,
    flags: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    if (count === 0) return 0
    assert(this.appended === 0, 'No packet is written between appended ones.')
    const from = this.stagingAddress(at, (count - 1) * strideBytes + length)
    const kind = type | (flags << 16)
    return this.calls.each(this.s, from, strideBytes, count, length, kind, tidLow, tidHigh)
  }

  /**
   * Makes room for a packet to be composed in place: after OK, `nextSpan` gives the pieces of
   * shared memory that hold its `length` bytes (`headerBytes` of them header). Fill them before
   * `commit`. RingStatus as `write`.
   */
  reserve(
    length: number,
    type: number,
    flags: number,
    tidLow: number,
    tidHigh: number,
    headerBytes = 0,
  ): number {
    const start = this.word(layout.NEXT)
    const kind = type | (flags << 16)
    const status = this.calls.reserve(this.s, length, headerBytes, kind, tidLow, tidHigh)
    this.spanOffset = start + DESCRIPTOR_BYTES
    this.spanLeft = status === RingStatus.OK ? length : 0
    return status
  }

  /**
   * Publishes everything written. True: signal the peer, which found the ring empty and asked for
   * it.
   */
  commit(): boolean {
    return this.calls.publish(this.s) === 1
  }

  /**
   * Bytes that are free now, trailers included; compare with `packetBytes`. RingStatus.FAULT when
   * dead.
   */
  writableBytes(): number {
    return this.calls.room(this.s)
  }

  /** After FULL: bytes that must be free for the refused packet. */
  get neededBytes(): number {
    return this.word(layout.NEEDED)
  }

  /** Writes refused because the ring was full. */
  get fulls(): number {
    return this.counter(layout.FULLS)
  }

  /**
   * About to wait for space: asks the receiver for a signal once `bytes` (with trailer:
   * `neededBytes`) are free. True: they are free already, nothing was asked, write now. False: wait
   * for the signal, then `clearPendingSendSize` before trying again. A dead end answers true once,
   * since nobody will signal it: the next write answers RingStatus.FAULT. A closed one answers
   * false.
   */
  setPendingSendSize(bytes: number): boolean {
    assert(bytes > 0 && bytes <= this.size - 8, 'A ring can free the bytes it is asked to free.')
    const answer = this.calls.block(this.s, bytes)
    if (answer >= 0) return answer === 1
    const isNews = !this.#isFaultTold && this.fault !== RingFault.CLOSED
    this.#isFaultTold = true
    return isNews
  }

  /** Awake again: no signal for space is wanted. */
  clearPendingSendSize(): void {
    if (this.word(layout.PENDING) === 0) return
    this.setWord(layout.PENDING, 0)
    if (this.fault !== RingFault.NONE) return
    // ORDER: alone. A receiver that still sees the old request sends a signal that finds nothing to
    // do.
    Atomics.store(this.kernel.sharedI32, this.controlWord(layout.CONTROL_PENDING), 0)
  }

  /** What the receiver was asked for, 0 when this end does not wait. */
  get pendingSendSize(): number {
    return this.word(layout.PENDING)
  }

  /** Spins until the receiver moves its index, `turns` looks at most. True when it moved. */
  spin(turns: number): boolean {
    if (this.fault !== RingFault.NONE) return false
    const out = (this.word(layout.CONTROL) >>> 0) + layout.CONTROL_OUT
    return this.calls.spin(out, this.word(layout.PEER), turns) === 1
  }

  /** State as plain data. Cold. */
  inspect(): OutgoingRingInspection {
    return {
      fault: ringFaultName(this.fault),
      kernel: this.kernel.kind,
      sizeBytes: this.sizeBytes,
      next: this.word(layout.NEXT),
      published: this.word(layout.PUBLISHED),
      peerIndex: this.word(layout.PEER),
      pendingSendSize: this.pendingSendSize,
      appended: this.appended,
      packets: this.packets,
      bytes: this.bytes,
      publishes: this.publishes,
      signals: this.signals,
      fulls: this.fulls,
    }
  }

  /**
   * Writes a packet whose payload is that of packet `i` of the last drain of `incoming`: for an
   * echo, or a relay between channels. Of the same pair the payload is not copied through staging;
   * else it is, to its start.
   */
  writeReceived(
    incoming: IncomingRing,
    i: number,
    type: number,
    flags: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    const length = incoming.payloadLength(i)
    const kind = type | (flags << 16)
    if (incoming.sharesKernelWith(this)) {
      const from = incoming.arenaAt + incoming.payloadAt(i)
      return this.calls.write(this.s, from, length, 0, kind, tidLow, tidHigh)
    }
    if (length > this.staging.length) return RingStatus.TOO_BIG
    this.stageReceived(0, incoming, incoming.payloadAt(i), length)
    return this.calls.write(
      this.s,
      this.stagingAddress(0, length),
      length,
      0,
      kind,
      tidLow,
      tidHigh,
    )
  }

  /**
   * Copies `length` bytes from offset `from` of the arena of `incoming`, of this pair or another, to
   * offset `at` of `staging`. Memory speed, and no garbage.
   */
  stageReceived(at: number, incoming: IncomingRing, from: number, length: number): void {
    const source = incoming.arenaKernel
    if (this.#transfer === null || this.#passedFrom !== source) {
      this.#passedFrom = source
      this.#transfer = this.kernel.transferFrom(source)
    }
    assert(from >= 0 && length <= incoming.arena.length - from, 'What is passed on was received.')
    this.#transfer(this.stagingAddress(at, length), incoming.arenaAt + from, length)
  }

  /** A packet whose header and payload follow each other at `at` of `staging`. */
  #write(
    at: number,
    header: number,
    length: number,
    kind: number,
    tidLow: number,
    tidHigh: number,
  ): number {
    const body = header + length
    const from = this.stagingAddress(at, body)
    return this.calls.write(this.s, from, body, header, kind, tidLow, tidHigh)
  }
}

/** What `OutgoingRing.inspect` answers. */
export interface OutgoingRingInspection {
  readonly fault: string
  readonly kernel: string
  readonly sizeBytes: number
  readonly next: number
  readonly published: number
  readonly peerIndex: number
  readonly pendingSendSize: number
  readonly appended: number
  readonly packets: number
  readonly bytes: number
  readonly publishes: number
  readonly signals: number
  readonly fulls: number
}
