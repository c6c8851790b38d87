// A host without a device: it answers a driver with the bytes that a test tells it to.

import { PACKET_TYPE_COMPLETION, PACKET_TYPE_DATA_INBAND, parseGuid } from '@guestyard/hvdef'
import type { ClientChannel } from '@guestyard/vmbus/client'
import type { ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback } from '@guestyard/vmbus/testing'
import { StorOperation, StorProperties } from '@guestyard/storage/protocol'
import { StorVsc } from '@guestyard/storage/vsc'
import { scsiOffer } from '@guestyard/storage/vsp'

const IDLE = { poll: () => 0, arm: () => false, disarm: () => {}, close: () => {} }

export interface HostPacket {
  readonly operation: number
  readonly tid: readonly [number, number]
  readonly bytes: Uint8Array
}

export class RawHost {
  readonly loopback: Loopback = createLoopback({ memoryBytes: 4 * 1024 * 1024 })
  readonly events: string[] = []
  readonly vsc: StorVsc
  readonly clientChannel: ClientChannel
  #channel: ServerChannel | undefined

  constructor() {
    this.vsc = new StorVsc({
      listener: {
        onReady: () => this.events.push('ready'),
        onUnits: (units) => this.events.push(`${units.length} units`),
        onFailed: (reason) => this.events.push(`failed: ${reason}`),
      },
      memory: this.loopback.memory,
      scratchPfn: 10,
      clock: { nowMs: 0 },
    })
    const device: VspDevice = {
      open: (channel) => {
        this.#channel = channel
        return IDLE
      },
    }
    const instanceId = parseGuid('f8b3781a-1e82-4818-a1c3-63d806ec15bb')
    this.loopback.server.offer(scsiOffer(instanceId), device)
    this.loopback.client.connect()
    this.loopback.pump()
    const [offer] = this.loopback.client.offers()
    if (offer === undefined) throw new Error('there is an offer')
    const opened = this.loopback.client.open(offer, this.vsc, this.vsc.channels)
    if (opened === undefined) throw new Error('the channel opens')
    this.clientChannel = opened
    this.loopback.pump()
  }

  get channel(): ServerChannel {
    if (this.#channel === undefined) throw new Error('the channel is open')
    return this.#channel
  }

  /** What the driver has sent since the last call. */
  take(): HostPacket[] {
    this.loopback.pump()
    const { incoming } = this.channel
    const count = incoming.drain(64)
    const taken: HostPacket[] = []
    for (let index = 0; index < count; index += 1) {
      const at = incoming.payloadAt(index)
      const bytes = incoming.arena.slice(at, at + incoming.payloadLength(index))
      taken.push({
        operation: new DataView(bytes.buffer).getUint32(0, true),
        tid: [incoming.tidLow(index), incoming.tidHigh(index)],
        bytes,
      })
    }
    if (incoming.commit()) this.channel.signal()
    return taken
  }

  /** Answers a packet, or sends one that nobody asked for (`tid` null). */
  send(bytes: Uint8Array, tid: readonly [number, number] | null): void {
    const { outgoing } = this.channel
    outgoing.staging.set(bytes)
    const type = tid === null ? PACKET_TYPE_DATA_INBAND : PACKET_TYPE_COMPLETION
    outgoing.write(0, bytes.length, type, 0, tid?.[0] ?? 0, tid?.[1] ?? 0)
    if (outgoing.commit()) this.channel.signal()
    this.loopback.pump()
  }

  /** A COMPLETE_IO with this status. */
  answer(packet: HostPacket | undefined, status: number, length = 64): void {
    if (packet === undefined) throw new Error('there is a packet to answer')
    const bytes = new Uint8Array(length)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, StorOperation.COMPLETE_IO, true)
    view.setUint32(8, status, true)
    this.send(bytes, packet.tid)
  }

  /** QUERY_PROPERTIES' answer. */
  describe(packet: HostPacket | undefined, maxTransferBytes: number, maxSubChannels = 0): void {
    if (packet === undefined) throw new Error('there is a packet to answer')
    const bytes = new Uint8Array(64)
    bytes.set(
      StorProperties.pack({
        operation: StorOperation.COMPLETE_IO,
        flags: 0,
        status: 0,
        maxSubChannels,
        propertyFlags: maxSubChannels > 0 ? 1 : 0,
        maxTransferBytes,
      }),
    )
    this.send(bytes, packet.tid)
  }

  /** Past the handshake: the first command of the driver's search is under way. */
  shakeHands(): HostPacket {
    for (let step = 0; step < 4; step += 1) {
      const [packet] = this.take()
      if (packet?.operation === StorOperation.QUERY_PROPERTIES) this.describe(packet, 0x40000)
      else this.answer(packet, 0)
    }
    const [first] = this.take()
    if (first === undefined) throw new Error('the driver looks for units')
    return first
  }
}
