// A host that is nothing but bytes, for the client: keeps what is posted, sends what a test tells it to.

import {
  ChannelMessage,
  EmptyMessage,
  GpadlCreatedMessage,
  GpadlTorndownMessage,
  HvStatus,
  ModifyChannelResponseMessage,
  OfferChannelMessage,
  OpenChannelResultMessage,
  VersionResponseMessage,
  VmbusMessageType,
  decodeVmbusMessage,
} from '@guestyard/hvdef'
import { GuestMemory } from '@guestyard/guestmem'
import { VmbusClient } from '@guestyard/vmbus/client'
import type { ChannelOffer, VmbusClientEvent } from '@guestyard/vmbus/client'
import { CLASS_ID, nth } from './fake-device.ts'

const PAGES = 128

export class RawHost {
  readonly memory: GuestMemory = GuestMemory.create({ sizeBytes: PAGES * 4096 })
  readonly client: VmbusClient
  readonly events: VmbusClientEvent[] = []
  posted: { connectionId: number; payload: Uint8Array }[] = []
  readonly signalled: number[] = []
  /** HvStatus of the next posts; success when there is none. */
  statuses: number[] = []
  nowMs = 0
  readonly freePages: number[] = Array.from({ length: PAGES - 1 }, (_, n) => n + 1)

  constructor(versions?: readonly number[]) {
    this.client = new VmbusClient({
      transport: {
        memory: this.memory,
        postMessage: (connectionId, payload, length) => {
          const status = this.statuses.shift() ?? HvStatus.SUCCESS
          if (status === HvStatus.SUCCESS) {
            this.posted.push({ connectionId, payload: payload.slice(0, length) })
          }
          return status
        },
        signalEvent: (connectionId) => {
          this.signalled.push(connectionId)
          return HvStatus.SUCCESS
        },
        allocatePages: (count) =>
          this.freePages.length < count ? undefined : this.freePages.splice(0, count),
        freePages: (pfns) => {
          this.freePages.push(...Array.from(pfns))
        },
      },
      onEvent: (event) => this.events.push(event),
      now: () => this.nowMs,
      ...(versions && { versions }),
    })
  }

  takeHex(): string[] {
    const taken = this.posted
    this.posted = []
    return taken.map(({ payload }) => Buffer.from(payload).toString('hex'))
  }

  take(): { name: string; fields: Record<string, unknown> }[] {
    const taken = this.posted
    this.posted = []
    return taken.map(({ payload }) => {
      const message = decodeVmbusMessage(payload)
      if (message.kind === 'malformed') throw new Error(message.reason)
      return { name: message.name, fields: { ...message.fields } }
    })
  }

  takeNames(): string[] {
    return this.take().map(({ name, fields }) => {
      const relid = fields['channelId']
      return typeof relid === 'number' ? `${name} ${relid}` : name
    })
  }

  send(payload: Uint8Array): void {
    this.client.receiveMessage(payload, payload.length)
  }

  respond(versionSupported = 1, connectionState = 0, messageConnectionId = 4): void {
    this.send(
      VersionResponseMessage.pack({
        messageType: VmbusMessageType.VERSION_RESPONSE,
        versionSupported,
        connectionState,
        messageConnectionId,
      }),
    )
  }

  /** Contact with the newest version; what the client posted is dropped. */
  connect(): void {
    this.client.connect()
    this.respond()
    this.take()
  }

  offer(relid: number, n = relid, subChannelIndex = 0): ChannelOffer {
    this.send(
      OfferChannelMessage.pack({
        messageType: VmbusMessageType.OFFERCHANNEL,
        interfaceId: CLASS_ID,
        instanceId: nth(n).instanceId,
        flags: 1,
        mmioMegabytes: 0,
        userDefined: new Uint8Array(120),
        subChannelIndex,
        optionalMmioMegabytes: 0,
        channelId: relid,
        monitorId: 0xff,
        monitorAllocated: 0,
        dedicatedInterrupt: 1,
        connectionId: 0x2000 + relid,
      }),
    )
    const offer = this.client.offers().find((candidate) => candidate.relid === relid)
    if (offer === undefined) throw new Error('The client did not take the offer.')
    return offer
  }

  plain(messageType: number): void {
    this.send(EmptyMessage.pack({ messageType }))
  }

  rescind(channelId: number): void {
    const messageType = VmbusMessageType.RESCIND_CHANNELOFFER
    this.send(ChannelMessage.pack({ messageType, channelId }))
  }

  created(channelId: number, gpadlId: number, status = 0): void {
    const messageType = VmbusMessageType.GPADL_CREATED
    this.send(GpadlCreatedMessage.pack({ messageType, channelId, gpadlId, status }))
  }

  tornDown(gpadlId: number): void {
    const messageType = VmbusMessageType.GPADL_TORNDOWN
    this.send(GpadlTorndownMessage.pack({ messageType, gpadlId }))
  }

  openResult(channelId: number, status = 0, openId = channelId): void {
    const messageType = VmbusMessageType.OPENCHANNEL_RESULT
    this.send(OpenChannelResultMessage.pack({ messageType, channelId, openId, status }))
  }

  modified(channelId: number, status = 0): void {
    const messageType = VmbusMessageType.MODIFYCHANNEL_RESPONSE
    this.send(ModifyChannelResponseMessage.pack({ messageType, channelId, status }))
  }
}
