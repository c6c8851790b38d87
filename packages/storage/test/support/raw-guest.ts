// A guest without a driver: it writes the packets that a test tells it to, and shows what the host answers.

import {
  PACKET_FLAG_COMPLETION_REQUESTED,
  PACKET_TYPE_COMPLETION,
  PACKET_TYPE_DATA_INBAND,
  parseGuid,
} from '@guestyard/hvdef'
import { encodePageRange } from '@guestyard/guestmem'
import type { ClientChannel } from '@guestyard/vmbus/client'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback, LoopbackOptions } from '@guestyard/vmbus/testing'
import {
  STOR_RING_BYTES,
  StorExecuteSrb,
  StorHeader,
  StorOperation,
  StorVersion,
} from '@guestyard/storage/protocol'
import { StorVsp, scsiOffer } from '@guestyard/storage/vsp'
import type { StorVspOptions } from '@guestyard/storage/vsp'

const INSTANCE_ID = parseGuid('f8b3781a-1e82-4818-a1c3-63d806ec15bb')
const IDLE = { poll: () => 0, arm: () => false, disarm: () => {}, close: () => {} }

/** What came: a completion with its transaction, or an unsolicited packet. */
export interface Received {
  readonly isCompletion: boolean
  readonly tid: number
  readonly bytes: Uint8Array
  readonly operation: number
  readonly status: number
}

export interface SrbOptions {
  readonly tid?: number
  readonly lun?: number
  readonly path?: number
  readonly target?: number
  readonly direction?: number
  readonly length?: number
  readonly cdbLength?: number
  readonly senseLength?: number
}

export interface RawGuestOptions {
  readonly vsp: StorVspOptions
  readonly ringBytes?: number
  readonly loopback?: LoopbackOptions
}

export class RawGuest {
  readonly loopback: Loopback
  readonly vsp: StorVsp
  channel: ClientChannel
  readonly subChannels: ClientChannel[] = []
  /** Why the server failed channels. */
  readonly failures: (number | string)[] = []
  readonly #ringBytes: number

  constructor(options: RawGuestOptions) {
    this.#ringBytes = options.ringBytes ?? STOR_RING_BYTES
    this.loopback = createLoopback({
      memoryBytes: 4 * 1024 * 1024,
      ...options.loopback,
      onServerEvent: (event) => {
        if (event.is === 'channel-failed') this.failures.push(event.reason)
      },
      onClientEvent: (event) => {
        if (event.is === 'offer' && event.offer.subChannelIndex > 0) {
          this.subChannels.push(this.#open(event.offer))
        }
      },
    })
    this.vsp = new StorVsp(options.vsp)
    this.loopback.server.offer(scsiOffer(INSTANCE_ID), this.vsp)
    this.loopback.client.connect()
    this.loopback.pump()
    this.channel = this.open()
  }

  /** Opens the primary, again after a close. */
  open(): ClientChannel {
    const offer = this.loopback.client.offers().find((one) => one.subChannelIndex === 0)
    if (offer === undefined) throw new Error('the controller is not offered')
    this.channel = this.#open(offer)
    this.loopback.pump()
    return this.channel
  }

  /** Writes one packet of these bytes and lets the host see it. False when the ring is full. */
  send(bytes: Uint8Array, tid: number, flags = PACKET_FLAG_COMPLETION_REQUESTED): boolean {
    const sent = this.write(bytes, tid, flags)
    this.loopback.pump()
    return sent
  }

  /** As `send`, and the host does not see it before the next pump. */
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

  /** What the host has sent since the last call. */
  receive(channel = this.channel): Received[] {
    const { incoming } = channel
    const count = incoming.drain(1024)
    const seen: Received[] = []
    for (let index = 0; index < count; index += 1) {
      const at = incoming.payloadAt(index)
      const bytes = incoming.arena.slice(at, at + incoming.payloadLength(index))
      const { operation, status } = StorHeader.decode(new DataView(bytes.buffer))
      const isCompletion = incoming.packetType(index) === PACKET_TYPE_COMPLETION
      seen.push({ isCompletion, tid: incoming.tidLow(index), bytes, operation, status })
    }
    if (incoming.commit()) channel.signal()
    this.loopback.pump()
    return seen
  }

  /** A control packet of an operation and the one answer to it: status. */
  ask(operation: number, body: readonly number[] = [], bytes = 64): Received {
    const packet = new Uint8Array(bytes)
    packet[0] = operation
    packet[4] = 1
    packet.set(body, 12)
    this.send(packet, 0x55)
    const [answer, ...more] = this.receive()
    if (answer === undefined || more.length > 0) throw new Error('one answer is due')
    return answer
  }

  /** The handshake, as far as `ready`. */
  shakeHands(version: number = StorVersion.WIN8_1): this {
    const answers = [
      this.ask(StorOperation.BEGIN_INITIALIZATION),
      this.ask(StorOperation.QUERY_PROTOCOL_VERSION, [version & 0xff, version >> 8]),
      this.ask(StorOperation.QUERY_PROPERTIES),
      this.ask(StorOperation.END_INITIALIZATION),
    ]
    if (answers.some(({ status }) => status !== 0)) throw new Error('the handshake failed')
    return this
  }

  #open(offer: Parameters<Loopback['client']['open']>[0]): ClientChannel {
    const sizes = { sendBytes: this.#ringBytes, receiveBytes: this.#ringBytes }
    const channel = this.loopback.client.open(offer, sizes, { opened: () => IDLE })
    if (channel === undefined) throw new Error('the channel does not open')
    return channel
  }
}

/** EXECUTE_SRB with this CDB. */
export function srb(cdb: readonly number[], options: SrbOptions = {}): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(20)
  payload.set(cdb)
  return StorExecuteSrb.pack({
    operation: StorOperation.EXECUTE_SRB,
    flags: 1,
    status: 0,
    length: 52,
    srbStatus: 0,
    scsiStatus: 0,
    portNumber: 0,
    pathId: options.path ?? 0,
    targetId: options.target ?? 0,
    lun: options.lun ?? 0,
    cdbLength: options.cdbLength ?? cdb.length,
    senseLength: options.senseLength ?? 20,
    direction: options.direction ?? 2,
    properties: 0,
    dataTransferLength: options.length ?? 0,
    payload,
    queueTag: 0xff,
    queueAction: 0x20,
    srbFlags: 0x10a,
    timeoutSeconds: 60,
    queueSortKey: 0,
  })
}

/** READ(10) and WRITE(10). */
export function readCdb(block: number, blocks: number): number[] {
  return [0x28, 0, ...be32(block), 0, blocks >> 8, blocks & 0xff, 0]
}

export function writeCdb(block: number, blocks: number): number[] {
  return [0x2a, 0, ...be32(block), 0, blocks >> 8, blocks & 0xff, 0]
}

function be32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]
}

/** An answer in one line: packet status, SRB status, SCSI status, bytes moved, sense. */
export function answerText(received: Received | undefined): string {
  if (received === undefined) return 'nothing'
  if (received.operation !== StorOperation.COMPLETE_IO) return `operation ${received.operation}`
  const bytes = new Uint8Array(64)
  bytes.set(received.bytes)
  const answer = StorExecuteSrb.decode(new DataView(bytes.buffer))
  const sense = [...answer.payload.subarray(0, answer.senseLength)]
  const parts = [
    received.status.toString(16),
    answer.srbStatus.toString(16),
    answer.scsiStatus.toString(16),
    `${answer.dataTransferLength}`,
  ]
  if (sense.length > 13) parts.push(`${sense[2]}/${sense[12]!.toString(16)}/${sense[13]}`)
  return parts.join(' ')
}
