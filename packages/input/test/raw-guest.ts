// A guest without a driver: it writes what a test tells it to, and shows what the host sends.

import { PACKET_TYPE_COMPLETION, PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import type { ClientChannel } from '@guestyard/vmbus/client'
import type { OfferOptions, VmbusServerEvent, VspDevice } from '@guestyard/vmbus/server'
import { openDevice } from '@guestyard/input/testing'
import type { Loopback, LoopbackOptions } from '@guestyard/vmbus/testing'

export interface SentPacket {
  readonly type?: number
  readonly flags?: number
  readonly tidLow?: number
  readonly tidHigh?: number
}

const IDLE = { poll: () => 0, arm: () => false, disarm: () => {}, close: () => {} }

export class RawGuest {
  readonly loopback: Loopback
  readonly channel: ClientChannel
  /** Why the server failed the channel, if it did. */
  readonly failures: (number | string)[] = []

  constructor(
    offer: OfferOptions,
    device: VspDevice,
    rings: { sendBytes: number; receiveBytes: number },
    options: LoopbackOptions = {},
  ) {
    const driver = { ...rings, bind: () => IDLE }
    const onServerEvent = (event: VmbusServerEvent): void => {
      if (event.is === 'channel-failed') this.failures.push(event.reason)
    }
    const open = openDevice(offer, device, driver, { ...options, onServerEvent })
    this.loopback = open.loopback
    this.channel = open.channel
  }

  /** Writes one packet and lets the host see it. */
  send(payload: Uint8Array, packet: SentPacket = {}): void {
    if (!this.trySend(payload, packet)) throw new Error('The ring to the host is full.')
  }

  /** As `send`; false when the ring to the host is full. */
  trySend(payload: Uint8Array, packet: SentPacket = {}): boolean {
    const { outgoing } = this.channel
    outgoing.staging.set(payload)
    const { type = PACKET_TYPE_DATA_INBAND, flags = 0, tidLow = 0, tidHigh = 0 } = packet
    const signal = outgoing.send(0, payload.length, type, flags, tidLow, tidHigh)
    if (signal === 1) this.channel.signal()
    this.loopback.pump()
    return signal >= 0
  }

  /** Packets that came, as `type:payload bytes`; completions also tell their transaction id. */
  receive(most = 1024): string[] {
    const { incoming } = this.channel
    const count = incoming.drain(most)
    const seen: string[] = []
    for (let index = 0; index < count; index += 1) {
      const at = incoming.payloadAt(index)
      const bytes = incoming.arena.slice(at, at + incoming.payloadLength(index))
      const text = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
      const isCompletion = incoming.packetType(index) === PACKET_TYPE_COMPLETION
      const tid = `${incoming.tidLow(index) >>> 0}/${incoming.tidHigh(index) >>> 0}`
      seen.push(isCompletion ? `completion ${tid}` : text)
    }
    if (incoming.commit()) this.channel.signal()
    this.loopback.pump()
    return seen
  }
}
