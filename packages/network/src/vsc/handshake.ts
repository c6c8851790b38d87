// How an adapter comes up, from the driver's end:
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

import {
  PACKET_FLAG_COMPLETION_REQUESTED,
  PACKET_TYPE_DATA_INBAND,
  PAGE_SIZE,
} from '@guestyard/hvdef'
import { RingStatus } from '@guestyard/ring'
import type { ClientChannel } from '@guestyard/vmbus/client'
import {
  NETWORK_MTU_DEFAULT,
  NVSP_MESSAGE_BYTES,
  NVSP_MESSAGE_BYTES_V61,
  NvspChannelType,
  NvspInitComplete,
  NvspReceiveBufferComplete,
  NvspRndisPacketComplete,
  NvspSendBufferComplete,
  NvspStatus,
  NvspSubChannelComplete,
  NvspVersion,
} from '../protocol.ts'
import { PacketFilter, RndisInitializeComplete, RndisStatus } from '../rndis.ts'
import type { NetLane } from './net-lane.ts'
import type { NetVscOptions } from './netvsc-options.ts'
import type { NetVscState, RequestState } from './netvsc-state.ts'
import { nvspRequests } from './nvsp-requests.ts'
import { controlRequest, informationAt } from './rndis-requests.ts'
import { SendSections } from './send-sections.ts'

/** Transaction ids of the handshake's own packets; those of RNDIS messages are their section and 1. */
const TID_HANDSHAKE = -2
const TID_SILENT = -3
const TID_HIGH = 0
const VERSIONS: readonly number[] = Object.values(NvspVersion).toReversed()
const ETHERNET_BYTES = 14
const SECTION_BYTES_MIN = 2048
const DEFAULT_FILTER = PacketFilter.DIRECTED | PacketFilter.ALL_MULTICAST | PacketFilter.BROADCAST
/** Hosts that want messages aligned to more than this get one in a packet. */
const ALIGNMENT_SHIFT_MAX = 7

/** One a driver. VP's thread only. */
export class Handshake {
  state: NetVscState = 'closed'
  /** The adapter's address; zeros before the host has told it. */
  readonly address: Uint8Array<ArrayBuffer> = new Uint8Array(6)
  isLinkUp = false
  sections: SendSections | null = null
  /** Bytes of the receive buffer that the host may use. */
  receiveLimit = 0
  /** Messages that the host takes in one packet, and the alignment of each in bytes, a power of two from 4 on. */
  maxMessages = 1
  alignment = 8
  /** What came that nothing here waits for. */
  ignored = 0
  readonly #options: NetVscOptions
  readonly #lanes: readonly NetLane[]
  readonly #versions: readonly number[]
  #isAsked = false
  #version = 0
  #requestId = 0
  #gpadlId = 0
  #granted = 0

  /** `lanes`: the driver's, the primary first. */
  constructor(options: NetVscOptions, lanes: readonly NetLane[]) {
    this.#options = options
    this.#lanes = lanes
    this.#versions = options.versions ?? VERSIONS
  }

  get version(): number {
    return this.#versions[this.#version] ?? 0
  }

  /** A channel has opened; it is among the lanes. */
  opened(): void {
    if (this.#lanes.length === 1) {
      this.state = 'version'
      this.#version = 0
      this.#isAsked = false
    } else if (this.state === 'opening' && this.#lanes.length > this.#granted) {
      this.state = 'spread'
      this.#lanes[0]!.channel.wake?.()
    }
  }

  closed(): void {
    this.state = 'closed'
    this.sections = null
    this.receiveLimit = 0
    this.maxMessages = 1
  }

  fail(reason: string): void {
    if (this.state === 'failed') return
    this.state = 'failed'
    this.#options.listener.onFailed?.(reason)
  }

  /** Asks what is next. False while there is no room for it. */
  send(lane: NetLane): boolean {
    if (lane !== this.#lanes[0] || this.#isAsked) return true
    switch (this.state) {
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
        this.#isAsked = this.#ask(lane, this.state)
        return this.#isAsked
      case 'rndis':
      case 'address':
      case 'link':
      case 'spread':
      case 'filter':
        this.#isAsked = this.#request(lane, this.state)
        return this.#isAsked
    }
  }

  /** The host has an RNDIS request; one that it did not even take has no answer to wait for. */
  taken(lane: NetLane, at: number, length: number): void {
    const { size } = NvspRndisPacketComplete
    const status = length < size ? 0 : lane.incoming.arenaView.getUint32(at + 4, true)
    if (this.#isAsked && status !== NvspStatus.SUCCESS) this.#go(false, this.state)
  }

  /** An RNDIS message that may be the answer to a request, private; `length` bytes of it are the host's. */
  told(bytes: Uint8Array, view: DataView, length: number): void {
    const isAnswer = this.#isAsked && view.getUint32(8, true) === this.#requestId
    if (!isAnswer || (view.getUint32(0, true) & 0x8000_0000) === 0) {
      this.ignored += 1
      return
    }
    this.#isAsked = false
    this.#requested(view.getUint32(12, true) === RndisStatus.SUCCESS, bytes, view, length)
    this.#lanes[0]?.channel.wake?.()
  }

  /** A completion that is not an RNDIS message's. */
  completed(lane: NetLane, tidLow: number, at: number, length: number): void {
    if (tidLow === TID_SILENT) return
    if (tidLow !== TID_HANDSHAKE || lane !== this.#lanes[0] || !this.#isAsked) {
      lane.ignored += 1
      return
    }
    this.#answered(lane, at, length)
  }

  /** The answer to an RNDIS request. */
  #requested(isOk: boolean, bytes: Uint8Array, view: DataView, length: number): void {
    switch (this.state) {
      case 'rndis':
        this.#noteLimits(view, length)
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
        if (isOk) this.#options.listener.onReady?.()
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
        this.ignored += 1
    }
  }

  /** The answer to an NVSP message. */
  #answered(lane: NetLane, at: number, length: number): void {
    const view = lane.incoming.arenaView
    const status = (struct: { readonly size: number }, field: number): boolean =>
      length >= struct.size && view.getUint32(at + field, true) === NvspStatus.SUCCESS
    switch (this.state) {
      case 'version': {
        this.#isAsked = false
        if (status(NvspInitComplete, NvspInitComplete.at.status)) this.state = 'receive-gpadl'
        else if (this.#version + 1 < this.#versions.length) this.#version += 1
        else this.fail('the host speaks no version of the protocol that this driver speaks')
        return
      }
      case 'receive-buffer': {
        const isOk = status(NvspReceiveBufferComplete, NvspReceiveBufferComplete.at.status)
        this.#isAsked = false
        this.receiveLimit = this.#options.receiveBuffer.pageCount * PAGE_SIZE
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
        if (fits) this.sections = new SendSections(firstPfn * PAGE_SIZE, count, sectionBytes)
        return this.#go(fits, 'rndis')
      }
      case 'sub-channels': {
        const isOk = status(NvspSubChannelComplete, NvspSubChannelComplete.at.status)
        const granted = isOk ? view.getUint32(at + NvspSubChannelComplete.at.count, true) : 0
        this.#isAsked = false
        this.#granted = Math.min(granted, this.#options.subChannels ?? 0)
        if (this.#granted === 0) return this.#go(true, 'filter')
        this.state = this.#lanes.length > this.#granted ? 'spread' : 'opening'
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

  #noteLimits(view: DataView, length: number): void {
    this.maxMessages = 1
    if (length < RndisInitializeComplete.size) return
    const shift = view.getUint32(RndisInitializeComplete.at.alignmentShift, true)
    const most = view.getUint32(RndisInitializeComplete.at.maxPackets, true)
    if (shift > ALIGNMENT_SHIFT_MAX || most === 0) return
    this.maxMessages = most
    this.alignment = Math.max(4, 2 ** shift)
  }

  #go(isOk: boolean, next: NetVscState): void {
    if (isOk) this.state = next
    else this.fail(`the host refused ${this.state}`)
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
        this.state = next
        lane.channel.wake?.()
      },
      failed: () => this.fail('the host did not take a buffer’s pages'),
      tornDown: () => undefined,
    })
    if (gpadl === undefined) this.fail('a buffer is larger than a GPADL can describe')
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
    const sections = this.sections
    const section = sections?.peek() ?? -1
    if (sections === null || section < 0) return false
    this.#requestId += 1
    const { packetFilter = DEFAULT_FILTER } = this.#options
    const bytes = controlRequest(state, this.#requestId, this.#lanes.length, packetFilter)
    this.#options.memory.write(sections.gpaOf(section), bytes)
    const written = lane.writeRndis(NvspChannelType.CONTROL, section, bytes.length)
    if (written) sections.sent(section)
    return written
  }
}
