// HOT.

import type { IncomingRing } from '../incoming-ring.ts'
import type { Doorbell } from '../doorbell.ts'
import { ChannelError } from './channel-error.ts'
import type { Codec } from './codec.ts'
import { FRAME_FORMAT_SHIFT, FrameKind, Reassembler, Reassembly } from './frames.ts'
import { ringFault } from './sender.ts'

/** What `take` returns when there is no message now. */
export const NOTHING: unique symbol = Symbol('nothing')
/** Packets taken out of the ring at once. */
export const DRAIN_PACKETS = 256

/**
 * The receiving half of a channel's end: drains packets into the ring's private arena, many at a time, and
 * decodes each when it is asked for. It never waits. What the peer wrote wrongly comes out as a ChannelError.
 */
export class Receiver<Received> {
  readonly #ring: IncomingRing
  readonly #peerDoorbell: Doorbell
  readonly #codec: Codec<unknown, Received>
  readonly #reassembler: Reassembler
  #count = 0
  #next = 0
  /** The peer said that nothing follows. */
  ended = false
  messagesReceived = 0
  bytesReceived = 0

  constructor(
    ring: IncomingRing,
    peerDoorbell: Doorbell,
    codec: Codec<unknown, Received>,
    maxMessageBytes: number,
  ) {
    this.#ring = ring
    this.#peerDoorbell = peerDoorbell
    this.#codec = codec
    this.#reassembler = new Reassembler(maxMessageBytes)
  }

  /** The next message, or NOTHING. Throws a ChannelError when the ring or the message is corrupt. */
  take(): Received | typeof NOTHING {
    const ring = this.#ring
    while (!this.ended) {
      if (this.#next >= this.#count && !this.refill()) return NOTHING
      const i = this.#next++
      const kind = ring.tidLow(i) & 0xff
      const format = ring.tidLow(i) >>> FRAME_FORMAT_SHIFT
      const total = ring.tidHigh(i) >>> 0
      const length = ring.payloadLength(i)
      if (kind === FrameKind.message) {
        if (total > length || length - total >= 8) throw badFrame('a message of another length')
        if (this.#reassembler.active) throw badFrame('a message inside another')
        return this.#decode(ring.payloadAt(i), total, format)
      }
      if (kind === FrameKind.end) {
        if (this.#reassembler.active) throw badFrame('an end inside a message')
        this.ended = true
        return NOTHING
      }
      if (kind !== FrameKind.first && kind !== FrameKind.middle && kind !== FrameKind.last) {
        throw badFrame(`a frame of kind ${kind}`)
      }
      const result = this.#reassembler.accept(kind, total, ring.arena, ring.payloadAt(i), length)
      if (result < 0) throw reassemblyError(result, total)
      if (result === Reassembly.complete) return this.#decodeOwned(format)
    }
    return NOTHING
  }

  /** Takes packets out of the ring when all earlier ones are used up; true when there is at least one. */
  refill(): boolean {
    if (this.#next < this.#count) return true
    if (this.ended) return false
    const count = this.#ring.drain(DRAIN_PACKETS)
    this.#next = 0
    this.#count = Math.max(count, 0)
    if (count < 0) throw ringFault('receiving', this.#ring.fault)
    if (count === 0) return false
    // The packets are copied out, so their room is given back before anybody looks at them.
    if (this.#ring.commit()) this.#peerDoorbell.ring()
    return true
  }

  /** Asks the peer for a ring of the doorbell; true when there is something already. */
  arm(): boolean {
    return this.#ring.unmask()
  }

  disarm(): void {
    this.#ring.mask()
  }

  #decode(at: number, length: number, format: number): Received {
    this.messagesReceived++
    this.bytesReceived += length
    try {
      return this.#codec.decode(this.#ring.arena, at, length, format)
    } catch (error) {
      throw badFrame('a message that cannot be decoded', error)
    }
  }

  #decodeOwned(format: number): Received {
    const bytes = this.#reassembler.takeBytes()
    this.messagesReceived++
    this.bytesReceived += bytes.length
    try {
      return this.#codec.decodeOwned(bytes, format)
    } catch (error) {
      throw badFrame('a message that cannot be decoded', error)
    }
  }
}

function badFrame(what: string, cause?: unknown): ChannelError {
  return new ChannelError('bad-frame', `the peer sent ${what}`, { cause })
}

function reassemblyError(result: Reassembly, total: number): ChannelError {
  switch (result) {
    case Reassembly.tooBig:
      return badFrame(`a message of ${total} bytes, more than maxMessageBytes here`)
    case Reassembly.wrongLength:
      return badFrame('a piece of a message with a wrong length')
    case Reassembly.outOfOrder:
    case Reassembly.incomplete:
    case Reassembly.complete:
      return badFrame('a piece of a message out of order')
  }
}
