// HOT (receiveSignal)
// Interrupt routing, which the root partition owns. Towards the root: each channel of each partition has an event port of
// the root and a connection that its guest signals; what arrives goes to the channel's bus. Towards a guest: a channel's
// flag on SINT 2 of the VP that the guest named.
//
//   guest ─ HvCallSignalEvent(connection) ─▶ port ─▶ SignalRoute ─▶ BusInbox.receiveSignal(relid)
//   guest ─ HvCallPostMessage(1 or 4)     ─▶ port ─▶ BusInbox.receiveMessage
//   VSP   ─ ChannelRoute.raise            ─▶ inbox of its VP: flag relid of SINT 2, vector when it was clear
//   device ─ DeviceVectors.raise, setLine ─▶ InterruptRemapping ─▶ vectors of VPs
//   worker process ─ IsaLines.set ─▶ the same

import {
  HV_MESSAGE_TYPE_VMBUS,
  HvPortType,
  HvStatus,
  VMBUS_MESSAGE_CONNECTION_ID,
  VMBUS_MESSAGE_CONNECTION_ID_V5,
  VMBUS_SINT,
  assert,
  connectionId,
  type ConnectionId,
} from '@guestyard/hvdef'
import { ROOT_PARTITION_ID, type MessageHandler, type SignalHandler } from '@guestyard/hypervisor'

import type { VidPartition } from '../vid/index.ts'
import type { WinHv } from '../winhv/index.ts'
import { ChannelRoute, type ChannelRouteCounts } from './channel-route.ts'
import { IsaLines } from './isa-lines.ts'
import { InterruptRemapping, type RemappingInspection } from './remapping.ts'

/** The bus of one partition, as routes reach it. */
export interface BusInbox {
  readonly acceptsMessages: boolean
  receiveMessage(payload: Uint8Array, length: number): boolean
  /** Units that the last message took. */
  readonly messageUnits: number
  receiveSignal(relid: number): void
}

/** Bits 11:0 the channel, 15:12 the SINT: opaque to guests, which replay what the offer says. */
const SINT_SHIFT = 12
/** Port ids of the root: 24 bits, the partition's number above the channel's. Ids are never given twice. */
const MESSAGE_PORTS = [VMBUS_MESSAGE_CONNECTION_ID, VMBUS_MESSAGE_CONNECTION_ID_V5] as const

/** Routes of one partition. Root thread only. */
export class InterruptRouter {
  readonly #winhv: WinHv
  readonly #partition: VidPartition
  readonly #portIds: PortIds
  readonly #inbox: BusInbox
  readonly #ports: Map<number, number>
  readonly #messagePorts: number[]
  readonly #counts: ChannelRouteCounts
  /** What devices that raise vectors may raise. */
  readonly remapping: InterruptRemapping
  /** Lines of the devices that its worker process emulates. */
  readonly isaLines: IsaLines

  constructor(winhv: WinHv, partition: VidPartition, portIds: PortIds, inbox: BusInbox) {
    this.#winhv = winhv
    this.#partition = partition
    this.#portIds = portIds
    this.#inbox = inbox
    this.#ports = new Map()
    this.#messagePorts = []
    this.#counts = { raised: 0, refused: 0, stray: 0, moved: 0 }
    this.remapping = new InterruptRemapping({
      hasVp: (vp) => partition.hasVp(vp),
      requestEdge: (vp, vector) => partition.requestInterrupt(vp, vector),
      requestLevel: (vp, vector) => partition.requestLevel(vp, vector),
    })
    this.isaLines = new IsaLines(this.remapping)
    const messages = new MessageRoute(inbox)
    for (const connection of MESSAGE_PORTS) this.#openMessagePort(connection, messages)
  }

  /** Makes the connection that the guest signals for this channel; returns its id. */
  connectChannel(relid: number): ConnectionId {
    const id = connectionId(relid | (VMBUS_SINT << SINT_SHIFT))
    const port = this.#portIds.take()
    const route = new SignalRoute(this.#inbox, relid)
    const made = this.#winhv.createEventPort(port, this.#partition.id, 1, route)
    assert(made === HvStatus.SUCCESS, 'A port with a fresh id can be made.')
    const connected = this.#winhv.connectPort(this.#partition.id, id, port, HvPortType.EVENT)
    assert(connected === HvStatus.SUCCESS, 'There is an event slot for each channel id.')
    this.#ports.set(relid, port)
    return id
  }

  /** The channel's connection is gone: signals on it get INVALID_CONNECTION_ID. */
  disconnectChannel(relid: number): void {
    const port = this.#ports.get(relid)
    assert(port !== undefined, 'A channel is disconnected once.')
    this.#ports.delete(relid)
    const id = connectionId(relid | (VMBUS_SINT << SINT_SHIFT))
    this.#winhv.disconnectPort(this.#partition.id, id)
    this.#winhv.deletePort(port)
    this.#portIds.giveBack(port)
  }

  /** The channel has opened: its interrupt, and the right to raise it. The VP is one of the guest's. */
  openInterrupt(relid: number, vp: number): ChannelRoute {
    assert(this.#partition.hasVp(vp), 'A channel names a VP that is there.')
    return new ChannelRoute(this.#partition, relid, vp, this.#counts)
  }

  /** A VP has ended a level-triggered interrupt. */
  ended(vp: number, vector: number): void {
    this.remapping.ended(vp, vector)
  }

  /** A control message for SINT 2 of a VP. */
  post(vp: number, payload: Uint8Array, length: number): HvStatus {
    return this.#partition.postMessageToVp(
      vp,
      VMBUS_SINT,
      HV_MESSAGE_TYPE_VMBUS,
      payload,
      length,
      ROOT_PARTITION_ID,
    )
  }

  /** The partition is about to be deleted: its ports go, and their ids are free. */
  dispose(): void {
    for (const relid of [...this.#ports.keys()]) this.disconnectChannel(relid)
    for (const port of this.#messagePorts.splice(0)) {
      this.#winhv.deletePort(port)
      this.#portIds.giveBack(port)
    }
  }

  inspect(): InterruptInspection {
    return { ...this.#counts, remapping: this.remapping.inspect() }
  }

  #openMessagePort(connection: number, target: MessageHandler): void {
    const port = this.#portIds.take()
    const made = this.#winhv.createMessagePort(port, this.#partition.id, target)
    assert(made === HvStatus.SUCCESS, 'A new partition has message queues to spare.')
    const connected = this.#winhv.connectPort(
      this.#partition.id,
      connection,
      port,
      HvPortType.MESSAGE,
    )
    assert(connected === HvStatus.SUCCESS, 'A new partition has no connections.')
    this.#messagePorts.push(port)
  }
}

/** What `inspect` answers. */
export interface InterruptInspection extends Readonly<ChannelRouteCounts> {
  readonly remapping: RemappingInspection
}

/** Port ids that are free: 24 bits, the lowest first, taken back when a port goes. */
export class PortIds {
  readonly #free: number[] = []
  #next = 1

  take(): number {
    const reused = this.#free.pop()
    if (reused !== undefined) return reused
    const id = this.#next
    assert(id < 1 << 24, 'Port ids are bounded by partitions times channels.')
    this.#next += 1
    return id
  }

  giveBack(id: number): void {
    this.#free.push(id)
  }
}

class SignalRoute implements SignalHandler {
  readonly #inbox: BusInbox
  readonly #relid: number

  constructor(inbox: BusInbox, relid: number) {
    this.#inbox = inbox
    this.#relid = relid
  }

  receiveSignal(_flag: number): void {
    this.#inbox.receiveSignal(this.#relid)
  }
}

class MessageRoute implements MessageHandler {
  readonly #inbox: BusInbox

  constructor(inbox: BusInbox) {
    this.#inbox = inbox
  }

  canReceive(): boolean {
    return this.#inbox.acceptsMessages
  }

  get messageUnits(): number {
    return this.#inbox.messageUnits
  }

  /** Messages of another type than VMBus's are nobody's: dropped, as on a host without a listener for them. */
  receiveMessage(type: number, payload: Uint8Array, length: number): void {
    if (type === HV_MESSAGE_TYPE_VMBUS) this.#inbox.receiveMessage(payload, length)
  }
}
