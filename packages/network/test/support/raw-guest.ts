// A guest without a driver: it writes the packets that a test tells it to, and shows what the host answers.

import {
  PACKET_FLAG_COMPLETION_REQUESTED,
  PACKET_TYPE_COMPLETION,
  PACKET_TYPE_DATA_INBAND,
  PACKET_TYPE_DATA_USING_TRANSFER_PAGES,
  parseGuid,
} from '@guestyard/hvdef'
import { encodePageRange } from '@guestyard/guestmem'
import type { ClientChannel } from '@guestyard/vmbus/client'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback } from '@guestyard/vmbus/testing'
import {
  NvspInit,
  NvspRndisPacket,
  NvspSendBuffer,
  NvspType,
  NvspVersion,
} from '@guestyard/network/protocol'
import { RndisPacket, RndisRequest, RndisType } from '@guestyard/network/rndis'
import { NetVsp, networkOffer } from '@guestyard/network/vsp'
import type { NetVspOptions } from '@guestyard/network/vsp'

const INSTANCE_ID = parseGuid('f8b3781b-1e82-4818-a1c3-63d806ec15bb')
const IDLE = { poll: () => 0, arm: () => false, disarm: () => {}, close: () => {} }
const RING_BYTES = 15 * 4096
/** Pages of the buffers, from here on. */
const RECEIVE_PFN = 256
const SEND_PFN = 512
export const DATA_GPA = 0x30_0000

/** What came. `ranges`: of the receive buffer, as bytes. */
export interface Received {
  readonly is: 'completion' | 'transfer' | 'in-band'
  readonly tid: readonly [number, number]
  readonly bytes: Uint8Array
  readonly type: number
  readonly status: number
  readonly ranges: readonly Uint8Array[]
}

export class RawGuest {
  readonly loopback: Loopback
  readonly vsp: NetVsp
  channel: ClientChannel
  readonly subChannels: ClientChannel[] = []
  /** Why the server failed channels. */
  readonly failures: (number | string)[] = []
  receiveBytes = 0
  readonly #ringBytes: number
  #requestId = 100

  constructor(options: NetVspOptions, ringBytes: number = RING_BYTES) {
    this.#ringBytes = ringBytes
    this.loopback = createLoopback({
      memoryBytes: 4 * 1024 * 1024,
      onServerEvent: (event) => {
        if (event.is === 'channel-failed') this.failures.push(event.reason)
      },
      onClientEvent: (event) => {
        if (event.is === 'offer' && event.offer.subChannelIndex > 0) {
          this.subChannels.push(this.#open(event.offer))
        }
      },
    })
    // Rings come from the end of the free pages; the buffers are put where no ring will be.
    this.vsp = new NetVsp(options)
    this.loopback.server.offer(networkOffer(INSTANCE_ID), this.vsp)
    this.loopback.client.connect()
    this.loopback.pump()
    this.channel = this.open()
  }

  get memory(): Uint8Array {
    return this.loopback.memory.u8
  }

  /** Opens the primary, again after a close. */
  open(): ClientChannel {
    const offer = this.loopback.client.offers().find((one) => one.subChannelIndex === 0)
    if (offer === undefined) throw new Error('the adapter is not offered')
    this.channel = this.#open(offer)
    this.loopback.pump()
    return this.channel
  }

  /** Writes one in-band packet; the host does not see it before the next pump. False when the ring is full. */
  write(
    bytes: Uint8Array,
    tid: number,
    flags = PACKET_FLAG_COMPLETION_REQUESTED,
    channel = this.channel,
  ): boolean {
    const { outgoing } = channel
    outgoing.staging.set(bytes)
    const signal = outgoing.send(0, bytes.length, PACKET_TYPE_DATA_INBAND, flags, tid, 7)
    if (signal === 1) channel.signal()
    return signal >= 0
  }

  /** As `write`, with ranges of pages: each `[offset, bytes, pfns]`. */
  writeDirect(
    bytes: Uint8Array,
    tid: number,
    ranges: readonly (readonly [number, number, readonly number[]])[],
    channel = this.channel,
  ): boolean {
    const { outgoing } = channel
    let at = 8
    for (const [offset, length, pfns] of ranges) {
      at += encodePageRange(outgoing.stagingView, at, offset, length, pfns)
    }
    outgoing.staging.set(bytes, at)
    const flags = PACKET_FLAG_COMPLETION_REQUESTED
    const written = outgoing.writeGpaDirect(0, ranges.length, at - 8, bytes.length, flags, tid, 7)
    if (outgoing.commit()) channel.signal()
    return written === 0
  }

  /** Answers a transfer-page packet. */
  complete(tid: readonly [number, number], channel = this.channel): void {
    const { outgoing } = channel
    outgoing.staging.set([NvspType.SEND_RNDIS_PACKET_COMPLETE, 0, 0, 0, 1, 0, 0, 0])
    const signal = outgoing.send(0, 8, PACKET_TYPE_COMPLETION, 0, tid[0], tid[1])
    if (signal === 1) channel.signal()
  }

  /** What the host has sent since the last call. */
  receive(channel = this.channel): Received[] {
    this.loopback.pump()
    const { incoming } = channel
    const count = incoming.drain(1024)
    const seen: Received[] = []
    for (let index = 0; index < count; index += 1) {
      const at = incoming.payloadAt(index)
      const bytes = incoming.arena.slice(at, at + incoming.payloadLength(index))
      const view = new DataView(bytes.buffer)
      const kind = incoming.packetType(index)
      const isTransfer = kind === PACKET_TYPE_DATA_USING_TRANSFER_PAGES
      const ranges: Uint8Array[] = []
      const rangeCount = isTransfer ? incoming.rangeCount(index) : 0
      for (let range = 0; range < rangeCount; range += 1) {
        const rangeAt = incoming.rangesAt(index) + range * 8
        const length = incoming.arenaView.getUint32(rangeAt, true)
        const from = RECEIVE_PFN * 4096 + incoming.arenaView.getUint32(rangeAt + 4, true)
        ranges.push(this.memory.slice(from, from + length))
      }
      const is =
        kind === PACKET_TYPE_COMPLETION ? 'completion' : isTransfer ? 'transfer' : 'in-band'
      seen.push({
        is,
        tid: [incoming.tidLow(index), incoming.tidHigh(index)],
        bytes,
        type: bytes.length < 4 ? 0 : view.getUint32(0, true),
        status: bytes.length < 8 ? -1 : view.getUint32(4, true),
        ranges,
      })
    }
    if (incoming.commit()) channel.signal()
    this.loopback.pump()
    return seen
  }

  /** Sends a message and gives the one completion of it. */
  ask(bytes: Uint8Array, channel = this.channel): Received {
    this.write(bytes, 0x55, PACKET_FLAG_COMPLETION_REQUESTED, channel)
    this.seen = this.receive(channel)
    const answers = this.seen.filter(({ is }) => is === 'completion')
    const [answer] = answers
    if (answer === undefined || answers.length > 1) throw new Error('one answer is due')
    return answer
  }

  init(version: number = NvspVersion.V6_1): number {
    const bytes = NvspInit.pack({ type: 1, lowestVersion: version, highestVersion: version })
    return new DataView(this.ask(bytes).bytes.buffer).getUint32(12, true)
  }

  /** Gives the host pages as a GPADL; its id. */
  gpadl(firstPfn: number, pages: number): number {
    const pfns = Array.from({ length: pages }, (_, index) => firstPfn + index)
    const range = { offsetBytes: 0, lengthBytes: pages * 4096, pfns }
    const listener = { created: () => {}, failed: () => {}, tornDown: () => {} }
    const gpadl = this.loopback.client.createGpadl(this.channel, [range], listener)
    this.loopback.pump()
    if (gpadl === undefined) throw new Error('no GPADL')
    return gpadl.id
  }

  giveReceiveBuffer(pages = 16): Received {
    this.receiveBytes = pages * 4096
    const gpadlId = this.gpadl(RECEIVE_PFN, pages)
    return this.ask(
      NvspSendBuffer.pack({ type: NvspType.SEND_RECEIVE_BUFFER, gpadlId, id: 0xcafe }),
    )
  }

  giveSendBuffer(pages = 6): Received {
    const gpadlId = this.gpadl(SEND_PFN, pages)
    return this.ask(NvspSendBuffer.pack({ type: NvspType.SEND_SEND_BUFFER, gpadlId, id: 0 }))
  }

  /** Puts an RNDIS message into a send section, sends it; the status of its completion. */
  sendSection(message: Uint8Array, options: { channelType?: number; index?: number } = {}): number {
    const { channelType = 0, index = 0 } = options
    this.memory.set(message, SEND_PFN * 4096 + index * 6144)
    this.write(rndis(channelType, index, message.length), 0x66)
    this.seen = this.receive()
    const completion = this.seen.find(({ is }) => is === 'completion')
    return completion?.status ?? -1
  }

  /** What the last `ask` or `sendSection` saw. */
  seen: Received[] = []

  /** A control message, and the RNDIS answer to it; its receive buffer is given back. */
  control(message: Uint8Array): Uint8Array | undefined {
    this.sendSection(message, { channelType: 1 })
    const answer = this.seen.find(({ is }) => is === 'transfer')
    if (answer !== undefined) this.complete(answer.tid)
    this.loopback.pump()
    return answer?.ranges[0]
  }

  query(oid: number): { status: number; info: Uint8Array } {
    const answer = this.control(request(RndisType.QUERY, (this.#requestId += 1), oid, []))
    if (answer === undefined) throw new Error('no answer')
    const view = new DataView(answer.buffer)
    if (view.getUint32(8, true) !== this.#requestId) throw new Error('another request is answered')
    return { status: view.getUint32(12, true), info: answer.slice(24) }
  }

  set(oid: number, info: readonly number[] | Uint8Array): number {
    const answer = this.control(request(RndisType.SET, (this.#requestId += 1), oid, info))
    if (answer === undefined) throw new Error('no answer')
    return new DataView(answer.buffer).getUint32(12, true)
  }

  /** Everything up to a filter that lets frames in. */
  start(version: number = NvspVersion.V6_1, receivePages = 16): this {
    this.init(version)
    this.giveReceiveBuffer(receivePages)
    this.giveSendBuffer()
    const initialize = new Uint8Array(24)
    initialize.set([2, 0, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0, 1])
    this.control(initialize)
    if (this.set(0x1_010e, [9, 0, 0, 0]) !== 0) throw new Error('the filter is refused')
    return this
  }

  /** Frames that came since the last call, their buffers given back. */
  frames(channel = this.channel): Uint8Array[] {
    const frames: Uint8Array[] = []
    for (const one of this.receive(channel)) {
      if (one.is !== 'transfer') continue
      frames.push(...one.ranges.map((range) => frameOf(range)))
      this.complete(one.tid, channel)
    }
    this.loopback.pump()
    return frames
  }

  #open(offer: Parameters<Loopback['client']['open']>[0]): ClientChannel {
    const sizes = { sendBytes: this.#ringBytes, receiveBytes: this.#ringBytes }
    const channel = this.loopback.client.open(offer, sizes, { opened: () => IDLE })
    if (channel === undefined) throw new Error('the channel does not open')
    return channel
  }
}

/** SEND_RNDIS_PACKET. */
export function rndis(channelType: number, sectionIndex: number, sectionBytes: number): Uint8Array {
  return NvspRndisPacket.pack({
    type: NvspType.SEND_RNDIS_PACKET,
    channelType,
    sectionIndex: sectionIndex >>> 0,
    sectionBytes,
  })
}

/** QUERY or SET. */
export function request(
  type: number,
  requestId: number,
  oid: number,
  info: readonly number[] | Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(RndisRequest.size + info.length)
  const fields = { type, lengthBytes: bytes.length, requestId, oid, vcHandle: 0 }
  const infoAt = { infoLength: info.length, infoOffset: 20 }
  RndisRequest.encode(new DataView(bytes.buffer), 0, { ...fields, ...infoAt })
  bytes.set(info, RndisRequest.size)
  return bytes
}

/** An RNDIS packet around a frame, with entries of per-packet information: `[type, value]`. */
export function packet(
  frame: Uint8Array,
  info: readonly (readonly [number, number])[] = [],
): Uint8Array<ArrayBuffer> {
  const infoLength = info.length * 16
  const bytes = new Uint8Array((RndisPacket.size + infoLength + frame.length + 7) & -8)
  const view = new DataView(bytes.buffer)
  RndisPacket.encode(view, 0, {
    type: RndisType.PACKET,
    lengthBytes: bytes.length,
    dataOffset: 36 + infoLength,
    dataLength: frame.length,
    oobOffset: 0,
    oobLength: 0,
    oobCount: 0,
    infoOffset: infoLength === 0 ? 0 : 36,
    infoLength,
    vcHandle: 0,
  })
  for (const [index, [type, value]] of info.entries()) {
    const at = RndisPacket.size + index * 16
    view.setUint32(at, 16, true)
    view.setUint32(at + 4, type, true)
    view.setUint32(at + 8, 12, true)
    view.setUint32(at + 12, value, true)
  }
  bytes.set(frame, RndisPacket.size + infoLength)
  return bytes
}

/** The frame in an RNDIS packet. */
function frameOf(message: Uint8Array): Uint8Array {
  const view = new DataView(message.buffer)
  const at = 8 + view.getUint32(8, true)
  return message.slice(at, at + view.getUint32(12, true))
}

/** Entries of per-packet information in an RNDIS packet, by type. */
export function infoOf(message: Uint8Array): Map<number, number> {
  const view = new DataView(message.buffer)
  const from = 8 + view.getUint32(28, true)
  const end = from + view.getUint32(32, true)
  const found = new Map<number, number>()
  for (let at = from; at < end; at += view.getUint32(at, true)) {
    found.set(view.getUint32(at + 4, true), view.getUint32(at + view.getUint32(at + 8, true), true))
  }
  return found
}
