// HOT
// The conversation with one guest over one channel of an adapter: NVSP messages in, their completions out, frames into the guest's
// receive buffer. What may be asked when:
//
//   state       | INIT              | buffers, config, version | RNDIS, SUBCHANNEL | revoke of the receive buffer
//   ------------|-------------------|--------------------------|-------------------|-----------------------------
//   init        | -> setup, refused | refused                  | refused           | nothing
//   setup       | refused           | receive buffer: -> ready | refused           | nothing
//   ready       | refused           | one of each at a time    | served            | -> setup
//   sub-channel | refused           | refused                  | RNDIS of data     | nothing
//   over        |                   |                          |                   |
//
// A packet is taken only when there is room for its completion, and, if it sends frames, when the port has bandwidth; until then it stays
// in the guest's own ring. What asks for no completion gets none. What is no NVSP message is skipped and counted.

import {
  PACKET_FLAG_COMPLETION_REQUESTED,
  PACKET_TYPE_COMPLETION,
  PACKET_TYPE_DATA_INBAND,
  PACKET_TYPE_DATA_USING_GPA_DIRECT,
  assert,
} from '@guestyard/hvdef'
import { PageRangeStatus, PageRangeTable, SlatRight, parsePageRanges } from '@guestyard/guestmem'
import { RingStatus, packetBytes } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import type { ChannelProgram } from '@guestyard/vmbus'
import type { ServerChannel } from '@guestyard/vmbus/server'
import type { Frame } from '../frame.ts'
import {
  NVSP_MESSAGE_BYTES,
  NVSP_MESSAGE_BYTES_V61,
  NVSP_NO_SECTION,
  NVSP_RECEIVE_BUFFER_ID,
  NVSP_RECEIVE_RESERVE_BYTES,
  NVSP_SEND_SECTION_BYTES,
  NVSP_TRANSMIT_TABLE_ENTRIES,
  NvspChannelType,
  NvspIndirectionTable,
  NvspRndisPacket,
  NvspStatus,
  NvspType,
  NvspVersion,
} from '../protocol.ts'
import { RndisStatus } from '../rndis.ts'
import { DropReason } from '../switch/index.ts'
import { FrameHead } from './frame-head.ts'
import { MESSAGE_PAGES_MAX, MessageBytes } from './message-bytes.ts'
import type { NetAdapter, NetEnd } from './net-adapter.ts'
import type { NetStateName } from './net-state.ts'
import { serveSetup } from './nvsp-setup.ts'
import { CONTROL_BYTES_MAX } from './receive-buffer.ts'
import type { ReceiveBuffer } from './receive-buffer.ts'
import { indicateLinkSpeed, indicateStatus, serveControl } from './rndis-control.ts'

const DRAIN_MAX = 64
/** Between descriptor and payload of a transfer-page packet, for so many ranges. */
const transferHeaderBytes = (ranges: number): number => 8 + 8 * ranges
/** Messages of one packet to the guest. */
const TOLD_MAX = 64
const COMPLETION_BYTES = packetBytes(NVSP_MESSAGE_BYTES_V61)
const TRANSFER_BYTES = packetBytes(transferHeaderBytes(1) + NVSP_MESSAGE_BYTES_V61)
const TABLE_BYTES = packetBytes(NvspIndirectionTable.size)
/** Sub-allocations that frames leave to control messages. */
const CONTROL_RESERVE = 2
const RANGES_MAX = 64
const MESSAGE_WORDS_MAX = NVSP_MESSAGE_BYTES_V61 >> 2
const CHANNEL_TYPE_WORD = NvspRndisPacket.at.channelType >> 2
const SECTION_INDEX_WORD = NvspRndisPacket.at.sectionIndex >> 2
const SECTION_BYTES_WORD = NvspRndisPacket.at.sectionBytes >> 2
/** Units of work, and milliseconds, after which a guest is signalled though there is more to do for it. */
const HELD_MAX = 1024
const HELD_MS = 0.25
const NEVER = Number.POSITIVE_INFINITY

/** Runs on an open channel of an adapter. Root's thread only. */
export class NetProgram implements ChannelProgram, NetEnd {
  readonly channel: ServerChannel
  state: NetStateName
  waitsUntilMs = NEVER
  /** Packets that are no NVSP message, or none for here. */
  ignored = 0
  readonly #adapter: NetAdapter
  readonly #incoming: IncomingRing
  readonly #outgoing: OutgoingRing
  readonly #bytes: MessageBytes
  readonly #table: PageRangeTable
  readonly #head: FrameHead = new FrameHead()
  #drained = 0
  #next = 0
  // Frames that are in the guest's buffer and not told yet, and how many more there is room to tell of.
  readonly #lengths: Int32Array<ArrayBuffer> = new Int32Array(TOLD_MAX)
  readonly #offsets: Int32Array<ArrayBuffer> = new Int32Array(TOLD_MAX)
  #untold = 0
  #untoldOf: ReceiveBuffer | null = null
  #canTell = 0
  #firstUntold = 0
  #lastUntold = 0
  #use = 0
  // A signal that is due, and the work done since.
  #owesSignal = false
  #held = 0
  #heldSinceMs = 0
  /** A write of a delivery found the ring broken; told with the next poll. */
  #isBroken = false

  constructor(channel: ServerChannel, adapter: NetAdapter) {
    this.channel = channel
    this.state = channel.subChannelIndex === 0 ? 'init' : 'sub-channel'
    this.#adapter = adapter
    this.#incoming = channel.incoming
    this.#outgoing = channel.outgoing
    this.#bytes = new MessageBytes(channel.domain.memory)
    this.#table = new PageRangeTable({ maxRanges: RANGES_MAX, maxPages: MESSAGE_PAGES_MAX })
  }

  /** Bytes of a message in the version in force. */
  get messageBytes(): number {
    return this.#adapter.nvspVersion >= NvspVersion.V6_1
      ? NVSP_MESSAGE_BYTES_V61
      : NVSP_MESSAGE_BYTES
  }

  poll(budget: number): number {
    if (this.state === 'over') return 0
    // Whoever polls delivers to others only: nothing becomes untold before the end.
    const told = this.#untold
    if (told > 0) this.#tell(NvspChannelType.DATA)
    if (this.#isBroken) return this.#fail()
    let done = this.#adapter.primary === this && this.#adapter.hasNews ? this.#announce() : 0
    while (done < budget && this.#hasPacket()) {
      const units = this.#step()
      if (units === 0) break
      done += units
    }
    this.#publish(done + told)
    return done
  }

  arm(): boolean {
    if (this.state === 'over') return false
    if (this.#isBroken || this.#untold > 0) return true
    this.#publish(0)
    if (this.#next < this.#drained) {
      if (this.waitsUntilMs === NEVER) {
        return this.#outgoing.setPendingSendSize(2 * COMPLETION_BYTES)
      }
      return this.waitsUntilMs <= this.#adapter.port.now()
    }
    const adapter = this.#adapter
    const owesNews = adapter.primary === this && adapter.canAnnounce
    if (owesNews && this.#outgoing.setPendingSendSize(TABLE_BYTES + TRANSFER_BYTES)) return true
    return this.#incoming.unmask()
  }

  disarm(): void {
    if (this.state === 'over') return
    this.#outgoing.clearPendingSendSize()
    this.#incoming.mask()
  }

  close(): void {
    this.state = 'over'
    this.#adapter.closed(this)
  }

  /** The adapter's: a frame for the guest. */
  receive(frame: Frame, tag: number): number {
    const adapter = this.#adapter
    const buffer = adapter.receiveBuffer
    const { copies } = adapter
    if (buffer === null || copies === null || this.state === 'over') return DropReason.NO_RECEIVER
    // What was in a buffer that the guest took back is of no use to it.
    if (this.#untoldOf !== buffer) this.#untold = 0
    if (this.#untold === 0 && !this.#makeRoom()) return DropReason.NO_BUFFER
    const index = buffer.freeCount > CONTROL_RESERVE ? buffer.peek() : -1
    if (index < 0) return DropReason.NO_BUFFER
    const hash = adapter.rss.isEnabled ? adapter.hash : null
    const headBytes = this.#head.compose(frame, tag, adapter.tellsChecksums, hash)
    const length = headBytes + frame.lengthBytes
    if (length > buffer.subAllocationBytes - NVSP_RECEIVE_RESERVE_BYTES) return DropReason.MTU
    const { domain } = this.channel
    domain.sampleOverlays()
    if (!buffer.writeFrame(index, this.#head, headBytes, frame, domain.memory, copies)) {
      return DropReason.FAULT
    }
    if (this.#untold === 0) this.channel.wake()
    this.#give(buffer, index, length)
    if (this.#untold === this.#canTell) this.#tell(NvspChannelType.DATA)
    return this.#isBroken ? DropReason.NO_BUFFER : DropReason.NONE
  }

  /** Room to tell of frames: for one at least, and a completion beside it. */
  #makeRoom(): boolean {
    const room = this.#outgoing.writableBytes() - TRANSFER_BYTES - COMPLETION_BYTES
    if (room < 0) return false
    const more = room >> 3
    this.#canTell = more < TOLD_MAX ? more + 1 : TOLD_MAX
    return true
  }

  /** A message in a sub-allocation is the guest's, as soon as it is told. */
  #give(buffer: ReceiveBuffer, index: number, lengthBytes: number): void {
    if (this.#untold === 0) {
      this.#use = buffer.give(index)
      this.#untoldOf = buffer
      this.#firstUntold = index
    } else {
      buffer.join(this.#lastUntold, index)
    }
    this.#lastUntold = index
    this.#lengths[this.#untold] = lengthBytes
    this.#offsets[this.#untold] = index * buffer.subAllocationBytes
    this.#untold += 1
  }

  /** Tells the guest of what it was given: one packet, with one completion for all. There is room. */
  #tell(channelType: number): void {
    const count = this.#untold
    this.#untold = 0
    if (this.#untoldOf !== this.#adapter.receiveBuffer) return
    const words = this.#outgoing.stagingWords
    for (let range = 0; range < count; range += 1) {
      words[2 + 2 * range] = this.#lengths[range]!
      words[3 + 2 * range] = this.#offsets[range]!
    }
    const from = transferHeaderBytes(count) >> 2
    for (let at = from; at < from + MESSAGE_WORDS_MAX; at += 1) words[at] = 0
    words[from] = NvspType.SEND_RNDIS_PACKET
    words[from + CHANNEL_TYPE_WORD] = channelType
    words[from + SECTION_INDEX_WORD] = NVSP_NO_SECTION
    const written = this.#outgoing.writeTransferPages(
      0,
      NVSP_RECEIVE_BUFFER_ID,
      count,
      this.messageBytes,
      PACKET_FLAG_COMPLETION_REQUESTED,
      this.#firstUntold + 1,
      this.#use,
    )
    if (written === RingStatus.OK) return
    assert(written === RingStatus.FAULT, 'A frame has room before it is copied.')
    this.#isBroken = true
  }

  #hasPacket(): boolean {
    if (this.state === 'over') return false
    if (this.#next < this.#drained) return true
    const count = this.#incoming.drain(DRAIN_MAX)
    if (count < 0) {
      this.#fail()
      return false
    }
    this.#next = 0
    this.#drained = count
    return count > 0
  }

  /** Serves the next packet. Units done; 0: it has to wait. */
  #step(): number {
    const i = this.#next
    const incoming = this.#incoming
    const type = incoming.packetType(i)
    if (type === PACKET_TYPE_COMPLETION) {
      this.#next += 1
      const buffer = this.#adapter.receiveBuffer
      if (buffer !== null) buffer.complete(incoming.tidLow(i) - 1, incoming.tidHigh(i))
      return 1
    }
    if (this.#outgoing.writableBytes() < COMPLETION_BYTES) return 0
    const length = incoming.payloadLength(i)
    if (length < 8) {
      this.#next += 1
      this.ignored += 1
      return 1
    }
    const message = incoming.arenaWords[incoming.payloadAt(i) >> 2]! >>> 0
    if (message !== NvspType.SEND_RNDIS_PACKET) {
      this.#next += 1
      return this.#setUp(i, message)
    }
    return this.#sendRndis(i, type, length)
  }

  #sendRndis(i: number, type: number, length: number): number {
    const adapter = this.#adapter
    const { arenaWords } = this.#incoming
    const word = this.#incoming.payloadAt(i) >> 2
    const isPrimary = this.state === 'ready'
    const isServed = isPrimary || (this.state === 'sub-channel' && adapter.receiveBuffer !== null)
    const channelType = arenaWords[word + CHANNEL_TYPE_WORD]!
    const isData = channelType === NvspChannelType.DATA
    const isControl = channelType === NvspChannelType.CONTROL && isPrimary
    if (length < NvspRndisPacket.size || !isServed || (!isData && !isControl)) {
      this.#next += 1
      this.#completeRndis(i, NvspStatus.FAILURE)
      return 1
    }
    if (isData) {
      const now = adapter.port.now()
      const readyMs = adapter.port.readyAtMs(now)
      this.waitsUntilMs = readyMs > now ? readyMs : NEVER
      if (readyMs > now) return 0
    }
    this.#next += 1
    const ranges = type === PACKET_TYPE_DATA_USING_GPA_DIRECT ? this.#incoming.rangeCount(i) : 0
    const sectionIndex = arenaWords[word + SECTION_INDEX_WORD]! >>> 0
    const sectionBytes = arenaWords[word + SECTION_BYTES_WORD]! >>> 0
    const isMapped = ranges > 0 && this.#map(i, ranges)
    let status: number = NvspStatus.INVALID_RNDIS_PACKET
    const isReadable = ranges === 0 || isMapped
    if (isReadable && this.#find(sectionIndex, sectionBytes, isMapped)) {
      status = isData ? adapter.transmitter.send(this.#bytes, adapter.port) : this.#control()
    }
    if (isMapped) this.channel.domain.unmapRanges(this.#table, SlatRight.READ)
    this.#completeRndis(i, status)
    return isData ? 1 + adapter.transmitter.work : 1
  }

  #map(i: number, ranges: number): boolean {
    const incoming = this.#incoming
    const table = this.#table
    const status = parsePageRanges(
      incoming.arenaView,
      incoming.rangesAt(i),
      incoming.rangesLength(i),
      ranges,
      table,
    )
    return status === PageRangeStatus.OK && this.channel.domain.mapRanges(table, SlatRight.READ)
  }

  /** The bytes of a packet: of its send section, then of its ranges. */
  #find(sectionIndex: number, sectionBytes: number, isMapped: boolean): boolean {
    const bytes = this.#bytes
    bytes.clear()
    if (sectionIndex !== NVSP_NO_SECTION) {
      const buffer = this.#adapter.sendBuffer
      if (buffer === null || sectionBytes > NVSP_SEND_SECTION_BYTES) return false
      const sections = Math.floor(buffer.ranges[0]!.lengthBytes / NVSP_SEND_SECTION_BYTES)
      if (sectionIndex >= sections) return false
      this.channel.domain.sampleOverlays()
      const offset = sectionIndex * NVSP_SEND_SECTION_BYTES
      if (!bytes.addBuffer(buffer, offset, sectionBytes)) return false
    }
    if (isMapped && !bytes.addRanges(this.#table)) return false
    return bytes.lengthBytes > 0
  }

  #completeRndis(i: number, status: number): void {
    const words = this.#outgoing.stagingWords
    for (let at = 2; at < MESSAGE_WORDS_MAX; at += 1) words[at] = 0
    words[0] = NvspType.SEND_RNDIS_PACKET_COMPLETE
    words[1] = status
    this.#complete(i, this.messageBytes)
  }

  /** Writes what is staged as the completion of packet `i`, if it asked for one. There is room. */
  #complete(i: number, lengthBytes: number): void {
    const incoming = this.#incoming
    if ((incoming.flags(i) & PACKET_FLAG_COMPLETION_REQUESTED) === 0) return
    const written = this.#outgoing.write(
      0,
      lengthBytes,
      PACKET_TYPE_COMPLETION,
      0,
      incoming.tidLow(i),
      incoming.tidHigh(i),
    )
    if (written === RingStatus.OK) return
    assert(written === RingStatus.FAULT, 'A completion has room before its packet is taken.')
    this.#isBroken = true
    this.#fail()
  }

  /** A control message, all of it in private memory. Cold from here on. */
  #control(): number {
    const bytes = this.#bytes
    if (bytes.lengthBytes > CONTROL_BYTES_MAX) return NvspStatus.INVALID_RNDIS_PACKET
    const message = new Uint8Array(bytes.lengthBytes)
    bytes.read(0, message, message.length)
    const answer = serveControl(this.#adapter, message)
    if (answer === undefined) return NvspStatus.INVALID_RNDIS_PACKET
    if (answer !== null && !this.#adapter.reply(answer)) return NvspStatus.FAILURE
    // The answer follows in the same poll, behind the completion.
    this.channel.wake()
    return NvspStatus.SUCCESS
  }

  #setUp(i: number, message: number): number {
    const incoming = this.#incoming
    const at = incoming.payloadAt(i)
    const given = incoming.arena.slice(at, at + incoming.payloadLength(i))
    const answer = serveSetup(this, this.#adapter, message, given)
    if (answer === undefined) {
      this.ignored += 1
      return 1
    }
    const { staging } = this.#outgoing
    staging.fill(0, 0, NVSP_MESSAGE_BYTES_V61)
    staging.set(answer.bytes)
    // A completion without a payload answers SWITCH_DATA_PATH alone.
    const length = answer.bytes.length === 0 ? 0 : this.messageBytes
    this.#complete(i, length)
    if (answer.subChannels > 0) {
      // The answer first: a guest that has it expects the offers.
      this.#publish(0)
      this.channel.offerSubChannels(answer.subChannels)
    }
    return 1
  }

  /** Tells the guest what it is owed, as far as there is room. Units done. */
  #announce(): number {
    const adapter = this.#adapter
    let done = 0
    if (adapter.owesTable && this.#sendTable()) {
      adapter.owesTable = false
      done += 1
    }
    while (adapter.replies.length > 0 && this.#sendControl(adapter.replies[0]!)) {
      adapter.replies.shift()
      done += 1
    }
    if (adapter.owesLink && this.#sendControl(indicateStatus(adapter.linkStatus))) {
      adapter.owesLink = false
      done += 1
    }
    if (adapter.owesLinkSpeed && this.#sendControl(indicateLinkSpeed(adapter.linkBitsPerSecond))) {
      adapter.owesLinkSpeed = false
      done += 1
    }
    if (!adapter.owesNetworkChange) return done
    if (!this.#sendControl(indicateStatus(RndisStatus.NETWORK_CHANGE))) return done
    adapter.owesNetworkChange = false
    return done + 1
  }

  #sendControl(bytes: Uint8Array): boolean {
    const buffer = this.#adapter.receiveBuffer
    if (buffer === null) return false
    const index = buffer.peek()
    const room = TRANSFER_BYTES + COMPLETION_BYTES
    if (index < 0 || this.#outgoing.writableBytes() < room) return false
    const { domain } = this.channel
    domain.sampleOverlays()
    // Where the buffer is not the guest's any more, the message is lost, as it would be on hardware.
    if (!buffer.write(index, bytes, bytes.length, domain.memory)) return true
    this.#give(buffer, index, bytes.length)
    this.#tell(NvspChannelType.CONTROL)
    return true
  }

  // Frames of one transmit hash take one channel; the hashes are dealt out to all channels.
  #sendTable(): boolean {
    if (this.#outgoing.writableBytes() < TABLE_BYTES + COMPLETION_BYTES) return false
    const table = new Uint8Array(NVSP_TRANSMIT_TABLE_ENTRIES * 4)
    const channels = this.#adapter.channelCount
    for (let hash = 0; hash < NVSP_TRANSMIT_TABLE_ENTRIES; hash += 1) {
      table[hash * 4] = hash % channels
    }
    NvspIndirectionTable.encode(this.#outgoing.stagingView, 0, {
      type: NvspType.SEND_INDIRECTION_TABLE,
      count: NVSP_TRANSMIT_TABLE_ENTRIES,
      offsetBytes: NvspIndirectionTable.at.table,
      table,
    })
    const { size } = NvspIndirectionTable
    const written = this.#outgoing.write(0, size, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
    if (written === RingStatus.FAULT) this.#isBroken = true
    return true
  }

  /**
   * Shows the guest what there is. While its channel has more work with every poll it is not signalled, up to a limit: a guest that sleeps
   * is not woken for each piece of a stream, which would cost both more than the pieces.
   */
  #publish(units: number): void {
    if (this.state === 'over') return
    const frees = this.#incoming.commit()
    const isDue = this.#outgoing.commit() || frees
    if (!isDue && !this.#owesSignal) return
    const nowMs = this.#adapter.port.now()
    if (!this.#owesSignal) this.#heldSinceMs = nowMs
    this.#owesSignal = true
    this.#held += units
    if (units > 0 && this.#held < HELD_MAX && nowMs - this.#heldSinceMs < HELD_MS) return
    this.#owesSignal = false
    this.#held = 0
    this.channel.signal()
  }

  /** One unit: the ring broke, and the channel is over. */
  #fail(): number {
    if (this.state === 'over') return 1
    this.state = 'over'
    const { fault } = this.#incoming
    this.channel.fail(fault === 0 ? this.#outgoing.fault : fault)
    return 1
  }
}
