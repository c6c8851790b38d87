// A network adapter's guest end: the handshake, frames both ways, link state, sub-channels.
//
//   state          | what was asked                      | its answer
//   ---------------|-------------------------------------|-----------------------------------------------------
//   closed         |                                     | the channel opens: -> version
//   version        | INIT, newest first                  | -> receive-gpadl; refused: the next older; none left: failed
//   receive-gpadl  | the bus: the receive buffer's pages | -> receive-buffer, failed
//   receive-buffer | SEND_RECEIVE_BUFFER                 | -> send-gpadl, failed
//   send-gpadl     | the bus: the send buffer's pages    | -> send-buffer, failed
//   send-buffer    | SEND_SEND_BUFFER                    | -> rndis, failed
//   rndis          | RNDIS INITIALIZE                    | -> address, failed
//   address        | QUERY PERMANENT_ADDRESS             | -> link, failed
//   link           | QUERY MEDIA_CONNECT_STATUS          | -> sub-channels when some are wanted, else filter
//   sub-channels   | SUBCHANNEL                          | -> opening; refused: -> filter
//   opening        | the bus: each sub-channel           | all are open: -> spread
//   spread         | SET RECEIVE_SCALE_PARAMETERS        | -> filter, refused or not
//   filter         | SET CURRENT_PACKET_FILTER           | -> ready, failed
//   ready          | frames                              |
//   failed         |                                     |
//
// What does not fit is skipped and counted, as Linux does.

import {
  PACKET_FLAG_COMPLETION_REQUESTED,
  PACKET_TYPE_DATA_INBAND,
  PAGE_SIZE,
} from '@guestyard/hvdef'
import { RingStatus } from '@guestyard/ring'
import type { ChannelListener, ClientChannel, CloseReason } from '@guestyard/vmbus/client'
import { NO_TAG } from '../frame.ts'
import {
  NETWORK_CLASS_ID,
  NETWORK_MTU_DEFAULT,
  NETWORK_RING_BYTES,
  NVSP_MESSAGE_BYTES,
  NVSP_MESSAGE_BYTES_V61,
  NvspChannelType,
  NvspInitComplete,
  NvspReceiveBufferComplete,
  NvspRndisPacket,
  NvspRndisPacketComplete,
  NvspSendBufferComplete,
  NvspStatus,
  NvspSubChannelComplete,
  NvspType,
  NvspVersion,
} from '../protocol.ts'
import {
  PacketFilter,
  RndisHeader,
  RndisIndicateStatus,
  RndisPacket,
  RndisQueryComplete,
  RndisStatus,
  RndisType,
} from '../rndis.ts'
import { NetLane } from './net-lane.ts'
import type { DriverChannel, LaneOwner } from './net-lane.ts'
import type { NetVscListener, NetVscOptions } from './netvsc-options.ts'
import { ReceivedFrame } from './received-frame.ts'
import { nvspRequests } from './nvsp-requests.ts'
import type { NetVscState, RequestState } from './netvsc-state.ts'
import { HEAD_BYTES, composeHead } from './outgoing-head.ts'
import { controlRequest, informationAt } from './rndis-requests.ts'
import { SendSections } from './send-sections.ts'

/** Transaction ids of the driver's own packets; those of frames are their section and 1. */
const TID_HANDSHAKE = -2
const TID_SILENT = -3
const TID_HIGH = 0
const VERSIONS: readonly number[] = Object.values(NvspVersion).toReversed()
const ETHERNET_BYTES = 14
const SECTION_BYTES_MIN = 2048
const DEFAULT_FILTER = PacketFilter.DIRECTED | PacketFilter.ALL_MULTICAST | PacketFilter.BROADCAST

/** Driver of one adapter. VP's thread only. */
export class NetVsc implements LaneOwner {
  readonly sendBytes: number
  readonly receiveBytes: number
  /** For `VmbusClient.open`, of the primary and of each sub-channel that is offered. */
  readonly channels: ChannelListener
  /** The adapter's address, six bytes; zeros before the host has told it. */
  readonly address: Uint8Array<ArrayBuffer> = new Uint8Array(6)
  isLinkUp = false
  readonly #options: NetVscOptions
  readonly #listener: NetVscListener
  readonly #lanes: NetLane[] = []
  readonly #frame: ReceivedFrame
  readonly #versions: readonly number[]
  #state: NetVscState = 'closed'
  #isAsked = false
  #version = 0
  #requestId = 0
  #gpadlId = 0
  #granted = 0
  #receiveLimit = 0
  #sections: SendSections | null = null
  #wantsSpace = false
  #ignored = 0

  constructor(options: NetVscOptions) {
    const { ringBytes = NETWORK_RING_BYTES } = options
    this.sendBytes = ringBytes
    this.receiveBytes = ringBytes
    this.#options = options
    this.#listener = options.listener
    this.#versions = options.versions ?? VERSIONS
    this.#frame = new ReceivedFrame(options.memory)
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
    return this.#state
  }

  /** Version asked for last, in force once that was agreed to. */
  get version(): number {
    return this.#versions[this.#version] ?? 0
  }

  get laneCount(): number {
    return this.#lanes.length
  }

  /** Packets and messages that were skipped. */
  get ignored(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.ignored, this.#ignored)
  }

  /** Most bytes of a frame that `send` takes. */
  get maxFrameBytes(): number {
    const { mtuBytes = NETWORK_MTU_DEFAULT } = this.#options
    const room = (this.#sections?.sectionBytes ?? 0) - HEAD_BYTES
    return Math.min(mtuBytes + ETHERNET_BYTES, room)
  }

  /** Starts on a channel that has just opened: the primary first. */
  bind(channel: DriverChannel): NetLane {
    const lane = new NetLane(channel, this)
    this.#lanes.push(lane)
    if (this.#lanes.length === 1) {
      this.#state = 'version'
      this.#version = 0
      this.#isAsked = false
    } else if (this.#state === 'opening' && this.#lanes.length > this.#granted) {
      this.#state = 'spread'
      this.#lanes[0]!.channel.wake?.()
    }
    lane.flush()
    return lane
  }

  /**
   * Where the next frame may be composed, in the guest's RAM: `maxFrameBytes` of room, for `submit` to send. -1: there is none now, and
   * `onSpace` follows. HOT.
   */
  place(): number {
    const sections = this.#sections
    const section = this.#state === 'ready' && sections !== null ? sections.peek() : -1
    if (section >= 0 && sections !== null) return sections.gpaOf(section) + HEAD_BYTES
    this.#wantsSpace = true
    return -1
  }

  /**
   * Sends the frame of `lengthBytes` that was composed at the last `place`, over channel `lane`; published by the channel's next poll, or by
   * `flush`. False when there is no room in the ring: nothing was sent. HOT.
   */
  submit(lengthBytes: number, tag: number = NO_TAG, lane = 0): boolean {
    const sections = this.#sections
    const end = this.#lanes[lane]
    if (this.#state !== 'ready' || sections === null || end === undefined || end.isOver) {
      return false
    }
    const section = sections.peek()
    if (section < 0 || lengthBytes > this.maxFrameBytes) return false
    const length = composeHead(this.#options.memory.i32, sections.gpaOf(section), lengthBytes, tag)
    if (!this.#write(end, NvspChannelType.DATA, section, length, section + 1)) {
      this.#wantsSpace = true
      return false
    }
    sections.sent(section)
    end.channel.wake?.()
    return true
  }

  /** `place` and `submit` for bytes that lie elsewhere. */
  send(bytes: Uint8Array, tag: number = NO_TAG, lane = 0): boolean {
    const gpa = this.place()
    if (gpa < 0 || bytes.length > this.maxFrameBytes) return false
    this.#options.memory.write(gpa, bytes)
    return this.submit(bytes.length, tag, lane)
  }

  /** Publishes what was sent on a channel, now. */
  flush(lane = 0): void {
    this.#lanes[lane]?.flush()
  }

  /** A lane's. HOT. */
  received(lane: NetLane, at: number, rangeCount: number): void {
    const view = lane.incoming.arenaView
    for (let range = 0; range < rangeCount && !lane.isOver; range += 1) {
      const length = view.getUint32(at + range * 8, true)
      const offset = view.getUint32(at + range * 8 + 4, true)
      const limit = this.#receiveLimit
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
    const sections = this.#sections
    if (sections !== null && tidLow > 0) {
      if (this.#state !== 'ready') this.#checkStatus(lane, at, length)
      if (!sections.done(tidLow - 1)) lane.ignored += 1
      else if (this.#wantsSpace && this.#state === 'ready') {
        this.#wantsSpace = false
        this.#listener.onSpace?.()
      }
      return
    }
    if (tidLow === TID_SILENT) return
    if (tidLow !== TID_HANDSHAKE || lane !== this.#lanes[0] || !this.#isAsked) {
      lane.ignored += 1
      return
    }
    this.#answered(lane, at, length)
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
    if (lane !== this.#lanes[0] || this.#isAsked) return true
    switch (this.#state) {
      case 'closed':
      case 'opening':
      case 'ready':
      case 'failed':
        return true
      case 'receive-gpadl':
        this.#isAsked = true
        this.#giveBuffer(lane, this.#options.receiveBuffer, 'receive-buffer')
        return true
      case 'send-gpadl':
        this.#isAsked = true
        this.#giveBuffer(lane, this.#options.sendBuffer, 'send-buffer')
        return true
      case 'version':
      case 'receive-buffer':
      case 'send-buffer':
      case 'sub-channels':
        this.#isAsked = this.#ask(lane, this.#state)
        return this.#isAsked
      case 'rndis':
      case 'address':
      case 'link':
      case 'spread':
      case 'filter':
        this.#isAsked = this.#request(lane, this.#state)
        return this.#isAsked
    }
  }

  /** A lane's. */
  failed(lane: NetLane): void {
    if (lane === this.#lanes[0]) this.#fail('the ring broke')
  }

  // A request that the host did not even take has no answer to wait for.
  #checkStatus(lane: NetLane, at: number, length: number): void {
    const { size } = NvspRndisPacketComplete
    const status = length < size ? 0 : lane.incoming.arenaView.getUint32(at + 4, true)
    if (this.#isAsked && status !== NvspStatus.SUCCESS) this.#go(false, this.#state)
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
    frame.lane = this.#lanes.indexOf(lane)
    if (this.#state === 'ready') this.#listener.onFrame(frame)
  }

  /** RNDIS beside frames, copied before it is looked at. Cold. */
  #control(offset: number, length: number): void {
    const bytes = new Uint8Array(Math.max(length, RndisQueryComplete.size + 8))
    const gpa = this.#options.receiveBuffer.firstPfn * PAGE_SIZE + offset
    this.#options.memory.read(gpa, bytes, 0, length)
    const view = new DataView(bytes.buffer)
    const type = view.getUint32(0, true)
    if (type === RndisType.INDICATE_STATUS) {
      this.#indicated(view.getUint32(RndisIndicateStatus.at.status, true))
      return
    }
    const requestId = view.getUint32(8, true)
    const status = view.getUint32(12, true)
    const isAnswer = this.#isAsked && requestId === this.#requestId
    if (!isAnswer || (type & 0x8000_0000) === 0) {
      this.#ignored += 1
      return
    }
    this.#isAsked = false
    this.#requested(status === RndisStatus.SUCCESS, bytes, view, length)
    this.#lanes[0]?.channel.wake?.()
  }

  #indicated(status: number): void {
    switch (status) {
      case RndisStatus.MEDIA_CONNECT:
      case RndisStatus.MEDIA_DISCONNECT:
        this.isLinkUp = status === RndisStatus.MEDIA_CONNECT
        this.#listener.onLink?.(this.isLinkUp)
        return
      case RndisStatus.NETWORK_CHANGE:
        this.#listener.onNetworkChange?.()
        return
      default:
        this.#ignored += 1
    }
  }

  /** The answer to an RNDIS request. */
  #requested(isOk: boolean, bytes: Uint8Array, view: DataView, length: number): void {
    switch (this.#state) {
      case 'rndis':
        return this.#go(isOk, 'address')
      case 'address': {
        const at = informationAt(view, length, this.address.length)
        if (isOk && at > 0) this.address.set(bytes.subarray(at, at + this.address.length))
        return this.#go(isOk && at > 0, 'link')
      }
      case 'link': {
        const at = informationAt(view, length, 4)
        this.isLinkUp = isOk && at > 0 && view.getUint32(at, true) === 0
        const wantsMore = (this.#options.subChannels ?? 0) > 0 && this.version >= NvspVersion.V5
        return this.#go(true, wantsMore ? 'sub-channels' : 'filter')
      }
      case 'spread':
        return this.#go(true, 'filter')
      case 'filter':
        this.#go(isOk, 'ready')
        if (isOk) this.#listener.onReady?.()
        return
      case 'closed':
      case 'version':
      case 'receive-gpadl':
      case 'receive-buffer':
      case 'send-gpadl':
      case 'send-buffer':
      case 'sub-channels':
      case 'opening':
      case 'ready':
      case 'failed':
        this.#ignored += 1
    }
  }

  /** The answer to an NVSP message. */
  #answered(lane: NetLane, at: number, length: number): void {
    const view = lane.incoming.arenaView
    const status = (struct: { readonly size: number }, field: number): boolean =>
      length >= struct.size && view.getUint32(at + field, true) === NvspStatus.SUCCESS
    switch (this.#state) {
      case 'version': {
        this.#isAsked = false
        if (status(NvspInitComplete, NvspInitComplete.at.status)) this.#state = 'receive-gpadl'
        else if (this.#version + 1 < this.#versions.length) this.#version += 1
        else this.#fail('the host speaks no version of the protocol that this driver speaks')
        return
      }
      case 'receive-buffer': {
        const isOk = status(NvspReceiveBufferComplete, NvspReceiveBufferComplete.at.status)
        this.#isAsked = false
        this.#receiveLimit = this.#options.receiveBuffer.pageCount * PAGE_SIZE
        return this.#go(isOk, 'send-gpadl')
      }
      case 'send-buffer': {
        const isOk = status(NvspSendBufferComplete, NvspSendBufferComplete.at.status)
        const sectionBytes = isOk
          ? view.getUint32(at + NvspSendBufferComplete.at.sectionBytes, true)
          : 0
        this.#isAsked = false
        const { firstPfn, pageCount } = this.#options.sendBuffer
        const count = Math.floor((pageCount * PAGE_SIZE) / Math.max(sectionBytes, 1))
        const fits = sectionBytes >= SECTION_BYTES_MIN && sectionBytes % 4 === 0 && count > 0
        if (fits) this.#sections = new SendSections(firstPfn * PAGE_SIZE, count, sectionBytes)
        return this.#go(fits, 'rndis')
      }
      case 'sub-channels': {
        const isOk = status(NvspSubChannelComplete, NvspSubChannelComplete.at.status)
        const granted = isOk ? view.getUint32(at + NvspSubChannelComplete.at.count, true) : 0
        this.#isAsked = false
        this.#granted = Math.min(granted, this.#options.subChannels ?? 0)
        if (this.#granted === 0) return this.#go(true, 'filter')
        this.#state = this.#lanes.length > this.#granted ? 'spread' : 'opening'
        return
      }
      case 'closed':
      case 'receive-gpadl':
      case 'send-gpadl':
      case 'rndis':
      case 'address':
      case 'link':
      case 'opening':
      case 'spread':
      case 'filter':
      case 'ready':
      case 'failed':
        lane.ignored += 1
    }
  }

  #go(isOk: boolean, next: NetVscState): void {
    if (isOk) this.#state = next
    else this.#fail(`the host refused ${this.#state}`)
  }

  #giveBuffer(
    lane: NetLane,
    buffer: NetVscOptions['receiveBuffer'],
    next: 'receive-buffer' | 'send-buffer',
  ): void {
    const { firstPfn, pageCount } = buffer
    const pfns = Array.from({ length: pageCount }, (_, index) => firstPfn + index)
    const range = { pfns, offsetBytes: 0, lengthBytes: pageCount * PAGE_SIZE }
    const gpadl = this.#options.client.createGpadl(lane.channel as ClientChannel, [range], {
      created: ({ id }) => {
        this.#gpadlId = id
        this.#isAsked = false
        this.#state = next
        lane.channel.wake?.()
      },
      failed: () => this.#fail('the host did not take a buffer’s pages'),
      tornDown: () => undefined,
    })
    if (gpadl === undefined) this.#fail('a buffer is larger than a GPADL can describe')
  }

  #ask(
    lane: NetLane,
    state: 'version' | 'receive-buffer' | 'send-buffer' | 'sub-channels',
  ): boolean {
    const { mtuBytes = NETWORK_MTU_DEFAULT, subChannels = 0 } = this.#options
    const messages = nvspRequests(state, {
      version: this.version,
      gpadlId: this.#gpadlId,
      frameBytes: mtuBytes + ETHERNET_BYTES,
      subChannels,
    })
    const size = this.version >= NvspVersion.V6_1 ? NVSP_MESSAGE_BYTES_V61 : NVSP_MESSAGE_BYTES
    const { outgoing } = lane
    const last = messages.length - 1
    for (const [index, message] of messages.entries()) {
      outgoing.staging.fill(0, 0, size)
      outgoing.staging.set(message)
      const flags = index === last ? PACKET_FLAG_COMPLETION_REQUESTED : 0
      const tid = index === last ? TID_HANDSHAKE : TID_SILENT
      const written = outgoing.write(0, size, PACKET_TYPE_DATA_INBAND, flags, tid, TID_HIGH)
      // Ones that say something only may come twice.
      if (written !== RingStatus.OK) return false
    }
    return true
  }

  #request(lane: NetLane, state: RequestState): boolean {
    const sections = this.#sections
    const section = sections?.peek() ?? -1
    if (sections === null || section < 0) return false
    this.#requestId += 1
    const { packetFilter = DEFAULT_FILTER } = this.#options
    const bytes = controlRequest(state, this.#requestId, this.#lanes.length, packetFilter)
    this.#options.memory.write(sections.gpaOf(section), bytes)
    if (!this.#write(lane, NvspChannelType.CONTROL, section, bytes.length, section + 1)) {
      return false
    }
    sections.sent(section)
    return true
  }

  #write(
    lane: NetLane,
    channelType: number,
    section: number,
    length: number,
    tid: number,
  ): boolean {
    const { outgoing } = lane
    const words = outgoing.stagingWords
    words[0] = NvspType.SEND_RNDIS_PACKET
    words[NvspRndisPacket.at.channelType >> 2] = channelType
    words[NvspRndisPacket.at.sectionIndex >> 2] = section
    words[NvspRndisPacket.at.sectionBytes >> 2] = length
    const size = NvspRndisPacket.size
    const flags = PACKET_FLAG_COMPLETION_REQUESTED
    const written = outgoing.write(0, size, PACKET_TYPE_DATA_INBAND, flags, tid, TID_HIGH)
    if (written === RingStatus.FAULT) lane.fail(outgoing.fault)
    return written === RingStatus.OK
  }

  #fail(reason: string): void {
    if (this.#state === 'failed') return
    this.#state = 'failed'
    this.#listener.onFailed?.(reason)
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
    }
    if (!isPrimary) return
    this.#state = 'closed'
    this.#sections = null
    this.#receiveLimit = 0
    this.#listener.onClosed?.(reason)
  }
}
