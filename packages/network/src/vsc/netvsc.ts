// HOT (place, submit, received, completed)
// A network adapter's guest end: frames both ways, once the handshake is done (handshake.ts); link state; sub-channels. Frames to the host
// are gathered: those that follow each other on a channel share a send section and a packet, as far as the host takes several, until
// the channel is polled or flushed. What does not fit is skipped and counted, as Linux does.

import { PAGE_SIZE } from '@guestyard/hvdef'
import type { ChannelListener, ClientChannel, CloseReason } from '@guestyard/vmbus/client'
import { NO_TAG } from '../frame.ts'
import {
  NETWORK_CLASS_ID,
  NETWORK_MTU_DEFAULT,
  NETWORK_RING_BYTES,
  NvspChannelType,
  NvspType,
} from '../protocol.ts'
import {
  RndisHeader,
  RndisIndicateStatus,
  RndisPacket,
  RndisQueryComplete,
  RndisStatus,
  RndisType,
} from '../rndis.ts'
import { Handshake } from './handshake.ts'
import { NetLane } from './net-lane.ts'
import type { DriverChannel, LaneOwner } from './net-lane.ts'
import type { NetVscListener, NetVscOptions } from './netvsc-options.ts'
import type { NetVscState } from './netvsc-state.ts'
import { HEAD_BYTES, composeHead } from './outgoing-head.ts'
import { ReceivedFrame } from './received-frame.ts'

const ETHERNET_BYTES = 14
const NO_SECTION = -1

/** Driver of one adapter. VP's thread only. */
export class NetVsc implements LaneOwner {
  readonly sendBytes: number
  readonly receiveBytes: number
  /** For `VmbusClient.open`, of the primary and of each sub-channel that is offered. */
  readonly channels: ChannelListener
  readonly #options: NetVscOptions
  readonly #listener: NetVscListener
  readonly #lanes: NetLane[] = []
  readonly #frame: ReceivedFrame
  readonly #handshake: Handshake
  #wantsSpace = false
  #ignored = 0

  constructor(options: NetVscOptions) {
    const { ringBytes = NETWORK_RING_BYTES } = options
    this.sendBytes = ringBytes
    this.receiveBytes = ringBytes
    this.#options = options
    this.#listener = options.listener
    this.#frame = new ReceivedFrame(options.memory)
    this.#handshake = new Handshake(options, this.#lanes)
    this.channels = {
      opened: (channel) => this.bind(channel),
      closed: (channel, reason) => this.#closed(channel, reason),
    }
  }

  /** Class of the offers that it drives. */
  get classId(): string {
    return NETWORK_CLASS_ID
  }

  get state(): NetVscState {
    return this.#handshake.state
  }

  /** The adapter's address, six bytes; zeros before the host has told it. */
  get address(): Uint8Array<ArrayBuffer> {
    return this.#handshake.address
  }

  get isLinkUp(): boolean {
    return this.#handshake.isLinkUp
  }

  /** Version asked for last, in force once that was agreed to. */
  get version(): number {
    return this.#handshake.version
  }

  get laneCount(): number {
    return this.#lanes.length
  }

  /** Packets and messages that were skipped. */
  get ignored(): number {
    const { ignored } = this.#handshake
    return this.#lanes.reduce((sum, lane) => sum + lane.ignored, this.#ignored + ignored)
  }

  /** Most bytes of a frame that `send` takes. */
  get maxFrameBytes(): number {
    const { mtuBytes = NETWORK_MTU_DEFAULT } = this.#options
    const { sections } = this.#handshake
    if (sections === null) return 0
    const room = sections.sectionBytes - HEAD_BYTES
    return mtuBytes + ETHERNET_BYTES < room ? mtuBytes + ETHERNET_BYTES : room
  }

  /** Starts on a channel that has just opened: the primary first. */
  bind(channel: DriverChannel): NetLane {
    const lane = new NetLane(channel, this)
    lane.index = this.#lanes.length
    this.#lanes.push(lane)
    this.#handshake.opened()
    lane.flush()
    return lane
  }

  /**
   * Where the next frame of channel `lane` may be composed, in the guest's RAM: `maxFrameBytes` of room, for `submit` to send. -1: there is
   * none now, and `onSpace` follows. HOT.
   */
  place(lane = 0): number {
    const { sections, state, maxMessages } = this.#handshake
    const end = this.#lanes[lane]
    if (state !== 'ready' || sections === null || end === undefined || end.isOver) {
      this.#wantsSpace = true
      return -1
    }
    const fits = end.gatheredBytes + HEAD_BYTES + this.maxFrameBytes <= sections.sectionBytes
    if (end.section !== NO_SECTION && (!fits || end.gathered >= maxMessages)) {
      // At once: the host works on them while more are composed.
      this.sendGathered(end)
      end.publish()
    }
    if (end.section === NO_SECTION) {
      const section = end.hasRoom() ? sections.peek() : NO_SECTION
      if (section === NO_SECTION) {
        this.#wantsSpace = true
        return -1
      }
      sections.sent(section)
      end.section = section
    }
    return sections.gpaOf(end.section) + end.gatheredBytes + HEAD_BYTES
  }

  /**
   * Sends the frame of `lengthBytes` that was composed at the last `place` of this channel; published by the channel's next poll, or by
   * `flush`. False when there was no place, or it is too long: nothing was sent. HOT.
   */
  submit(lengthBytes: number, tag: number = NO_TAG, lane = 0): boolean {
    const { sections, alignment } = this.#handshake
    const end = this.#lanes[lane]
    if (sections === null || end === undefined || end.section === NO_SECTION) return false
    if (lengthBytes > this.maxFrameBytes) return false
    const gpa = sections.gpaOf(end.section) + end.gatheredBytes
    const left = sections.sectionBytes - end.gatheredBytes
    const padded = (HEAD_BYTES + lengthBytes + alignment - 1) & -alignment
    const length = padded < left ? padded : left
    composeHead(this.#options.memory.i32, gpa, lengthBytes, length, tag)
    end.gatheredBytes += length
    end.gathered += 1
    if (end.gathered === 1) end.channel.wake?.()
    return true
  }

  /** `place` and `submit` for bytes that lie elsewhere. */
  send(bytes: Uint8Array, tag: number = NO_TAG, lane = 0): boolean {
    const gpa = this.place(lane)
    if (gpa < 0 || bytes.length > this.maxFrameBytes) return false
    this.#options.memory.write(gpa, bytes)
    return this.submit(bytes.length, tag, lane)
  }

  /** Publishes what was sent on a channel, now. */
  flush(lane = 0): void {
    this.#lanes[lane]?.flush()
  }

  /** A lane's: what was gathered goes into the ring. There is room. HOT. */
  sendGathered(lane: NetLane): void {
    if (lane.gathered === 0 || lane.isOver) return
    const { section, gatheredBytes } = lane
    lane.section = NO_SECTION
    lane.gathered = 0
    lane.gatheredBytes = 0
    lane.writeRndis(NvspChannelType.DATA, section, gatheredBytes)
  }

  /** A lane's. HOT. */
  received(lane: NetLane, at: number, rangeCount: number): void {
    const view = lane.incoming.arenaView
    const limit = this.#handshake.receiveLimit
    for (let range = 0; range < rangeCount && !lane.isOver; range += 1) {
      const length = view.getUint32(at + range * 8, true)
      const offset = view.getUint32(at + range * 8 + 4, true)
      const isInside = offset <= limit && length <= limit - offset && offset % 4 === 0
      if (!isInside || length < RndisPacket.size) {
        // The shortest control messages are shorter than a packet's head.
        if (isInside && length >= RndisHeader.size) this.#control(offset, length)
        else lane.ignored += 1
        continue
      }
      this.#message(lane, offset, length)
    }
  }

  /** A lane's. HOT. */
  completed(lane: NetLane, tidLow: number, at: number, length: number): void {
    const { sections, state } = this.#handshake
    if (sections === null || tidLow <= 0) {
      this.#handshake.completed(lane, tidLow, at, length)
      return
    }
    if (state !== 'ready') this.#handshake.taken(lane, at, length)
    if (!this.#isUnsent(tidLow - 1) && sections.done(tidLow - 1)) {
      if (!this.#wantsSpace || state !== 'ready') return
      this.#wantsSpace = false
      this.#listener.onSpace?.()
    } else {
      lane.ignored += 1
    }
  }

  /** A lane's: which channel to send on is this driver's choice, so a table is known and not followed. */
  told(lane: NetLane, at: number, length: number): void {
    const type = length < 4 ? 0 : lane.incoming.arenaView.getUint32(at, true)
    const isKnown =
      type === NvspType.SEND_INDIRECTION_TABLE || type === NvspType.SEND_VF_ASSOCIATION
    if (!isKnown) lane.ignored += 1
  }

  /** A lane's: what the handshake is at. */
  sendControl(lane: NetLane): boolean {
    return this.#handshake.send(lane)
  }

  /** A lane's. */
  failed(lane: NetLane): void {
    if (lane === this.#lanes[0]) this.#handshake.fail('the ring broke')
  }

  /** A section that frames are being gathered in is not the host's to complete. */
  #isUnsent(section: number): boolean {
    for (let lane = 0; lane < this.#lanes.length; lane += 1) {
      if (this.#lanes[lane]!.section === section) return true
    }
    return false
  }

  #message(lane: NetLane, offset: number, length: number): void {
    const at = this.#options.receiveBuffer.firstPfn * PAGE_SIZE + offset
    const type = this.#options.memory.view.getUint32(at, true)
    if (type !== RndisType.PACKET) {
      this.#control(offset, length)
      return
    }
    const frame = this.#frame
    if (!frame.take(at, length)) {
      lane.ignored += 1
      return
    }
    frame.lane = lane.index
    if (this.#handshake.state === 'ready') this.#listener.onFrame(frame)
  }

  /** RNDIS beside frames, copied before it is looked at. Cold. */
  #control(offset: number, length: number): void {
    const bytes = new Uint8Array(Math.max(length, RndisQueryComplete.size + 8))
    const gpa = this.#options.receiveBuffer.firstPfn * PAGE_SIZE + offset
    this.#options.memory.read(gpa, bytes, 0, length)
    const view = new DataView(bytes.buffer)
    if (view.getUint32(0, true) === RndisType.INDICATE_STATUS) {
      this.#indicated(view.getUint32(RndisIndicateStatus.at.status, true))
      return
    }
    this.#handshake.told(bytes, view, length)
  }

  #indicated(status: number): void {
    switch (status) {
      case RndisStatus.MEDIA_CONNECT:
      case RndisStatus.MEDIA_DISCONNECT:
        this.#handshake.isLinkUp = status === RndisStatus.MEDIA_CONNECT
        this.#listener.onLink?.(this.isLinkUp)
        return
      case RndisStatus.NETWORK_CHANGE:
        this.#listener.onNetworkChange?.()
        return
      case RndisStatus.LINK_SPEED_CHANGE:
        // Nothing here goes by it.
        return
      default:
        this.#ignored += 1
    }
  }

  // The host has let go of the channel's memory, and with the primary's of everything.
  #closed(channel: ClientChannel, reason: CloseReason): void {
    const index = this.#lanes.findIndex((lane) => lane.channel === channel)
    if (index < 0) return
    const isPrimary = index === 0
    const gone = isPrimary ? this.#lanes.splice(0) : this.#lanes.splice(index, 1)
    for (const lane of gone) {
      lane.isOver = true
      this.#ignored += lane.ignored
      if (lane.section !== NO_SECTION) this.#handshake.sections?.done(lane.section)
    }
    for (const [at, lane] of this.#lanes.entries()) lane.index = at
    if (!isPrimary) return
    this.#handshake.closed()
    this.#listener.onClosed?.(reason)
  }
}
