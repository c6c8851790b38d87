// Small messages over a channel, for conversations of a few packets a second. One packet at a time, composed
// in the ring's private staging area and read from its private arena: nothing here looks at shared memory.
//
// Used alike by both families, in the devices that talk so: input and the integration services. The programs own
// what messages mean; this owns framing, completions, flow control and signals. In a poll: receive() until it
// finds nothing, send() what is owed, flush() once.

import {
  PACKET_FLAG_COMPLETION_REQUESTED,
  PACKET_TYPE_COMPLETION,
  PACKET_TYPE_DATA_INBAND,
  PIPE_HEADER_SIZE,
  PIPE_PACKET_TYPE_DATA,
  PipeHeader,
} from '@guestyard/hvdef'
import { RingFault, RingStatus, packetBytes } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import type { Channel } from './channel.ts'

/** `raw`: the payload is the message. `pipe`: a pipe header comes first. */
export type Framing = 'raw' | 'pipe'

/** What `receive` found. */
export const Received = {
  NOTHING: 0,
  MESSAGE: 1, //    `message`, `at` and `length` tell it
  COMPLETION: 2, // of a packet that asked for one
  MALFORMED: 3, //  a packet that the framing does not allow; it is skipped
  NO_ROOM: 4, //    a message is there, but the completion it asks for does not fit the ring yet
  FAULT: 5, //      the ring itself is broken, `fault` tells how; nothing more will come
} as const
export type Received = (typeof Received)[keyof typeof Received]

/** Packets copied out of the ring at once. */
const DRAIN_MAX = 16
const PIPE_TYPE = PipeHeader.at.packetType
const PIPE_LENGTH = PipeHeader.at.dataLength

export class MessageEnd {
  /** Where the next message to send is composed: `out` at `outAt`. */
  readonly out: DataView
  readonly outAt: number
  /** The message that `receive` found: bytes in `message` at `at`, private, until the next call. */
  readonly message: DataView
  at = 0
  /** Bytes of that message. */
  length = 0
  /** Its ring transaction id, in two halves. */
  tidLow = 0
  tidHigh = 0

  readonly #channel: Channel
  readonly #incoming: IncomingRing
  readonly #outgoing: OutgoingRing
  readonly #headerBytes: number
  #drained = 0
  #next = 0
  /** Bytes that the last write found missing, 0 when it went through. */
  #neededBytes = 0

  constructor(channel: Channel, framing: Framing) {
    this.#channel = channel
    this.#incoming = channel.incoming
    this.#outgoing = channel.outgoing
    this.#headerBytes = framing === 'pipe' ? PIPE_HEADER_SIZE : 0
    this.out = channel.outgoing.stagingView
    this.outAt = this.#headerBytes
    this.message = channel.incoming.arenaView
  }

  /** `RingFault` of whichever ring broke, 0 when neither did. */
  get fault(): number {
    const { fault } = this.#incoming
    return fault === RingFault.NONE ? this.#outgoing.fault : fault
  }

  /** Finds the next packet from the peer, and completes it when it asks for that. */
  receive(): Received {
    if (this.#next === this.#drained) {
      this.#next = 0
      const drained = this.#incoming.drain(DRAIN_MAX)
      this.#drained = drained > 0 ? drained : 0
      if (drained === 0) return this.#outgoing.fault === 0 ? Received.NOTHING : Received.FAULT
      if (drained < 0) return Received.FAULT
    }
    const incoming = this.#incoming
    const index = this.#next
    if ((incoming.flags(index) & PACKET_FLAG_COMPLETION_REQUESTED) !== 0) {
      const completed = this.#complete(incoming.tidLow(index), incoming.tidHigh(index))
      if (!completed) return this.fault === 0 ? Received.NO_ROOM : Received.FAULT
    }
    this.#next += 1
    this.tidLow = incoming.tidLow(index)
    this.tidHigh = incoming.tidHigh(index)
    switch (incoming.packetType(index)) {
      case PACKET_TYPE_COMPLETION:
        return Received.COMPLETION
      case PACKET_TYPE_DATA_INBAND:
        return this.#read(incoming.payloadAt(index), incoming.payloadLength(index))
      default:
        return Received.MALFORMED
    }
  }

  /** Nothing was read from the ring that `receive` has not found yet. */
  get isQuiet(): boolean {
    return this.#next === this.#drained && this.fault === RingFault.NONE
  }

  /** Bytes that a message composed at `out` may have. */
  get outBytesMax(): number {
    return this.out.byteLength - this.outAt
  }

  /**
   * Writes the `length` bytes composed at `out`, with a transaction id where the protocol has one. False when the ring has no room: try
   * again later.
   */
  send(length: number, wantsCompletion: boolean, tidLow = 0, tidHigh = 0): boolean {
    if (this.#headerBytes > 0) {
      this.out.setUint32(PIPE_TYPE, PIPE_PACKET_TYPE_DATA, true)
      this.out.setUint32(PIPE_LENGTH, length, true)
    }
    const flags = wantsCompletion ? PACKET_FLAG_COMPLETION_REQUESTED : 0
    return this.#write(this.#headerBytes + length, PACKET_TYPE_DATA_INBAND, flags, tidLow, tidHigh)
  }

  /** Publishes what was read and written, and signals the peer where the ring rules say so. */
  flush(): void {
    const frees = this.#incoming.commit()
    if (this.#outgoing.commit() || frees) this.#channel.signal()
  }

  /**
   * Before sleeping: asks for signals. True: there is something to do after all. `isReading` is false while the
   * program must send before it reads on: packets that come then need no signal.
   */
  arm(isReading: boolean): boolean {
    this.flush()
    const needed = this.#neededBytes
    if (needed > 0 && this.#outgoing.setPendingSendSize(needed)) return true
    // A message whose completion does not fit is read when there is room.
    if (this.#next < this.#drained) return needed === 0
    // Whoever does not read has something to send: it was not tried yet unless room was missing.
    return isReading ? this.#incoming.unmask() : needed === 0
  }

  /** After waking: no signals while polling. */
  disarm(): void {
    this.#outgoing.clearPendingSendSize()
    this.#incoming.mask()
  }

  #read(at: number, length: number): Received {
    if (this.#headerBytes > 0) {
      if (length < this.#headerBytes) return Received.MALFORMED
      const dataLength = this.message.getUint32(at + PIPE_LENGTH, true)
      const isData = this.message.getUint32(at + PIPE_TYPE, true) === PIPE_PACKET_TYPE_DATA
      if (!isData || dataLength > length - this.#headerBytes) return Received.MALFORMED
      this.at = at + this.#headerBytes
      this.length = dataLength
      return Received.MESSAGE
    }
    this.at = at
    this.length = length
    return Received.MESSAGE
  }

  #complete(tidLow: number, tidHigh: number): boolean {
    return this.#write(0, PACKET_TYPE_COMPLETION, 0, tidLow, tidHigh)
  }

  #write(length: number, type: number, flags: number, tidLow: number, tidHigh: number): boolean {
    const written = this.#outgoing.write(0, length, type, flags, tidLow, tidHigh)
    const isWritten = written === RingStatus.OK
    this.#neededBytes = isWritten ? 0 : packetBytes(length)
    return isWritten
  }
}
