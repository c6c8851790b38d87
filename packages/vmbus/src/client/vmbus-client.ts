// The guest's end of VMBus: contact, offers, channels and their GPADLs, in the order in which Linux does it.
//
//   connect  INITIATE_CONTACT, newest version first ──▶ VERSION_RESPONSE ──▶ REQUESTOFFERS ──▶ offers
//   open     rings zeroed ──▶ GPADL_HEADER, bodies ──▶ CREATED ──▶ OPENCHANNEL ──▶ RESULT ──▶ `opened`
//   close    sub-channels first ──▶ CLOSECHANNEL, TEARDOWN ──▶ TORNDOWN ──▶ pages free ──▶ `closed`
//   rescind  CLOSECHANNEL if open, no wait for TORNDOWN ──▶ RELID_RELEASED
//   unload   every channel closed ──▶ UNLOAD ──▶ UNLOAD_RESPONSE (from 3.0 on)
//
// Everything happens inside the calls of the owner, `receiveMessage`, `receiveEvent` and `poll`, on one thread;
// what completes later is told to listeners. A host's nonsense is counted and dropped.

import {
  ChannelMessage,
  GpadlCreatedMessage,
  GpadlTorndownMessage,
  ModifyChannelResponseMessage,
  OpenChannelResultMessage,
  VMBUS_CHANNELS_MAX,
  VMBUS_MESSAGE_HEADER_SIZE,
  VMBUS_MESSAGE_MAX,
  VersionResponseMessage,
  VmbusMessageType,
  hasVmbusMessage,
  vmbusMessageMinSize,
  vmbusMessageRow,
} from '@guestyard/hvdef'
import { ActiveList } from '../active-list.ts'
import { ChannelTrace, type BusTrace } from '../channel-trace.ts'
import type { Machine } from '../channel.ts'
import { DEFAULT_VERSIONS } from '../versions.ts'
import { readOffer } from './channel-offer.ts'
import type { ChannelOffer, VmbusClientEvent } from './channel-offer.ts'
import type { ChannelListener, ClientChannel } from './client-channel.ts'
import { ClientChannels } from './client-channels.ts'
import type { OpenOptions } from './client-channels.ts'
import type { ClientGpadl, GpadlListener } from './client-gpadls.ts'
import { ClientConnection } from './client-connection.ts'
import type { ClientState } from './client-connection.ts'
import type { VmbusClientInspection } from './inspection.ts'
import type { GpadlRangeOptions } from './messages.ts'
import { PostQueue } from './post-queue.ts'
import type { ClientTransport } from './transport.ts'

/** Versions before 6.0 have no features to ask for. */
const NO_FEATURES = 0

export interface VmbusClientOptions {
  readonly transport: ClientTransport
  /** Versions to ask for, in this order. Default: 5.3 down to 2.4. */
  readonly versions?: readonly number[]
  /** VP that takes control messages. Default 0. */
  readonly messageVp?: number
  /** Called within the call that caused the event; may call the client. */
  readonly onEvent?: (event: VmbusClientEvent) => void
  readonly trace?: BusTrace | null
  /** Milliseconds, for the delay between attempts to post. Without it each `poll` is an attempt. */
  readonly now?: () => number
}

export class VmbusClient implements Machine {
  readonly #posts: PostQueue
  readonly #active: ActiveList
  readonly #connection: ClientConnection
  readonly #channels: ClientChannels
  #droppedMessages = 0
  #strayEvents = 0

  constructor(options: VmbusClientOptions) {
    const { transport, versions = DEFAULT_VERSIONS, messageVp = 0, onEvent = ignore } = options
    this.#posts = new PostQueue(transport, options.now)
    const { trace = null } = options
    this.#active = new ActiveList(trace === null ? null : new ChannelTrace(trace, 'guest'))
    this.#connection = new ClientConnection({
      posts: this.#posts,
      versions,
      messageVp,
      report: onEvent,
      closeChannels: () => this.#channels.closeAll(),
      channelsInUse: () => this.#channels.size,
      forgetChannels: () => this.#channels.forget(),
    })
    this.#channels = new ClientChannels({
      transport,
      active: this.#active,
      report: onEvent,
      connection: this.#connection,
    })
  }

  get state(): ClientState['is'] {
    return this.#connection.state.is
  }

  /** Version in force, 0 without a connection. */
  get version(): number {
    return this.#connection.version
  }

  /** When `poll` is due for a message that the host had no room for, in the time of `now`; else Infinity. */
  get nextDeadlineMs(): number {
    return this.#posts.nextAttemptMs
  }

  /** Makes contact and asks for offers. Only while disconnected. */
  connect(): void {
    this.#connection.connect()
    this.#posts.flush()
  }

  /** Closes every channel, then leaves the bus: `unloaded` is reported. `connect` may follow. */
  unload(): void {
    this.#connection.unload()
    this.#posts.flush()
  }

  /** What the host offers now, in the order of its messages. */
  offers(): readonly ChannelOffer[] {
    return this.#channels.offers()
  }

  /**
   * Opens an offered channel. Undefined when the offer is not in force or open already, when there are no
   * pages, or when the rings are larger than a GPADL can describe (about 32 MB together).
   */
  open(
    offer: ChannelOffer,
    options: OpenOptions,
    listener: ChannelListener,
  ): ClientChannel | undefined {
    const channel = this.#channels.open(offer, options, listener)
    this.#posts.flush()
    return channel
  }

  /** Closes a channel, after its sub-channels; one that is opening is closed once it is open. */
  close(channel: ClientChannel): void {
    this.#channels.close(channel)
    this.#posts.flush()
  }

  /** Opens memory to a channel's host: one range or several. Undefined for more than a GPADL can describe. */
  createGpadl(
    channel: ClientChannel,
    ranges: readonly GpadlRangeOptions[],
    listener: GpadlListener,
  ): ClientGpadl | undefined {
    const gpadl = this.#channels.createGpadl(channel, ranges, listener)
    this.#posts.flush()
    return gpadl
  }

  /** Closes memory again; `tornDown` follows when the host has let go. */
  teardownGpadl(gpadl: ClientGpadl): void {
    this.#channels.gpadls.teardown(gpadl)
    this.#posts.flush()
  }

  /**
   * Moves a channel's interrupts to another VP. False when the version has no such message (before 4.1),
   * the channel is not open, or an earlier move is not answered.
   */
  modifyChannel(channel: ClientChannel, targetVp: number): boolean {
    const sent = this.#channels.modify(channel, targetVp)
    this.#posts.flush()
    return sent
  }

  /** A message of the host, in private memory, valid during the call. */
  receiveMessage(payload: Uint8Array, length: number): void {
    const fits = length >= VMBUS_MESSAGE_HEADER_SIZE && length <= VMBUS_MESSAGE_MAX
    const view = fits && length <= payload.length ? viewOf(payload, length) : undefined
    const taken = view !== undefined && this.#isWellFormed(view) && this.#take(view)
    if (!taken) this.#droppedMessages += 1
    this.#posts.flush()
  }

  /** Event flag `relid` was set. Any number may be given. HOT. */
  receiveEvent(relid: number): void {
    const inRange = relid > 0 && relid <= VMBUS_CHANNELS_MAX
    const channel = inRange ? this.#channels.byRelid[relid] : undefined
    if (channel === undefined || channel.entry === undefined) this.#strayEvents += 1
    else this.#active.add(channel.entry)
  }

  /** HOT while no message waits. */
  poll(budget: number): number {
    const done = this.#posts.length === 0 ? 0 : this.#posts.flush()
    return done + this.#active.poll(budget - done)
  }

  /** True as well while a message is due to be posted; one that is due later is a deadline. */
  arm(): boolean {
    return this.#active.arm() || this.#posts.isDue
  }

  /** Channels ask for no signals only once one has woken them. */
  disarm(): void {}

  inspect(): VmbusClientInspection {
    return {
      connection: this.state,
      version: this.version,
      offers: this.offers().length,
      channels: this.#channels.inspect(),
      gpadls: this.#channels.gpadls.size,
      activeChannels: this.#active.size,
      queuedPosts: this.#posts.length,
      droppedMessages: this.#droppedMessages,
      strayEvents: this.#strayEvents,
    }
  }

  #isWellFormed(view: DataView): boolean {
    const type = view.getUint32(0, true)
    if (vmbusMessageRow(type)?.sender !== 'host') return false
    // A response to contact has the form of the version asked for, which is not in force yet.
    const version = this.#connection.versionSpoken
    const minimum = vmbusMessageMinSize(type, version, NO_FEATURES)
    if (minimum === undefined || view.byteLength < minimum) return false
    return hasVmbusMessage(type, version, NO_FEATURES)
  }

  // False for a message that nothing here waits for.
  #take(view: DataView): boolean {
    switch (view.getUint32(0, true)) {
      case VmbusMessageType.VERSION_RESPONSE:
        return this.#connection.versionResponse(VersionResponseMessage.decode(view))
      case VmbusMessageType.ALLOFFERS_DELIVERED:
        return this.#connection.offersDelivered()
      case VmbusMessageType.UNLOAD_RESPONSE:
        return this.#connection.unloadResponse()
      case VmbusMessageType.OFFERCHANNEL:
        return this.#channels.offered(readOffer(view))
      case VmbusMessageType.RESCIND_CHANNELOFFER:
        return this.#channels.rescinded(ChannelMessage.decode(view).channelId)
      case VmbusMessageType.OPENCHANNEL_RESULT: {
        const { channelId, openId, status } = OpenChannelResultMessage.decode(view)
        return this.#channels.openResult(channelId, openId, status)
      }
      case VmbusMessageType.GPADL_CREATED: {
        const { channelId, gpadlId, status } = GpadlCreatedMessage.decode(view)
        return this.#channels.gpadls.created(channelId, gpadlId, status)
      }
      case VmbusMessageType.GPADL_TORNDOWN:
        return this.#channels.gpadlTornDown(GpadlTorndownMessage.decode(view).gpadlId)
      case VmbusMessageType.MODIFYCHANNEL_RESPONSE: {
        const { channelId, status } = ModifyChannelResponseMessage.decode(view)
        return this.#channels.modified(channelId, status)
      }
      // The other messages of hosts answer what this client never sends.
      default:
        return false
    }
  }
}

function viewOf(payload: Uint8Array, length: number): DataView {
  return new DataView(payload.buffer, payload.byteOffset, length)
}

function ignore(): void {
  // Without a listener events go nowhere.
}
