// HOT (deliver)
// What the channels of one adapter share: the port of the switch, the guest's buffers, what the guest has asked for. Frames from the
// switch come in here, and go to the channel that their hash says.

import { GuestCopies } from '../frame.ts'
import type { Frame } from '../frame.ts'
import { FrameHeaders } from '../headers.ts'
import { isGroup } from '../mac-address.ts'
import type { MacAddress } from '../mac-address.ts'
import { NDIS_RSS_TABLE_ENTRIES, PacketFilter, RndisStatus } from '../rndis.ts'
import { DropReason } from '../switch/index.ts'
import type { PortEnd, SwitchPort } from '../switch/index.ts'
import { Toeplitz } from '../toeplitz.ts'
import type { MappedGpadl, ServerChannel } from '@guestyard/vmbus/server'
import type { Rss } from './oids.ts'
import type { ReceiveBuffer } from './receive-buffer.ts'
import type { RndisAdapter } from './rndis-control.ts'
import { Transmitter } from './transmitter.ts'

/** Control messages that wait for a receive buffer; a guest that asks on without reading is told FAILURE. */
const REPLIES_MAX = 16
const ETHERNET_BYTES = 14
const BROADCAST_HIGH = 0xffff
const BROADCAST_LOW = 0xffff_ffff

/** A channel's end, as the adapter meets it. */
export interface NetEnd {
  readonly channel: ServerChannel
  /** Puts a frame into the guest's buffer and tells it. A DropReason. */
  receive(frame: Frame, tag: number): number
  /** When it may take its next packet, while the port's bandwidth holds it back; else Infinity. */
  readonly waitsUntilMs: number
}

export interface NetAdapterOptions {
  readonly address: MacAddress
  readonly name: string
  readonly mtuBytes: number
  readonly linkBitsPerSecond: number
  readonly maxSubChannels: number
  readonly mayChangeAddress: boolean
}

export class NetAdapter implements PortEnd, RndisAdapter {
  address: MacAddress
  readonly name: string
  readonly mtuBytes: number
  linkBitsPerSecond: number
  readonly maxSubChannels: number
  readonly rss: Rss = {
    isEnabled: false,
    table: new Uint8Array(NDIS_RSS_TABLE_ENTRIES),
    entries: 1,
    hash: new Toeplitz(),
  }
  readonly transmitter: Transmitter = new Transmitter()
  nvspVersion = 0
  /** Payload bytes of frames to the guest: its own word, before it gives its buffer. */
  guestMtuBytes: number
  packetFilter = 0
  tellsChecksums = true
  isRndisUp = false
  receiveBuffer: ReceiveBuffer | null = null
  sendBuffer: MappedGpadl | null = null
  primary: NetEnd | null = null
  /** By sub-channel index. */
  readonly ends: (NetEnd | null)[]
  /** Of the guest that has the channels. */
  copies: GuestCopies | null = null
  /** Toeplitz hash of the frame that is delivered, told to the guest where it spreads flows. */
  readonly hash: Int32Array<ArrayBuffer> = new Int32Array(1)
  /** Control messages to the guest. */
  readonly replies: Uint8Array[] = []
  /** The guest is to be told of its link, or of another network behind it. */
  owesLink = false
  owesNetworkChange = false
  owesLinkSpeed = false
  /** The guest is to be told which channel its own frames should take. */
  owesTable = false
  readonly #permanent: MacAddress
  readonly #mayChangeAddress: boolean
  readonly #headers: FrameHeaders = new FrameHeaders()
  #port: SwitchPort | null = null

  constructor(options: NetAdapterOptions) {
    this.address = options.address
    this.#permanent = options.address
    this.name = options.name
    this.mtuBytes = options.mtuBytes
    this.guestMtuBytes = options.mtuBytes
    this.linkBitsPerSecond = options.linkBitsPerSecond
    this.maxSubChannels = options.maxSubChannels
    this.#mayChangeAddress = options.mayChangeAddress
    this.ends = Array.from({ length: options.maxSubChannels + 1 }, () => null)
  }

  /** Set once, before anything is offered. */
  get port(): SwitchPort {
    return this.#port!
  }

  set port(port: SwitchPort) {
    this.#port = port
  }

  get isLinkUp(): boolean {
    return this.port.isLinkUp
  }

  get channelCount(): number {
    let count = 0
    while (count < this.ends.length && this.ends[count] !== null) count += 1
    return count
  }

  /** There is something to be told now, room in the ring given. */
  get canAnnounce(): boolean {
    const buffer = this.receiveBuffer
    return this.owesTable || (this.hasNews && buffer !== null && buffer.freeCount > 0)
  }

  get hasNews(): boolean {
    const owesStatus = this.owesLink || this.owesLinkSpeed || this.owesNetworkChange
    return this.replies.length > 0 || owesStatus || this.owesTable
  }

  /** The switch's. */
  deliver(frame: Frame, tag: number): number {
    if (!this.isRndisUp || this.receiveBuffer === null) return DropReason.NO_RECEIVER
    if (!this.#isWanted(frame)) return DropReason.FILTERED
    if (frame.lengthBytes > this.guestMtuBytes + ETHERNET_BYTES) return DropReason.MTU
    const end = this.#endFor(frame)
    return end === null ? DropReason.NO_RECEIVER : end.receive(frame, tag)
  }

  changeAddress(address: MacAddress): boolean {
    if (!this.#mayChangeAddress) return false
    this.address = address
    return true
  }

  /** Queues a control message. False when too many wait. */
  reply(bytes: Uint8Array): boolean {
    if (this.replies.length >= REPLIES_MAX) return false
    this.replies.push(bytes)
    return true
  }

  /** Status that tells of the link as it is. */
  get linkStatus(): number {
    return this.isLinkUp ? RndisStatus.MEDIA_CONNECT : RndisStatus.MEDIA_DISCONNECT
  }

  opened(end: NetEnd): void {
    const index = end.channel.subChannelIndex
    this.ends[index] = end
    if (index > 0) {
      this.owesTable = true
      this.primary?.channel.wake()
      return
    }
    this.primary = end
    this.copies = new GuestCopies(end.channel.domain.memory)
  }

  closed(end: NetEnd): void {
    const index = end.channel.subChannelIndex
    if (this.ends[index] === end) this.ends[index] = null
    if (this.primary !== end) return
    this.primary = null
    this.dropBuffers()
    this.isRndisUp = false
    this.packetFilter = 0
    this.nvspVersion = 0
    this.guestMtuBytes = this.mtuBytes
    this.tellsChecksums = true
    this.rss.isEnabled = false
    this.address = this.#permanent
    this.replies.length = 0
    this.owesLink = false
    this.owesNetworkChange = false
    this.owesLinkSpeed = false
    this.owesTable = false
    this.copies = null
  }

  dropBuffers(): void {
    this.receiveBuffer?.release()
    this.receiveBuffer = null
    this.sendBuffer?.release()
    this.sendBuffer = null
  }

  #isWanted(frame: Frame): boolean {
    const filter = this.packetFilter
    if (filter === 0) return false
    if ((filter & PacketFilter.PROMISCUOUS) !== 0) return true
    const { view } = frame
    const high = view.getUint16(0)
    const low = view.getUint32(2)
    if (!isGroup(high)) {
      const isOurs = high === this.address.high && low === this.address.low
      return isOurs && (filter & PacketFilter.DIRECTED) !== 0
    }
    if (high === BROADCAST_HIGH && low === BROADCAST_LOW) {
      return (filter & PacketFilter.BROADCAST) !== 0
    }
    return (filter & (PacketFilter.MULTICAST | PacketFilter.ALL_MULTICAST)) !== 0
  }

  #endFor(frame: Frame): NetEnd | null {
    const { rss } = this
    if (!rss.isEnabled) return this.primary
    const headers = this.#headers
    headers.parse(frame)
    const hash = rss.hash.hashFrame(frame, headers)
    this.hash[0] = hash
    const index = rss.table[hash & (rss.entries - 1)]!
    return this.ends[index] ?? this.primary
  }
}
