// A guest that is nothing but bytes: posts what a test tells it to, and keeps what it receives. It has no
// opinion on order, so that it can be as wrong as a test needs.

import {
  ChannelMessage,
  EmptyMessage,
  GpadlHeaderMessage,
  GpadlTeardownMessage,
  HvStatus,
  InitiateContactMessage,
  ModifyChannelMessage,
  OpenChannelMessage,
  VmbusMessageType,
  VmbusVersion,
  decodeVmbusMessage,
} from '@guestyard/hvdef'
import { GuestMemory, Iommu, Slat, encodePageRange, encodedRangeBytes } from '@guestyard/guestmem'
import { VmbusServer } from '@guestyard/vmbus/server'
import type { ChannelInterrupt, VmbusLimits, VmbusServerEvent } from '@guestyard/vmbus/server'

const CONNECTION_BASE = 0x2000

export interface RawGuestOptions {
  readonly vpCount?: number
  readonly versions?: readonly number[]
  readonly limits?: Partial<VmbusLimits>
  /** Memory to use again, where a test makes many guests. */
  readonly memory?: GuestMemory
}

export class RawGuest {
  readonly memory: GuestMemory
  readonly slat: Slat
  readonly iommu: Iommu
  readonly server: VmbusServer
  readonly events: VmbusServerEvent[] = []
  /** Messages received and not yet taken. */
  received: { vp: number; payload: Uint8Array }[] = []
  /** Messages the guest's slots still take. */
  room = Number.POSITIVE_INFINITY
  /** HvStatus of every post, instead of delivery. */
  postStatus: number | undefined
  /** VPs that there are. */
  readonly vps: Set<number>
  readonly signals: { vp: number; relid: number }[] = []
  readonly connected = new Set<number>()

  constructor(options: RawGuestOptions = {}) {
    this.memory = options.memory ?? GuestMemory.create({ sizeBytes: 1024 * 1024 })
    this.vps = new Set(Array.from({ length: options.vpCount ?? 2 }, (_, vp) => vp))
    this.slat = Slat.identity(this.memory.pageCount)
    this.iommu = new Iommu(this.memory, this.slat)
    this.server = new VmbusServer({
      transport: {
        iommu: this.iommu,
        hasVp: (vp) => this.vps.has(vp),
        postMessage: (vp, payload, length) => {
          if (this.postStatus !== undefined) return this.postStatus
          if (this.room <= 0) return HvStatus.INSUFFICIENT_BUFFERS
          this.room -= 1
          this.received.push({ vp, payload: payload.slice(0, length) })
          return HvStatus.SUCCESS
        },
        openInterrupt: (relid, vp) => this.#openInterrupt(relid, vp),
        connectChannel: (relid) => {
          this.connected.add(relid)
          return CONNECTION_BASE + relid
        },
        disconnectChannel: (relid) => {
          this.connected.delete(relid)
        },
      },
      onEvent: (event) => this.events.push(event),
      ...(options.versions && { versions: options.versions }),
      ...(options.limits && { limits: options.limits }),
    })
  }

  #openInterrupt(relid: number, firstVp: number): ChannelInterrupt {
    if (!this.vps.has(firstVp)) throw new Error('an interrupt for a VP that is not there')
    let vp = firstVp
    return {
      raise: () => {
        if (vp < 0) return HvStatus.OPERATION_DENIED
        this.signals.push({ vp, relid })
        return HvStatus.SUCCESS
      },
      retarget: (to) => {
        if (!this.vps.has(to)) return HvStatus.INVALID_VP_INDEX
        vp = to
        return HvStatus.SUCCESS
      },
      close: () => {
        vp = -1
      },
    }
  }

  post(payload: Uint8Array): boolean {
    return this.server.receiveMessage(payload, payload.length)
  }

  /** What was received since the last call, as the decoder sees it. */
  take(): { name: string; fields: Record<string, unknown> }[] {
    this.server.poll(1)
    const taken = this.received
    this.received = []
    return taken.map(({ payload }) => {
      const message = decodeVmbusMessage(payload)
      if (message.kind === 'malformed') throw new Error(message.reason)
      return { name: message.name, fields: { ...message.fields } }
    })
  }

  /** Short form of `take`: names, with channel or GPADL and status. */
  takeNames(): string[] {
    return this.take().map(({ name, fields }) => {
      const about = fields['gpadlId'] ?? fields['channelId']
      const status = fields['status'] === undefined || fields['status'] === 0 ? '' : ' failed'
      return typeof about === 'number' ? `${name} ${about}${status}` : name
    })
  }

  contact(version: number = VmbusVersion.IRON, overrides: ContactOverrides = {}): void {
    this.post(
      InitiateContactMessage.pack({
        messageType: VmbusMessageType.INITIATE_CONTACT,
        version,
        targetVp: 0,
        targetSint: 2,
        targetVtl: 0,
        featureFlags: 0,
        parentToChildMonitorGpa: 0n,
        childToParentMonitorGpa: 0n,
        ...overrides,
      }),
    )
  }

  /** Contact and offers; what the host answers is dropped. */
  connect(version: number = VmbusVersion.IRON): void {
    this.contact(version)
    this.plain(VmbusMessageType.REQUESTOFFERS)
    this.take()
  }

  plain(messageType: number): void {
    this.post(EmptyMessage.pack({ messageType }))
  }

  about(messageType: number, channelId: number): void {
    this.post(ChannelMessage.pack({ messageType, channelId }))
  }

  close(channelId: number): void {
    this.about(VmbusMessageType.CLOSECHANNEL, channelId)
  }

  release(channelId: number): void {
    this.about(VmbusMessageType.RELID_RELEASED, channelId)
  }

  /** A GPADL of whole pages, at most 26 of them. */
  gpadl(channelId: number, gpadlId: number, pfns: readonly number[]): void {
    const range = rangeOf(pfns)
    this.gpadlHeader(channelId, gpadlId, { rangeBytes: range.length, rangeCount: 1 }, range)
  }

  gpadlHeader(
    channelId: number,
    gpadlId: number,
    counts: { rangeBytes: number; rangeCount: number },
    data: Uint8Array,
  ): void {
    const head = GpadlHeaderMessage.pack({
      messageType: VmbusMessageType.GPADL_HEADER,
      channelId,
      gpadlId,
      ...counts,
    })
    this.post(Uint8Array.from([...head, ...data]))
  }

  teardown(channelId: number, gpadlId: number): void {
    this.post(
      GpadlTeardownMessage.pack({
        messageType: VmbusMessageType.GPADL_TEARDOWN,
        channelId,
        gpadlId,
      }),
    )
  }

  /** Opens over a GPADL whose rings have one data page each. */
  open(channelId: number, ringGpadlId: number, overrides: OpenOverrides = {}): void {
    this.post(
      OpenChannelMessage.pack({
        messageType: VmbusMessageType.OPENCHANNEL,
        channelId,
        openId: channelId,
        ringGpadlId,
        targetVp: 0,
        downstreamPageOffset: 2,
        userDefined: new Uint8Array(120),
        ...overrides,
      }),
    )
  }

  /** GPADL of four pages and open; what the host answers is dropped. */
  openFresh(channelId: number, gpadlId: number): void {
    this.gpadl(channelId, gpadlId, [16, 17, 18, 19])
    this.open(channelId, gpadlId)
    this.take()
  }

  modify(channelId: number, targetVp: number): void {
    this.post(
      ModifyChannelMessage.pack({
        messageType: VmbusMessageType.MODIFYCHANNEL,
        channelId,
        targetVp,
      }),
    )
  }

  /** State of a channel, or undefined when it is not there. */
  stateOf(relid: number): string | undefined {
    return this.server.inspect().channels.find((channel) => channel.relid === relid)?.state
  }
}

interface ContactOverrides {
  readonly targetVp?: number
  readonly targetSint?: number
  readonly targetVtl?: number
  readonly parentToChildMonitorGpa?: bigint
  readonly childToParentMonitorGpa?: bigint
}

interface OpenOverrides {
  readonly openId?: number
  readonly targetVp?: number
  readonly downstreamPageOffset?: number
  readonly userDefined?: Uint8Array
}

export function rangeOf(
  pfns: readonly number[],
  offsetBytes = 0,
  lengthBytes?: number,
): Uint8Array {
  const length = lengthBytes ?? pfns.length * 4096
  const data = new Uint8Array(encodedRangeBytes(offsetBytes, length))
  encodePageRange(new DataView(data.buffer), 0, offsetBytes, length, pfns)
  return data
}
