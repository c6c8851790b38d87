// HOT
// Pipe framing: an 8-byte header before the data of each in-band packet, on channels offered in pipe mode.
// Both ends of a channel use the same two classes, in the mode that the offer names.
//
//   message mode   one packet, one message:   compose in staging behind 8 free bytes, `writeMessage`; `next`
//   byte mode      a stream, cut anywhere:    `write`, `finish`; `read` until PipeStatus.ENDED
//
// A byte-mode reader that stops within a packet rewrites the packet's header as "partial" (bytes read, bytes in
// all), in its private copy: the peer cannot change it there, and a peer that sends one is at fault.
// Source: openvmm vmbus_ring, `PipeHeader`; vmbus_async/src/pipe.rs.

import {
  PACKET_TYPE_DATA_INBAND,
  PIPE_HEADER_SIZE,
  PIPE_PACKET_TYPE_DATA,
  PIPE_PACKET_TYPE_PARTIAL,
  PIPE_PAYLOAD_MAX,
  PipeHeader,
  PipeMode,
  assert,
} from '@guestyard/hvdef'
import { RingStatus } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing } from '@guestyard/ring'

/** Answers of a reader that are no length. */
export const PipeStatus = {
  /** Nothing to read now. */
  EMPTY: -1,
  /** The stream has ended: byte mode, a packet without data. */
  ENDED: -2,
  /** The peer sent what no pipe carries: fail the channel. Every later read answers the same. */
  MALFORMED: -3,
  /** The ring is dead: fail the channel with its fault. */
  FAULT: -4,
} as const
export type PipeStatus = (typeof PipeStatus)[keyof typeof PipeStatus]

const PACKET_TYPE_AT = PipeHeader.at.packetType
const DATA_LENGTH_AT = PipeHeader.at.dataLength
/** Packets taken out of the ring at a time. */
const PACKETS_PER_DRAIN = 64
/** A stream's packet takes at most this part of the ring, so that both ends work at the same time. */
const PACKETS_PER_RING = 4
/** Descriptor, pipe header and trailer. */
const PACKET_OVERHEAD = 32
/** Where a stream's packets are composed. */
const STREAM_AT = 0

/** Sends through a pipe. Commit and signal as for any ring: `if (writer.commit()) channel.signal()`. */
export class PipeWriter {
  readonly #ring: OutgoingRing
  readonly #mode: PipeMode
  readonly #chunkBytes: number
  #finished = false

  constructor(ring: OutgoingRing, mode: PipeMode) {
    this.#ring = ring
    this.#mode = mode
    const share = Math.floor(ring.sizeBytes / PACKETS_PER_RING) - PACKET_OVERHEAD
    const staged = ring.staging.length - PIPE_HEADER_SIZE
    this.#chunkBytes = Math.min(PIPE_PAYLOAD_MAX, share, staged)
  }

  /**
   * Message mode: sends `length` bytes, 0..16384, that lie 8 bytes behind `at` in the ring's staging area;
   * the header goes before them. `at` is a multiple of 4. RingStatus: after FULL wait for `neededBytes`.
   */
  writeMessage(at: number, length: number, tidLow = 0, tidHigh = 0): number {
    assert(length <= PIPE_PAYLOAD_MAX, 'A pipe packet carries at most 16384 bytes.')
    return this.#writePacket(at, length, tidLow, tidHigh)
  }

  /**
   * Byte mode: sends as much of `length` bytes at `from` of `bytes` as there is room for. Returns the
   * bytes taken; RingStatus.FAULT when the ring is dead. Fewer than asked for: wait for `neededBytes`.
   */
  write(bytes: Uint8Array, from: number, length: number): number {
    assert(this.#mode === PipeMode.BYTE, 'A stream of bytes is written in byte mode.')
    assert(!this.#finished, 'Nothing is written after the end.')
    const { staging } = this.#ring
    let taken = 0
    while (taken < length) {
      const left = length - taken
      const chunk = left < this.#chunkBytes ? left : this.#chunkBytes
      copy(bytes, from + taken, staging, STREAM_AT + PIPE_HEADER_SIZE, chunk)
      const status = this.#writePacket(STREAM_AT, chunk, 0, 0)
      if (status === RingStatus.FULL) break
      if (status !== RingStatus.OK) return RingStatus.FAULT
      taken += chunk
    }
    return taken
  }

  /** Byte mode: ends the stream. RingStatus: after FULL try again. Once it is OK, nothing more is written. */
  finish(): number {
    assert(this.#mode === PipeMode.BYTE, 'Only a stream of bytes has an end.')
    if (this.#finished) return RingStatus.OK
    const status = this.#writePacket(STREAM_AT, 0, 0, 0)
    if (status === RingStatus.OK) this.#finished = true
    return status
  }

  /** Publishes what was written. True: signal the peer. */
  commit(): boolean {
    return this.#ring.commit()
  }

  #writePacket(at: number, length: number, tidLow: number, tidHigh: number): number {
    const view = this.#ring.stagingView
    view.setUint32(at + PACKET_TYPE_AT, PIPE_PACKET_TYPE_DATA, true)
    view.setUint32(at + DATA_LENGTH_AT, length, true)
    const total = PIPE_HEADER_SIZE + length
    return this.#ring.write(at, total, PACKET_TYPE_DATA_INBAND, 0, tidLow, tidHigh)
  }
}

/** Receives from a pipe. What it reads lies in the ring's arena, out of the peer's reach. */
export class PipeReader {
  /** Message mode, after `next`: where the message lies in the ring's arena. */
  messageAt = 0
  /** Transaction id of that message, in two halves. */
  tidLow = 0
  tidHigh = 0
  readonly #ring: IncomingRing
  readonly #mode: PipeMode
  // Packets of the last drain, and the first one not read to its end.
  #count = 0
  #index = 0
  // The packet at `#index` has been read in part: its header is our own.
  #isPartial = false
  // ENDED, MALFORMED or FAULT, once it is the answer for good; 0 before.
  #final = 0

  constructor(ring: IncomingRing, mode: PipeMode) {
    this.#ring = ring
    this.#mode = mode
  }

  /** Message mode: takes the next message. Its length, 0..16384, or a PipeStatus. Valid until the next call. */
  next(): number {
    assert(this.#mode === PipeMode.MESSAGE, 'Messages are read in message mode.')
    const length = this.#headerOfNext()
    if (length < 0) return length
    const i = this.#index
    this.messageAt = this.#ring.payloadAt(i) + PIPE_HEADER_SIZE
    this.tidLow = this.#ring.tidLow(i)
    this.tidHigh = this.#ring.tidHigh(i)
    this.#index = i + 1
    return length
  }

  /** Byte mode: copies up to `length` bytes, 1 or more, to `to` of `bytes`. How many, or a PipeStatus. */
  read(bytes: Uint8Array, to: number, length: number): number {
    assert(this.#mode === PipeMode.BYTE, 'A stream of bytes is read in byte mode.')
    let copied = 0
    while (copied < length) {
      const total = this.#headerOfNext()
      if (total < 0) return copied > 0 ? copied : total
      // The end is taken from the ring only when everything before it has been read.
      if (total === 0) return copied > 0 ? copied : this.#end()
      copied += this.#readFrom(total, bytes, to + copied, length - copied)
    }
    return copied
  }

  /** True while packets lie in the arena that have not been read to their end. */
  get hasUnread(): boolean {
    return this.#index < this.#count
  }

  /** Gives back the space of what was read: all of it, or, within a batch, nothing yet. True: signal the peer. */
  commit(): boolean {
    return !this.hasUnread && this.#ring.commit()
  }

  /** Asks for signals. True: there is something to read, do not sleep. */
  unmask(): boolean {
    return this.hasUnread || this.#ring.unmask()
  }

  // Length of the next packet's data, or why there is none.
  #headerOfNext(): number {
    if (this.#final !== 0) return this.#final
    if (!this.hasUnread) {
      const count = this.#ring.drain(PACKETS_PER_DRAIN)
      if (count < 0) return this.#stay(PipeStatus.FAULT)
      this.#count = count
      this.#index = 0
      if (count === 0) return PipeStatus.EMPTY
    }
    const at = this.#ring.payloadAt(this.#index)
    if (this.#isPartial) return this.#ring.arenaView.getUint32(at + DATA_LENGTH_AT, true) & 0xffff
    const length = dataLength(this.#ring, this.#index)
    return length < 0 ? this.#stay(PipeStatus.MALFORMED) : length
  }

  #readFrom(total: number, bytes: Uint8Array, to: number, room: number): number {
    const ring = this.#ring
    const at = ring.payloadAt(this.#index)
    const word = ring.arenaView.getUint32(at + DATA_LENGTH_AT, true)
    const done = this.#isPartial ? word >>> 16 : 0
    const left = total - done
    const taken = left < room ? left : room
    copy(ring.arena, at + PIPE_HEADER_SIZE + done, bytes, to, taken)
    this.#isPartial = taken < left
    if (this.#isPartial) {
      ring.arenaView.setUint32(at + PACKET_TYPE_AT, PIPE_PACKET_TYPE_PARTIAL, true)
      ring.arenaView.setUint32(at + DATA_LENGTH_AT, ((done + taken) << 16) | total, true)
    } else {
      this.#index += 1
    }
    return taken
  }

  #end(): number {
    this.#index += 1
    return this.#stay(PipeStatus.ENDED)
  }

  #stay(status: number): number {
    this.#final = status
    return status
  }
}

// Bytes of data in packet `i`, or -1 for what no pipe carries. The packet is a private copy.
function dataLength(ring: IncomingRing, i: number): number {
  const room = ring.payloadLength(i) - PIPE_HEADER_SIZE
  if (room < 0 || ring.packetType(i) !== PACKET_TYPE_DATA_INBAND) return -1
  const at = ring.payloadAt(i)
  if (ring.arenaView.getUint32(at + PACKET_TYPE_AT, true) !== PIPE_PACKET_TYPE_DATA) return -1
  const length = ring.arenaView.getUint32(at + DATA_LENGTH_AT, true)
  return length <= room && length <= PIPE_PAYLOAD_MAX ? length : -1
}

function copy(
  from: Uint8Array,
  fromAt: number,
  to: Uint8Array,
  toAt: number,
  length: number,
): void {
  to.set(from.subarray(fromAt, fromAt + length), toAt)
}
