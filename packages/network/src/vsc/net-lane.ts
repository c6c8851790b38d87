// HOT
// One channel of an adapter as the guest's driver uses it: what comes is told to the driver, and answered when there is room for the
// answer; until then it waits in the ring.

import {
  PACKET_FLAG_COMPLETION_REQUESTED,
  PACKET_TYPE_COMPLETION,
  PACKET_TYPE_DATA_INBAND,
  PACKET_TYPE_DATA_USING_TRANSFER_PAGES,
} from '@guestyard/hvdef'
import { RingFault, RingStatus, packetBytes } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import {
  NVSP_MESSAGE_BYTES_V61,
  NVSP_RECEIVE_BUFFER_ID,
  NvspRndisPacket,
  NvspRndisPacketComplete,
  NvspStatus,
  NvspType,
} from '../protocol.ts'

/** A channel as the driver uses it: what a bus client's has on top is used when it is there. */
export interface DriverChannel extends Channel {
  wake?(): void
  fail?(reason: number | string): void
}

/** Whom a lane tells. */
export interface LaneOwner {
  /** RNDIS messages lie at these offsets of the receive buffer: pairs of length and offset at `at` of the arena. HOT. */
  received(lane: NetLane, at: number, rangeCount: number): void
  /** An answer to packet `tidLow`, its message at `at` of the arena. HOT. */
  completed(lane: NetLane, tidLow: number, at: number, length: number): void
  /** A message of the host's own. */
  told(lane: NetLane, at: number, length: number): void
  /** Sends what the driver has to send besides frames. False while there is no room for it. */
  sendControl(lane: NetLane): boolean
  /** Writes the packet of the frames that were gathered on a lane, if there are any. HOT. */
  sendGathered(lane: NetLane): void
  failed(lane: NetLane): void
}

const DRAIN_MAX = 64
const ANSWER_BYTES = packetBytes(NvspRndisPacketComplete.size)
const RNDIS_BYTES = packetBytes(NvspRndisPacket.size)
/** Any packet of the driver's, and an answer. */
const LARGEST_BYTES = packetBytes(NVSP_MESSAGE_BYTES_V61) + ANSWER_BYTES

export class NetLane implements ChannelProgram {
  readonly channel: DriverChannel
  readonly incoming: IncomingRing
  readonly outgoing: OutgoingRing
  isOver = false
  /** Packets that were skipped because they made no sense. */
  ignored = 0
  /** The driver's: which of the lanes this is. */
  index = 0
  // The driver's: frames that are gathered for the next packet, in which section (-1: none), and how many bytes of it they take. While
  // there is a section, the ring has room for its packet.
  section = -1
  gathered = 0
  gatheredBytes = 0
  readonly #owner: LaneOwner
  #drained = 0
  #next = 0
  #isShort = false

  constructor(channel: DriverChannel, owner: LaneOwner) {
    this.channel = channel
    this.incoming = channel.incoming
    this.outgoing = channel.outgoing
    this.#owner = owner
  }

  poll(budget: number): number {
    if (this.isOver) return 0
    let done = 0
    this.#isShort = false
    while (done < budget && this.#hasPacket()) {
      if (!this.hasRoom()) {
        this.#isShort = true
        break
      }
      const i = this.#next
      this.#next += 1
      this.#serve(i)
      done += 1
    }
    if (!this.isOver) this.flush()
    return done
  }

  /** Room for an answer, and a packet besides. */
  hasRoom(): boolean {
    return this.outgoing.writableBytes() >= ANSWER_BYTES + RNDIS_BYTES
  }

  /** Writes the packet of RNDIS messages that lie in a send section. Its transaction id: the section and 1. False: it did not. */
  writeRndis(channelType: number, section: number, lengthBytes: number): boolean {
    const { outgoing } = this
    const words = outgoing.stagingWords
    words[0] = NvspType.SEND_RNDIS_PACKET
    words[NvspRndisPacket.at.channelType >> 2] = channelType
    words[NvspRndisPacket.at.sectionIndex >> 2] = section
    words[NvspRndisPacket.at.sectionBytes >> 2] = lengthBytes
    const { size } = NvspRndisPacket
    const flags = PACKET_FLAG_COMPLETION_REQUESTED
    const written = outgoing.write(0, size, PACKET_TYPE_DATA_INBAND, flags, section + 1, 0)
    if (written === RingStatus.FAULT) this.fail(outgoing.fault)
    return written === RingStatus.OK
  }

  /** Publishes what was written. */
  flush(): void {
    if (this.isOver) return
    this.#owner.sendGathered(this)
    if (this.isOver) return
    if (!this.#owner.sendControl(this)) this.#isShort = true
    if (this.isOver) return
    const frees = this.incoming.commit()
    if (this.outgoing.commit() || frees) this.channel.signal()
  }

  /** Shows the host what was written, and gives it no room: that may wait for a poll. */
  publish(): void {
    if (!this.isOver && this.outgoing.commit()) this.channel.signal()
  }

  arm(): boolean {
    if (this.isOver) return false
    this.flush()
    if (this.isOver) return false
    if (this.#isShort && this.outgoing.setPendingSendSize(LARGEST_BYTES)) return true
    if (this.#next < this.#drained) return !this.#isShort
    return this.incoming.unmask()
  }

  disarm(): void {
    if (this.isOver) return
    this.outgoing.clearPendingSendSize()
    this.incoming.mask()
  }

  close(): void {
    this.isOver = true
  }

  /** The ring broke, or the driver gives the channel up. */
  fail(reason: number | string): void {
    if (this.isOver) return
    this.isOver = true
    this.#owner.failed(this)
    this.channel.fail?.(reason)
  }

  #hasPacket(): boolean {
    if (this.isOver) return false
    if (this.#next < this.#drained) return true
    const count = this.incoming.drain(DRAIN_MAX)
    if (count < 0) {
      const { fault } = this.incoming
      this.fail(fault === RingFault.NONE ? this.outgoing.fault : fault)
      return false
    }
    this.#next = 0
    this.#drained = count
    return count > 0
  }

  #serve(i: number): void {
    const { incoming } = this
    const at = incoming.payloadAt(i)
    const length = incoming.payloadLength(i)
    switch (incoming.packetType(i)) {
      case PACKET_TYPE_COMPLETION:
        this.#owner.completed(this, incoming.tidLow(i), at, length)
        return
      case PACKET_TYPE_DATA_USING_TRANSFER_PAGES:
        if (incoming.transferPageSetId(i) === NVSP_RECEIVE_BUFFER_ID) this.#receive(i)
        else this.ignored += 1
        return
      case PACKET_TYPE_DATA_INBAND:
        this.#owner.told(this, at, length)
        return
      default:
        this.ignored += 1
    }
  }

  // The host may use the sub-allocations again once it has the answer, so everything is looked at before.
  #receive(i: number): void {
    const { incoming, outgoing } = this
    this.#owner.received(this, incoming.rangesAt(i), incoming.rangeCount(i))
    if (this.isOver) return
    const words = outgoing.stagingWords
    words[0] = NvspType.SEND_RNDIS_PACKET_COMPLETE
    words[1] = NvspStatus.SUCCESS
    const written = outgoing.write(
      0,
      NvspRndisPacketComplete.size,
      PACKET_TYPE_COMPLETION,
      0,
      incoming.tidLow(i),
      incoming.tidHigh(i),
    )
    if (written !== RingStatus.OK) this.fail(outgoing.fault)
  }
}
