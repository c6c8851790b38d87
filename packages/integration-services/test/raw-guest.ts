// A guest without a driver: it writes what a test tells it to, and shows what the host asks.

import { PACKET_TYPE_DATA_INBAND, PIPE_HEADER_SIZE } from '@guestyard/hvdef'
import { IC_RING_BYTES, IcFlags, IcHeader } from '@guestyard/integration-services/protocol'
import { openService } from '@guestyard/integration-services/testing'
import type { ClientChannel } from '@guestyard/vmbus/client'
import type { OfferOptions, VmbusServerEvent, VspDevice } from '@guestyard/vmbus/server'
import type { Loopback } from '@guestyard/vmbus/testing'

const IDLE = { poll: () => 0, arm: () => false, disarm: () => {}, close: () => {} }

/** One request of the host's, behind its pipe header. */
export interface RawRequest {
  readonly type: number
  readonly transactionId: number
  readonly tid: number
  readonly bytes: Uint8Array
}

export class RawGuest {
  readonly loopback: Loopback
  readonly channel: ClientChannel
  /** Why the server failed the channel, if it did. */
  readonly failures: (number | string)[] = []

  constructor(offer: OfferOptions, device: VspDevice) {
    const driver = { sendBytes: IC_RING_BYTES, receiveBytes: IC_RING_BYTES, bind: () => IDLE }
    const onServerEvent = (event: VmbusServerEvent): void => {
      if (event.is === 'channel-failed') this.failures.push(event.reason)
    }
    const open = openService(offer, device, driver, { onServerEvent })
    this.loopback = open.loopback
    this.channel = open.channel
  }

  /** Writes one packet as it is, pipe header included, and lets the host see it. */
  sendRaw(payload: Uint8Array, type: number = PACKET_TYPE_DATA_INBAND, tid = 0): void {
    const { outgoing } = this.channel
    outgoing.staging.set(payload)
    const signal = outgoing.send(0, payload.length, type, 0, tid, 0)
    if (signal < 0) throw new Error('The ring to the host is full.')
    if (signal === 1) this.channel.signal()
    this.loopback.pump()
  }

  /** Writes one message behind a pipe header. */
  send(message: Uint8Array, tid = 0): void {
    const payload = new Uint8Array(PIPE_HEADER_SIZE + message.length)
    const view = new DataView(payload.buffer)
    view.setUint32(0, 1, true)
    view.setUint32(4, message.length, true)
    payload.set(message, PIPE_HEADER_SIZE)
    this.sendRaw(payload, PACKET_TYPE_DATA_INBAND, tid)
  }

  /** Answers a request in its own buffer, with `body` over its body. */
  answer(request: RawRequest, body: Uint8Array = new Uint8Array(0), status = 0): void {
    const bytes = request.bytes.slice()
    const view = new DataView(bytes.buffer)
    bytes.set(body, IcHeader.size)
    view.setUint32(IcHeader.at.status, status, true)
    view.setUint8(IcHeader.at.flags, IcFlags.TRANSACTION | IcFlags.RESPONSE)
    this.send(bytes, request.tid)
  }

  /** Agrees to a framework and a message version, as majors and minors. */
  agree(request: RawRequest, framework: [number, number], version: [number, number]): void {
    const body = new Uint8Array(16)
    new Uint16Array(body.buffer).set([1, 1, 0, 0, ...framework, ...version])
    this.answer(request, body)
  }

  /** What the host has asked since the last call. */
  receive(): RawRequest[] {
    const { incoming } = this.channel
    const count = incoming.drain(1024)
    const seen: RawRequest[] = []
    for (let index = 0; index < count; index += 1) {
      const at = incoming.payloadAt(index) + PIPE_HEADER_SIZE
      // The ring pads to 8 bytes: the pipe header has the length.
      const length = incoming.arenaView.getUint32(at - 4, true)
      const bytes = incoming.arena.slice(at, at + length)
      const header = IcHeader.decode(new DataView(bytes.buffer))
      seen.push({
        type: header.messageType,
        transactionId: header.transactionId,
        tid: incoming.tidLow(index) >>> 0,
        bytes,
      })
    }
    if (incoming.commit()) this.channel.signal()
    this.loopback.pump()
    return seen
  }

  /** The one request that the host has made. Throws when it made none or several. */
  asked(): RawRequest {
    const requests = this.receive()
    const [request] = requests
    if (request === undefined || requests.length !== 1) {
      throw new Error(`The host made ${requests.length} requests.`)
    }
    return request
  }
}
