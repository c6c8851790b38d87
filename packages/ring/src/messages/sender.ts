// HOT.

import { PacketType } from '@guestyard/hvdef'
import type { Doorbell } from '../doorbell.ts'
import type { OutgoingRing } from '../outgoing-ring.ts'
import { packetBytes } from '../sending-end.ts'
import { RingStatus, ringFaultName } from '../ring-fault.ts'
import { ChannelError } from './channel-error.ts'
import type { Codec } from './codec.ts'
import { afterThisTurn } from './event-loop.ts'
import { FRAME_FORMAT_SHIFT, FrameKind } from './frames.ts'

/** So many messages of a run are published one by one. */
const RUN_MESSAGES = 8
/** Later ones are published together, so many at a time. */
const COMMIT_EVERY = 32
const LARGEST_FRAGMENT_BYTES = 32 * 1024

/**
 * The sending half of a channel's end: encodes into the ring's staging area, cuts long messages, publishes and
 * rings the peer's doorbell. Holds at most one message that is not in the ring yet (`pending`); it never waits.
 */
export class Sender<Sent> {
  readonly #ring: OutgoingRing
  readonly #peerDoorbell: Doorbell
  readonly #codec: Codec<Sent, unknown>
  readonly #maxMessageBytes: number
  readonly #fragmentBytes: number
  /** A message no longer than this is one packet, straight from where it was encoded. */
  readonly #directBytes: number
  readonly #staging: Uint8Array
  readonly #endTurn: () => void
  #turnOpen = false
  #uncommitted = 0
  #run = 0
  // The message under way: bytes [#sentBytes, #totalBytes) of #source, or of the staging area.
  #source: Uint8Array | undefined = undefined
  #totalBytes = 0
  #sentBytes = 0
  #pendingKind: FrameKind | 0 = 0
  #format = 0
  /** The end-of-stream frame is in the ring. */
  ended = false
  messagesSent = 0
  bytesSent = 0
  fullWaits = 0

  constructor(
    ring: OutgoingRing,
    peerDoorbell: Doorbell,
    codec: Codec<Sent, unknown>,
    maxMessageBytes: number,
  ) {
    this.#ring = ring
    this.#peerDoorbell = peerDoorbell
    this.#codec = codec
    this.#maxMessageBytes = maxMessageBytes
    this.#staging = ring.staging
    this.#fragmentBytes = fragmentBytes(ring.sizeBytes, ring.staging.length)
    this.#directBytes = Math.min(this.#fragmentBytes, maxMessageBytes)
    this.#endTurn = (): void => {
      this.#turnOpen = false
      this.flush()
    }
  }

  /** True while a message is only partly in the ring: nothing else can be accepted. */
  get pending(): boolean {
    return this.#pendingKind !== 0
  }

  /**
   * Takes one message. Returns true when all of it is in the ring, false when `advance` must be called once
   * there is room. Throws a ChannelError for a value that cannot be sent; the channel is unharmed then.
   */
  accept(value: Sent): boolean {
    const length = this.#codec.encode(value, this.#staging)
    const source = this.#codec.overflow
    if (source === undefined && length <= this.#directBytes) {
      const frame = FrameKind.message | (this.#codec.format << FRAME_FORMAT_SHIFT)
      if (this.#ring.write(0, length, PacketType.DATA_INBAND, 0, frame, length) === RingStatus.OK) {
        this.messagesSent++
        this.bytesSent += length
        this.#written()
        return true
      }
    }
    if (length > this.#maxMessageBytes) {
      this.#codec.forget()
      throw new ChannelError(
        'message-too-big',
        `the message takes ${length} bytes, more than maxMessageBytes (${this.#maxMessageBytes})`,
      )
    }
    this.messagesSent++
    this.bytesSent += length
    this.#source = source
    this.#format = this.#codec.format
    this.#totalBytes = length
    this.#sentBytes = 0
    this.#pendingKind = length > this.#fragmentBytes ? FrameKind.first : FrameKind.message
    if (source !== undefined && length <= this.#fragmentBytes) this.#staging.set(source)
    return this.advance()
  }

  /** Takes the end-of-stream frame, as `accept` takes a message. */
  acceptEnd(): boolean {
    this.#source = undefined
    this.#totalBytes = 0
    this.#sentBytes = 0
    this.#pendingKind = FrameKind.end
    this.ended = true
    return this.advance()
  }

  /** Gives up what is not in the ring yet: nobody will read it. */
  drop(): void {
    this.#pendingKind = 0
    this.#source = undefined
  }

  /** Writes what fits of the pending message. True when nothing is left of it. */
  advance(): boolean {
    while (this.#pendingKind !== 0) {
      if (!this.#writePiece()) return false
    }
    this.#source = undefined
    return true
  }

  /** Publishes what was written. */
  flush(): void {
    if (this.#uncommitted === 0) return
    this.#uncommitted = 0
    if (this.#ring.commit()) this.#peerDoorbell.ring()
  }

  /**
   * Asks the peer to ring when the pending piece fits. True when it fits already, so there is no need to wait.
   */
  arm(): boolean {
    this.fullWaits++
    return this.#ring.setPendingSendSize(this.#nextPacketBytes())
  }

  /** True when the pending piece fits now, or the ring is dead: writing it says which. */
  hasRoom(): boolean {
    const free = this.#ring.writableBytes()
    return free < 0 || free >= this.#nextPacketBytes()
  }

  disarm(): void {
    this.#ring.clearPendingSendSize()
  }

  #nextPacketBytes(): number {
    return packetBytes(Math.min(this.#totalBytes - this.#sentBytes, this.#fragmentBytes))
  }

  #writePiece(): boolean {
    const left = this.#totalBytes - this.#sentBytes
    const cut = this.#pendingKind !== FrameKind.message && this.#pendingKind !== FrameKind.end
    const isLast = left <= this.#fragmentBytes
    const length = isLast ? left : this.#fragmentBytes
    if (cut && isLast) this.#pendingKind = FrameKind.last
    let at = this.#sentBytes
    if (cut && this.#source !== undefined) {
      this.#staging.set(this.#source.subarray(this.#sentBytes, this.#sentBytes + length))
      at = 0
    }
    const status = this.#ring.write(
      at,
      length,
      PacketType.DATA_INBAND,
      0,
      this.#pendingKind | (this.#format << FRAME_FORMAT_SHIFT),
      this.#totalBytes,
    )
    if (status === RingStatus.FULL) {
      this.flush()
      return false
    }
    if (status !== RingStatus.OK) throw ringFault('sending', this.#ring.fault)
    this.#sentBytes += length
    this.#pendingKind = cut && !isLast ? FrameKind.middle : 0
    this.#written()
    return true
  }

  // A lone message goes out at once, and so do the first few of a run. Publishing takes the ring's index away from the
  // peer that looks at it, so the messages of a longer run go out together, by the end of this turn of the event loop.
  #written(): void {
    this.#uncommitted++
    if (this.#turnOpen) {
      if (this.#uncommitted >= COMMIT_EVERY) this.flush()
      return
    }
    this.flush()
    if (++this.#run < RUN_MESSAGES) return
    this.#run = 0
    this.#turnOpen = true
    afterThisTurn(this.#endTurn)
  }
}

/** The error that ends a channel whose ring is corrupt. */
export function ringFault(doing: string, fault: number): ChannelError {
  return new ChannelError(
    'ring-fault',
    `the ring is corrupt (${ringFaultName(fault)}, while ${doing})`,
    {
      ringFault: fault,
    },
  )
}

function fragmentBytes(dataBytes: number, stagingBytes: number): number {
  return Math.min(LARGEST_FRAGMENT_BYTES, stagingBytes, dataBytes >> 2) & ~7
}
