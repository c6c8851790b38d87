// HOT. The sending end of a ring.
//
// Compose in `staging`, `write` any number of packets, then `commit` once: that is when the peer
// can see them, and its answer says whether the peer must be signalled. `send` does both for one
// packet. Nothing here allocates, waits or throws for what the peer wrote.

import {
  PACKET_LENGTH_MAX,
  PACKET_TRAILER_SIZE,
  PACKET_TYPE_DATA_USING_GPA_DIRECT,
  PACKET_TYPE_DATA_USING_TRANSFER_PAGES,
  PAGE_SIZE,
  RING_FEATURE_PENDING_SEND_SIZE,
  assert,
} from '@guestyard/hvdef'
import type { IncomingRing } from './incoming-ring.ts'
import { type RingKernel, roundUp } from './ring-kernel.ts'
import { RingFault, RingStatus, ringFaultName } from './ring-fault.ts'
import type { RingPages } from './ring-pages.ts'
import { RingEnd, assertRingPages, initializeState, stateBytes } from './ring-state.ts'
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
const DESCRIPTOR_BYTES = 16
/** Areas begin at a cache line. */
const ALIGNMENT = 64
/** Bytes that GPA-direct and transfer-page packets carry between descriptor and ranges. */
const RANGE_PREFIX_BYTES = 8

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

export class OutgoingRing extends RingEnd {
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
  /** Private address and bytes of the staging area, and address of the batch area. */
  readonly #stagingAt: number
  readonly #stagingBytes: number
  readonly #batchAt: number
  readonly #batchBytes: number
  readonly #size: number
  /**
   * Appended packets lie between these offsets of the batch area; the next one will begin at ring
   * offset `#appendOffset`.
   */
  #batchFirst = 0
  #batchEnd = 0
  #appendOffset = 0
  /** `setPendingSendSize` has answered that this end is dead. */
  #isFaultTold = false

  /** Use `createRingPair` or `openRings`, unless this end is all you need. */
  constructor(kernel: RingKernel, ring: RingPages, options: OutgoingRingOptions = {}) {
    assertRingPages(ring)
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
    this.#size = ring.dataAt.length * PAGE_SIZE
    const buffer = kernel.u8.buffer
    this.staging = new Uint8Array(buffer, stagingAt, stagingBytes)
    this.stagingView = new DataView(buffer, stagingAt, stagingBytes)
    this.stagingWords = new Int32Array(buffer, stagingAt, stagingBytes >> 2)
    this.batch = new Uint8Array(buffer, batchAt, batchBytes)
    this.batchView = new DataView(buffer, batchAt, batchBytes)
    this.batchWords = new Int32Array(buffer, batchAt, batchBytes >> 2)
    const maxTotal = Math.min(this.sizeBytes - 16, PACKET_LENGTH_MAX + PACKET_TRAILER_SIZE)
    this.maxBodyBytes = maxTotal - DESCRIPTOR_BYTES - PACKET_TRAILER_SIZE
    this.setWord(layout.MAX_TOTAL, maxTotal)
    this.setWord(layout.AREA_AT, batchAt)
    this.setWord(layout.AREA_BYTES, Math.min(batchBytes, TOGETHER_BYTES))
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
    return this.calls.write(
      this.s,
      this.#address(at, length),
      length,
      0,
      type | (flags << 16),
      tidLow,
      tidHigh,
    )
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
    const kind = type | (flags << 16)
    const body = headerBytes + length
    return this.calls.write(
      this.s,
      this.#address(at, body),
      body,
      headerBytes,
      kind,
      tidLow,
      tidHigh,
    )
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
    const header = RANGE_PREFIX_BYTES + rangesBytes
    const kind = PACKET_TYPE_DATA_USING_GPA_DIRECT | (flags << 16)
    const body = header + length
    return this.calls.write(this.s, this.#address(at, body), body, header, kind, tidLow, tidHigh)
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
    const header = RANGE_PREFIX_BYTES + rangeCount * 8
    const kind = PACKET_TYPE_DATA_USING_TRANSFER_PAGES | (flags << 16)
    const body = header + length
    return this.calls.write(this.s, this.#address(at, body), body, header, kind, tidLow, tidHigh)
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
      this.#address(at, length),
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
    const from = this.#address(at, (count - 1) * strideBytes + length)
    const kind = type | (flags << 16)
    return this.calls.writeEach(this.s, from, strideBytes, count, length, kind, tidLow, tidHigh)
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
    this.#appendOffset = offset >= this.#size ? offset - this.#size : offset
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
    assert(bytes > 0 && bytes <= this.#size - 8, 'A ring can free the bytes it is asked to free.')
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
    if (length > this.#stagingBytes) return RingStatus.TOO_BIG
    copyWords(this.stagingWords, 0, incoming.arenaWords, incoming.payloadAt(i) >> 2, length >> 2)
    return this.calls.write(this.s, this.#stagingAt, length, 0, kind, tidLow, tidHigh)
  }

  #address(at: number, bytes: number): number {
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
    const written = this.calls.writeBatch(this.s, this.#batchAt + from, bytes, appended, publish)
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

function copyWords(
  to: Int32Array,
  toWord: number,
  from: Int32Array,
  fromWord: number,
  words: number,
): void {
  for (let word = 0; word < words; word += 1) to[toWord + word] = from[fromWord + word]!
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
