// The offers and channels of a guest: what client-channel.ts says of one channel, carried out.

import {
  GPADL_RANGE_BYTES_MAX,
  PAGE_SIZE,
  VMBUS_CHANNELS_MAX,
  VMBUS_STATUS_SUCCESS,
  VMBUS_USER_DEFINED_SIZE,
  VmbusVersion,
  assert,
} from '@guestyard/hvdef'
import { PageList } from '@guestyard/guestmem'
import { openRings } from '@guestyard/ring'
import type { RingPairOptions } from '@guestyard/ring'
import { ActiveEntry } from '../active-list.ts'
import type { ActiveList } from '../active-list.ts'
import type { ChannelOffer, VmbusClientEvent } from './channel-offer.ts'
import { ClientChannel } from './client-channel.ts'
import type { ChannelListener, CloseReason, OpenFailure } from './client-channel.ts'
import type { ClientConnection } from './client-connection.ts'
import { ClientGpadls } from './client-gpadls.ts'
import type { ClientGpadl, GpadlListener } from './client-gpadls.ts'
import type { ClientChannelInspection } from './inspection.ts'
import {
  closeChannel,
  gpadlMessages,
  gpadlRangeBytes,
  gpadlTeardown,
  modifyChannel,
  openChannel,
  relidReleased,
} from './messages.ts'
import type { GpadlRangeOptions } from './messages.ts'
import type { ClientTransport } from './transport.ts'

export interface OpenOptions {
  /** Data bytes of the ring to the host, a multiple of 4096, at least 4096. */
  readonly sendBytes: number
  /** Data bytes of the ring from the host, likewise. */
  readonly receiveBytes: number
  /** VP that takes the interrupts, or HV_VP_INDEX_ANY for none. Default 0. */
  readonly targetVp?: number
  /** At most 120 bytes for the device. */
  readonly userDefined?: Uint8Array
  /** How this end of the rings is made: packet types and sizes to accept, room for staging. */
  readonly rings?: RingPairOptions
}

export interface ClientChannelsServices {
  readonly transport: ClientTransport
  readonly active: ActiveList
  readonly connection: ClientConnection
  report(event: VmbusClientEvent): void
}

export class ClientChannels {
  /** Channels by id: opening, open or closing. Read by the event path. */
  readonly byRelid: (ClientChannel | undefined)[]
  readonly gpadls: ClientGpadls
  readonly #offers: Map<number, ChannelOffer>
  readonly #services: ClientChannelsServices
  #size = 0

  constructor(services: ClientChannelsServices) {
    this.byRelid = Array.from({ length: VMBUS_CHANNELS_MAX + 1 })
    this.#offers = new Map()
    this.#services = services
    this.gpadls = new ClientGpadls({
      postTeardown: (channel, gpadlId) => {
        this.#post(channel, gpadlTeardown(channel.relid, gpadlId))
      },
      ended: (channel) => this.#endIfDone(channel),
    })
  }

  /** Channels that are opening, open or closing. */
  get size(): number {
    return this.#size
  }

  offers(): readonly ChannelOffer[] {
    return [...this.#offers.values()]
  }

  /** OFFERCHANNEL. A second offer of an id or of a device is dropped, as Linux does. */
  offered(offer: ChannelOffer): boolean {
    const { relid, classId, instanceId, subChannelIndex } = offer
    if (this.#services.connection.state.is !== 'connected') return false
    if (relid < 1 || relid > VMBUS_CHANNELS_MAX || this.#offers.has(relid)) return false
    for (const other of this.#offers.values()) {
      const same = other.classId === classId && other.instanceId === instanceId
      if (same && other.subChannelIndex === subChannelIndex) return false
    }
    this.#offers.set(relid, offer)
    this.#services.report({ is: 'offer', offer })
    return true
  }

  /** RESCIND_CHANNELOFFER: the host touches the channel's memory no more. */
  rescinded(relid: number): boolean {
    const offer = this.#offers.get(relid)
    if (offer === undefined) return false
    const channel = this.byRelid[relid]
    if (channel !== undefined) this.#rescindChannel(channel)
    this.#offers.delete(relid)
    this.#services.report({ is: 'rescind', offer })
    this.#services.connection.post(relidReleased(relid))
    return true
  }

  open(
    offer: ChannelOffer,
    options: OpenOptions,
    listener: ChannelListener,
  ): ClientChannel | undefined {
    if (this.#services.connection.state.is !== 'connected') return undefined
    if (this.#offers.get(offer.relid) !== offer) return undefined
    if (this.byRelid[offer.relid] !== undefined) return undefined
    const channel = this.#makeChannel(offer, options, listener)
    if (channel === undefined) return undefined
    this.byRelid[offer.relid] = channel
    this.#size += 1
    const lengthBytes = channel.pfns.length * PAGE_SIZE
    const range = { pfns: channel.pfns, offsetBytes: 0, lengthBytes }
    const ringGone = (): void => {
      channel.ringGone = true
    }
    const gpadl = this.createGpadl(channel, [range], {
      created: () => this.#ringCreated(channel, options),
      failed: ringGone,
      tornDown: ringGone,
    })
    assert(gpadl !== undefined, 'A channel is made only with rings that a GPADL can describe.')
    channel.ringGpadlId = gpadl.id
    return channel
  }

  close(channel: ClientChannel): void {
    if (channel.state === 'opening') channel.closeWanted = true
    if (channel.state !== 'open') return
    channel.state = 'closing'
    channel.stop()
    for (const sub of this.#subChannelsOf(channel)) this.close(sub)
    this.#sendClose(channel)
  }

  closeAll(): void {
    for (const channel of this.byRelid) if (channel !== undefined) this.close(channel)
  }

  /** The bus is left: nothing of it is in force. */
  forget(): void {
    for (const channel of this.byRelid) {
      if (channel !== undefined) this.gpadls.abandon(channel)
    }
    this.#offers.clear()
  }

  createGpadl(
    channel: ClientChannel,
    ranges: readonly GpadlRangeOptions[],
    listener: GpadlListener,
  ): ClientGpadl | undefined {
    const ended = channel.state === 'closed' || channel.state === 'failed' || channel.closeSent
    if (ended || gpadlRangeBytes(ranges) > GPADL_RANGE_BYTES_MAX) return undefined
    const gpadl = this.gpadls.add(channel, listener)
    for (const message of gpadlMessages(channel.relid, gpadl.id, ranges)) {
      this.#post(channel, message)
    }
    return gpadl
  }

  gpadlTornDown(gpadlId: number): boolean {
    return this.gpadls.tornDown(gpadlId)
  }

  /** OPENCHANNEL_RESULT. */
  openResult(relid: number, openId: number, status: number): boolean {
    const channel = this.byRelid[relid]
    if (channel === undefined || channel.state !== 'opening' || openId !== relid) return false
    if (!channel.openSent) return false
    if (status !== VMBUS_STATUS_SUCCESS) {
      channel.refusal = status
      channel.openSent = false
      this.gpadls.teardownAll(channel)
      return true
    }
    channel.state = 'open'
    const program = channel.listener.opened(channel)
    // The listener may have closed the channel again.
    if (program !== undefined && channel.state === 'open' && channel.entry === undefined) {
      channel.entry = new ActiveEntry(program, channel)
      channel.wake()
    }
    if (channel.closeWanted) this.close(channel)
    return true
  }

  modify(channel: ClientChannel, targetVp: number): boolean {
    const { version } = this.#services.connection
    if (version < VmbusVersion.WIN10_RS3 || channel.state !== 'open') return false
    if (channel.modifyingTo !== undefined) return false
    this.#post(channel, modifyChannel(channel.relid, targetVp))
    if (version >= VmbusVersion.IRON) channel.modifyingTo = targetVp
    else channel.targetVp = targetVp
    return true
  }

  /** MODIFYCHANNEL_RESPONSE. */
  modified(relid: number, status: number): boolean {
    const channel = this.byRelid[relid]
    if (channel?.modifyingTo === undefined) return false
    const targetVp = status === VMBUS_STATUS_SUCCESS ? channel.modifyingTo : undefined
    channel.modifyingTo = undefined
    if (targetVp !== undefined) channel.targetVp = targetVp
    channel.listener.modified?.(channel, targetVp)
    return true
  }

  inspect(): ClientChannelInspection[] {
    const channels = this.byRelid.filter((channel) => channel !== undefined)
    return channels.map((channel) => ({
      relid: channel.relid,
      classId: channel.offer.classId,
      subChannelIndex: channel.offer.subChannelIndex,
      state: channel.state,
      targetVp: channel.targetVp,
    }))
  }

  #makeChannel(
    offer: ChannelOffer,
    options: OpenOptions,
    listener: ChannelListener,
  ): ClientChannel | undefined {
    const { transport, active } = this.#services
    const { sendBytes, receiveBytes, targetVp = 0 } = options
    const sendPages = pagesOfRing(sendBytes)
    const pageCount = sendPages + pagesOfRing(receiveBytes)
    // One qword for the range's head, one for each page.
    if ((pageCount + 1) * 8 > GPADL_RANGE_BYTES_MAX) return undefined
    const pfns = transport.allocatePages(pageCount)
    if (pfns === undefined) return undefined
    const pages = PageList.from(transport.memory, pfns)
    assert(pages !== undefined, 'A guest hands out pages of its own memory.')
    const rings = openRings(pages, sendPages, 'guest', options.rings ?? {})
    assert(typeof rings !== 'string', 'A guest splits its pages into two rings.')
    const { userDefined = new Uint8Array(0) } = options
    assert(userDefined.length <= VMBUS_USER_DEFINED_SIZE, 'The user-defined area has 120 bytes.')
    const area = new Uint8Array(VMBUS_USER_DEFINED_SIZE)
    area.set(userDefined)
    return new ClientChannel({
      owner: this,
      transport,
      active,
      offer,
      listener,
      rings,
      targetVp,
      userDefined: area,
      pfns,
    })
  }

  // The host knows the rings: ask for the channel.
  #ringCreated(channel: ClientChannel, options: OpenOptions): void {
    if (channel.closeWanted) {
      channel.refusal = 'closed'
      this.gpadls.teardownAll(channel)
      return
    }
    channel.openSent = true
    const { relid, ringGpadlId, targetVp, userDefined } = channel
    const message = openChannel({
      relid,
      openId: relid,
      ringGpadlId,
      targetVp,
      downstreamPageOffset: pagesOfRing(options.sendBytes),
      userDefined,
    })
    this.#post(channel, message)
  }

  // CLOSECHANNEL and TEARDOWN go out when no sub-channel is left.
  #sendClose(channel: ClientChannel): void {
    if (channel.state !== 'closing' || channel.closeSent) return
    if (this.#subChannelsOf(channel).length > 0) return
    channel.closeSent = true
    this.#post(channel, closeChannel(channel.relid))
    this.gpadls.teardownAll(channel)
  }

  #rescindChannel(channel: ClientChannel): void {
    channel.rescinded = true
    const wasOpen = channel.state === 'open'
    if (wasOpen) channel.state = 'closing'
    channel.stop()
    if (channel.state === 'opening') channel.refusal = 'rescinded'
    if (channel.state === 'closing' && !channel.closeSent) {
      channel.closeSent = true
      this.#services.connection.post(closeChannel(channel.relid))
    }
    this.gpadls.abandon(channel)
  }

  // A channel is over when every GPADL of it is: until then the host may touch the pages.
  #endIfDone(channel: ClientChannel): void {
    if (!channel.ringGone || this.byRelid[channel.relid] !== channel) return
    if (this.gpadls.has(channel)) return
    this.byRelid[channel.relid] = undefined
    this.#size -= 1
    channel.closeRings()
    this.#services.transport.freePages(channel.pfns)
    if (channel.state === 'opening') {
      channel.state = 'failed'
      channel.listener.failed?.(channel, failureOf(channel))
    } else {
      channel.state = 'closed'
      channel.listener.closed?.(channel, closeReasonOf(channel))
    }
    this.#subChannelEnded(channel)
    this.#services.connection.channelEnded()
  }

  // A closed sub-channel is given back: it is offered again when its device is asked for it.
  #subChannelEnded(channel: ClientChannel): void {
    const { offer } = channel
    if (offer.subChannelIndex === 0) return
    const stillOffered = this.#offers.get(channel.relid) === offer
    if (channel.state === 'closed' && stillOffered && !channel.rescinded) {
      this.#offers.delete(channel.relid)
      this.#services.connection.post(relidReleased(channel.relid))
    }
    const primary = this.byRelid.find(
      (other) => other !== undefined && this.#isSubChannelOf(channel, other),
    )
    if (primary !== undefined) this.#sendClose(primary)
  }

  #subChannelsOf(primary: ClientChannel): ClientChannel[] {
    const channels = this.byRelid.filter((channel) => channel !== undefined)
    return channels.filter((channel) => this.#isSubChannelOf(channel, primary))
  }

  #isSubChannelOf(channel: ClientChannel, primary: ClientChannel): boolean {
    const { classId, instanceId, subChannelIndex } = primary.offer
    if (subChannelIndex !== 0 || channel.offer.subChannelIndex === 0) return false
    return channel.offer.classId === classId && channel.offer.instanceId === instanceId
  }

  // A message that cannot be posted for good ends its channel: the host will not answer it.
  #post(channel: ClientChannel, payload: Uint8Array): void {
    this.#services.connection.post(payload, () => this.#lost(channel))
  }

  #lost(channel: ClientChannel): void {
    if (this.byRelid[channel.relid] !== channel) return
    if (channel.state === 'open') this.close(channel)
    else if (channel.state === 'opening') channel.refusal = 'post-failed'
    this.gpadls.abandon(channel)
  }
}

function pagesOfRing(dataBytes: number): number {
  assert(
    dataBytes >= PAGE_SIZE && dataBytes % PAGE_SIZE === 0,
    'A ring has whole pages of data, at least one.',
  )
  return dataBytes / PAGE_SIZE + 1
}

function failureOf(channel: ClientChannel): OpenFailure {
  if (channel.failure !== undefined) return 'failed'
  return channel.refusal ?? 'gpadl-refused'
}

function closeReasonOf(channel: ClientChannel): CloseReason {
  if (channel.rescinded) return 'rescinded'
  return channel.failure === undefined ? 'closed' : 'failed'
}
