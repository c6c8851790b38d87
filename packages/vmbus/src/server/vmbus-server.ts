// The host's end of one guest's VMBus: one server a partition. The owner offers devices and hands in what
// arrives; the server answers, moves the channels by their tables, and polls the programs that devices run.
//
// Everything happens inside `receiveMessage`, `receiveSignal`, `poll` and the calls of owner and devices, on
// one thread. A guest can make the server do nothing worse than count an error.

import {
  ChannelMessage,
  GpadlHeaderMessage,
  GpadlTeardownMessage,
  InitiateContactMessage,
  ModifyChannelMessage,
  OpenChannelMessage,
  TlConnectRequestMessage,
  VMBUS_MESSAGE_HEADER_SIZE,
  VMBUS_MESSAGE_MAX,
  VMBUS_STATUS_CONNECTION_REFUSED,
  VMBUS_STATUS_FAILURE,
  VMBUS_STATUS_SUCCESS,
  VMBUS_USER_DEFINED_SIZE,
  VmbusMessageType,
  VmbusOfferFlag,
  VmbusVersion,
  assert,
  hasVmbusMessage,
  parseGuid,
  vmbusMessageMinSize,
  vmbusMessageRow,
} from '@guestyard/hvdef'
import type { Iommu } from '@guestyard/guestmem'
import { ActiveList } from '../active-list.ts'
import { ChannelTrace, type BusTrace } from '../channel-trace.ts'
import type { Machine } from '../channel.ts'
import { DEFAULT_VERSIONS } from '../versions.ts'
import { ChannelMachine } from './channel-machine.ts'
import { Connection, readContact } from './connection.ts'
import type { Offer, OfferOptions, VspDevice } from './device.ts'
import { noErrors } from './events.ts'
import type { GuestError, GuestErrorCounts, VmbusServerEvent } from './events.ts'
import { Gpadls } from './gpadls.ts'
import type { OfferedDevice } from './host-channel.ts'
import { inspectChannel } from './inspection.ts'
import type { VmbusServerInspection } from './inspection.ts'
import { DEFAULT_LIMITS, queuedMessagesBound } from './limits.ts'
import type { VmbusLimits } from './limits.ts'
import {
  SAVED_BUS_VERSION,
  contactOf,
  gpadlHeaderOf,
  openChannelOf,
  requestOffersMessage,
  saveChannel,
} from './saved-bus.ts'
import type { SavedBus, SavedChannel, Unsaved } from './saved-bus.ts'
import { modifyChannelResponse, tlConnectResult } from './messages.ts'
import { OutgoingMessages } from './outgoing-messages.ts'
import type { ServerTransport } from './transport.ts'

/** Versions before 6.0 have no features to grant. */
const NO_FEATURES = 0

export interface VmbusServerOptions {
  readonly transport: ServerTransport
  /** Versions to speak, in any order. Default: 5.3 down to 2.4. */
  readonly versions?: readonly number[]
  readonly limits?: Partial<VmbusLimits>
  readonly trace?: BusTrace | null
  /** Called within the call that caused the event; must not call the server. */
  readonly onEvent?: (event: VmbusServerEvent) => void
}

export class VmbusServer implements Machine {
  readonly #limits: VmbusLimits
  readonly #outgoing: OutgoingMessages
  readonly #iommu: Iommu
  readonly #gpadls: Gpadls
  readonly #active: ActiveList
  readonly #channels: ChannelMachine
  readonly #connection: Connection
  readonly #report: (event: VmbusServerEvent) => void
  readonly #errors: GuestErrorCounts = noErrors()
  /** Units spent on opening channels and not told to anybody yet. */
  #spent = 0
  #messageUnits = 1
  #receivedMessages = 0
  #strayInterrupts = 0
  #channelsFailed = 0

  constructor(options: VmbusServerOptions) {
    const { transport, versions = DEFAULT_VERSIONS, limits = {}, onEvent } = options
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
    this.#report = (event) => {
      if (event.is === 'channel-failed') this.#channelsFailed += 1
      onEvent?.(event)
    }
    this.#outgoing = new OutgoingMessages(transport, queuedMessagesBound(this.#limits))
    this.#iommu = transport.iommu
    const send = (message: Uint8Array): void => this.#connection.send(message)
    this.#gpadls = new Gpadls(this.#limits, send)
    const { trace = null } = options
    this.#active = new ActiveList(trace === null ? null : new ChannelTrace(trace, 'root'))
    this.#connection = new Connection({
      outgoing: this.#outgoing,
      versions,
      hasVp: (vp) => transport.hasVp(vp),
      report: this.#report,
      offerAll: () => this.#channels.offerAll(),
      disconnectChannels: () => this.#channels.disconnect(),
      devicesInUse: () => this.#channels.devicesInUse,
      forgetMemory: () => this.#gpadls.dropAll(),
    })
    const connection = this.#connection
    this.#channels = new ChannelMachine({
      transport,
      limits: this.#limits,
      gpadls: this.#gpadls,
      active: this.#active,
      get version() {
        return connection.version
      },
      get offering() {
        return connection.offering
      },
      send,
      spend: (units) => (this.#spent += units),
      report: this.#report,
      drained: () => this.#connection.drained(),
    })
  }

  /** False while the guest has not read its answers: leave its messages where they are. */
  get acceptsMessages(): boolean {
    return this.#outgoing.length < this.#limits.queuedMessages
  }

  /** Devices that have not stopped. At 0 after `reset`, nothing touches the guest's memory any more. */
  get devicesInUse(): number {
    return this.#channels.devicesInUse
  }

  /** Units that the last message took: 1, and more when it opened a channel. */
  get messageUnits(): number {
    return this.#messageUnits
  }

  /**
   * A message of the guest: the payload of HvCallPostMessage, in private memory, valid during the call.
   * False, and nothing done, while `acceptsMessages` is false: hand it in again after a `poll`.
   */
  receiveMessage(payload: Uint8Array, length: number): boolean {
    if (!this.acceptsMessages) this.#flush()
    if (!this.acceptsMessages) return false
    this.#receivedMessages += 1
    this.#dispatch(payload, length)
    this.#flush()
    this.#messageUnits = 1 + this.#takeSpent()
    return true
  }

  /** HvCallSignalEvent on the connection of a channel. Any number may be given. HOT. */
  receiveSignal(relid: number): void {
    if (!this.#channels.signal(relid)) this.#strayInterrupts += 1
  }

  /** HOT while no message waits. */
  poll(budget: number): number {
    const done = this.#outgoing.length === 0 ? 0 : this.#flush()
    const polled = done + this.#active.poll(budget - done)
    return this.#spent === 0 ? polled : polled + this.#takeSpent()
  }

  arm(): boolean {
    if (this.#outgoing.length > 0 && this.#flush() > 0) return true
    return this.#active.arm()
  }

  /** Channels ask for no signals only once one has woken them. */
  disarm(): void {}

  /** Nothing of a bus is due at a time of its own: what a guest has no room for goes when it has. */
  nextDeadlineMs(): number {
    return Number.POSITIVE_INFINITY
  }

  /** Offers a device: at once when the guest has asked for offers, else when it does. */
  offer(options: OfferOptions, device: VspDevice): Offer {
    const offered = offeredDevice(options, device, this.#iommu)
    const record = this.#channels.add(offered, undefined, 0)
    const { generation } = record
    this.#flush()
    return {
      classId: offered.classId,
      instanceId: offered.instanceId,
      get relid() {
        return record.relid
      },
      revoke: () => {
        if (record.generation !== generation) return
        this.#channels.revoke(record)
        this.#flush()
      },
    }
  }

  /** The guest is reset, or about to be deleted: devices are stopped, nothing is sent. */
  reset(): void {
    this.#connection.reset()
  }

  /** What the guest and this server have made of the bus; or why there is no record. While the guest stands still. */
  save(): SavedBus | Unsaved {
    const { state } = this.#connection
    if (state.is === 'disconnected') return { version: SAVED_BUS_VERSION, connection: null }
    if (state.is !== 'connected' || !state.offersSent || this.#outgoing.length > 0) {
      return { unsaved: 'its bus is being set up', mayChange: true }
    }
    const gpadls = this.#gpadls.save()
    if (gpadls === null) return { unsaved: 'pages are being shared', mayChange: true }
    const channels: SavedChannel[] = []
    for (const record of this.#channels.table.sorted()) {
      const saved = saveChannel(record)
      if ('unsaved' in saved) return saved
      channels.push(saved)
    }
    const connection = { busVersion: state.version, targetVp: state.targetVp, gpadls, channels }
    return { version: SAVED_BUS_VERSION, connection }
  }

  /**
   * Leads a new server, which offers the same devices, to where the saved one was; guest memory is as it was saved. Null; or why it
   * can't be, and then the server is to be reset.
   */
  restore(saved: SavedBus): string | null {
    if (saved.version !== SAVED_BUS_VERSION) return 'its bus was saved by another version'
    const { connection } = saved
    if (connection === null) return null
    const contacted = this.#replay(contactOf(connection)) && this.#replay(requestOffersMessage())
    if (!contacted) return 'its bus speaks another version'
    for (const { relid, classId, instanceId } of connection.channels) {
      const record = this.#channels.table.known(relid)
      if (record?.offered.classId !== classId || record.offered.instanceId !== instanceId) {
        return `it had a device ${classId} that it has not now, or elsewhere`
      }
    }
    if (!connection.gpadls.every((gpadl) => this.#replay(gpadlHeaderOf(gpadl)))) {
      return 'pages that it shared are none of its memory'
    }
    for (const { relid, classId, opened } of connection.channels) {
      if (opened === null) continue
      const isOpen = this.#replay(openChannelOf(relid, opened))
      const program = this.#channels.table.known(relid)?.opened?.entry?.program
      if (!isOpen || program?.restore?.(opened.program) !== true) {
        return `its device ${classId} can't go on`
      }
    }
    return null
  }

  /** After `restore`, once the guest takes interrupts again: each open channel is signalled, whatever came of signals before. */
  signalAll(): void {
    for (const record of this.#channels.table.sorted()) {
      if (record.state !== 'open') continue
      record.opened?.signal()
      record.opened?.wake()
    }
  }

  inspect(): VmbusServerInspection {
    return {
      connection: this.#connection.state.is,
      version: this.#connection.version,
      channels: this.#channels.table.sorted().map(inspectChannel),
      relidsInUse: this.#channels.table.relidsInUse,
      devicesInUse: this.#channels.devicesInUse,
      activeChannels: this.#active.size,
      channelsFailed: this.#channelsFailed,
      gpadls: this.#gpadls.inspect(),
      iommu: this.#iommu.inspect(),
      queuedMessages: this.#outgoing.length,
      sentMessages: this.#outgoing.counts.sent,
      undeliverableMessages: this.#outgoing.counts.undeliverable,
      receivedMessages: this.#receivedMessages,
      errors: { ...this.#errors },
      strayInterrupts: this.#strayInterrupts,
    }
  }

  /** A message that the guest sent before it was saved. It has had the answers. */
  #replay(message: Uint8Array): boolean {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
    const type = view.getUint32(0, true)
    const error = this.#refusal(type, message.length) ?? this.#serve(type, view, message.length)
    this.#outgoing.clear()
    this.#connection.flushed()
    return error === undefined && this.#connection.state.is === 'connected'
  }

  #takeSpent(): number {
    const units = this.#spent
    this.#spent = 0
    return units
  }

  #flush(): number {
    const left = this.#outgoing.flush()
    this.#connection.flushed()
    return left
  }

  #dispatch(payload: Uint8Array, length: number): void {
    const fits = length >= VMBUS_MESSAGE_HEADER_SIZE && length <= VMBUS_MESSAGE_MAX
    if (!fits || length > payload.length) {
      this.#error('malformed', 0)
      return
    }
    const view = new DataView(payload.buffer, payload.byteOffset, length)
    const type = view.getUint32(0, true)
    const error = this.#refusal(type, length) ?? this.#serve(type, view, length)
    if (error !== undefined) this.#error(error, type)
  }

  // Why a message may not reach its handler: who sends it, when, and how long it is.
  #refusal(type: number, length: number): GuestError | undefined {
    const row = vmbusMessageRow(type)
    if (row === undefined) return 'malformed'
    if (row.sender === 'host') return 'host-only'
    if (type === VmbusMessageType.INITIATE_CONTACT) {
      return length < InitiateContactMessage.size ? 'malformed' : undefined
    }
    const { state, version } = this.#connection
    if (type === VmbusMessageType.UNLOAD && state.is === 'connecting') return undefined
    if (state.is !== 'connected') return 'not-connected'
    if (!hasVmbusMessage(type, version, NO_FEATURES)) return 'wrong-version'
    const minimum = vmbusMessageMinSize(type, version, NO_FEATURES)
    return minimum === undefined || length < minimum ? 'malformed' : undefined
  }

  #serve(type: number, view: DataView, length: number): GuestError | undefined {
    switch (type) {
      case VmbusMessageType.INITIATE_CONTACT:
        this.#connection.contact(readContact(view))
        return undefined
      case VmbusMessageType.REQUESTOFFERS:
        return this.#connection.requestOffers()
      case VmbusMessageType.UNLOAD:
        return this.#connection.unload()
      case VmbusMessageType.GPADL_HEADER:
        return this.#createGpadl(view, length)
      case VmbusMessageType.GPADL_BODY:
        return this.#gpadls.extend(view, length)
      case VmbusMessageType.GPADL_TEARDOWN:
        return this.#teardownGpadl(view)
      case VmbusMessageType.OPENCHANNEL: {
        const { channelId, ...request } = OpenChannelMessage.decode(view)
        return this.#channels.open(channelId, request)
      }
      case VmbusMessageType.CLOSECHANNEL:
        return this.#channels.close(ChannelMessage.decode(view).channelId)
      case VmbusMessageType.RELID_RELEASED:
        return this.#channels.release(ChannelMessage.decode(view).channelId)
      case VmbusMessageType.MODIFYCHANNEL:
        return this.#modify(view)
      case VmbusMessageType.TL_CONNECT_REQUEST:
        return this.#refuseTlConnect(view)
      // No reserved channel is ever offered.
      case VmbusMessageType.OPEN_RESERVED_CHANNEL:
      case VmbusMessageType.CLOSE_RESERVED_CHANNEL:
        return 'unknown-channel'
      // What is left is of 6.0, with features that no version here has.
      default:
        return 'wrong-version'
    }
  }

  #createGpadl(view: DataView, length: number): GuestError | undefined {
    const { channelId, gpadlId } = GpadlHeaderMessage.decode(view)
    const record = this.#channels.table.known(channelId)
    if (record === undefined) {
      this.#gpadls.refuse(channelId, gpadlId)
      return 'unknown-channel'
    }
    return this.#gpadls.create(view, length, record.offered.domain)
  }

  #teardownGpadl(view: DataView): GuestError | undefined {
    const { channelId, gpadlId } = GpadlTeardownMessage.decode(view)
    if (this.#channels.table.known(channelId) === undefined) return 'unknown-channel'
    return this.#gpadls.teardown(channelId, gpadlId)
  }

  #modify(view: DataView): GuestError | undefined {
    const { channelId, targetVp } = ModifyChannelMessage.decode(view)
    const error = this.#channels.modify(channelId, targetVp)
    if (this.#connection.version >= VmbusVersion.IRON) {
      const status = error === undefined ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_FAILURE
      this.#connection.send(modifyChannelResponse(channelId, status))
    }
    return error
  }

  // Nobody listens for hv_sock. Before 4.1 there is no way to say so.
  #refuseTlConnect(view: DataView): GuestError | undefined {
    const { endpointId, serviceId } = TlConnectRequestMessage.decode(view)
    if (this.#connection.version >= VmbusVersion.WIN10_RS3) {
      const status = VMBUS_STATUS_CONNECTION_REFUSED
      this.#connection.send(tlConnectResult(endpointId, serviceId, status))
    }
    return undefined
  }

  #error(error: GuestError, messageType: number): void {
    this.#errors[error] += 1
    this.#report({ is: 'guest-error', error, messageType })
  }
}

function offeredDevice(options: OfferOptions, device: VspDevice, iommu: Iommu): OfferedDevice {
  const { pipeMode, userDefined = new Uint8Array(0) } = options
  assert(userDefined.length <= VMBUS_USER_DEFINED_SIZE, 'The user-defined area has 120 bytes.')
  const area = new Uint8Array(VMBUS_USER_DEFINED_SIZE)
  area.set(userDefined)
  let flags = options.flags ?? VmbusOfferFlag.ENUMERATE_DEVICE_INTERFACE
  if (pipeMode !== undefined) {
    flags |= VmbusOfferFlag.NAMED_PIPE_MODE
    new DataView(area.buffer).setUint32(0, pipeMode, true)
  }
  const classId = parseGuid(options.classId)
  const instanceId = parseGuid(options.instanceId)
  return {
    classId,
    instanceId,
    domain: iommu.domain(`${classId}/${instanceId}`),
    flags,
    mmioMegabytes: options.mmioMegabytes ?? 0,
    userDefined: area,
    device,
  }
}
