// HOT
// A child partition, as the root keeps it: its pages, its connections and the way from its VPs' outboxes to the handlers
// of ports. Root's thread only. `drain` is the receiving end of every post and signal.

import { Slat } from '@guestyard/guestmem'
import type { GuestMemory } from '@guestyard/guestmem'
import { HvStatus } from '@guestyard/hvdef'
import type { ConnectionId, PartitionId, PrivilegeMask } from '@guestyard/hvdef'

import type { Wake } from './caller.ts'
import {
  CONNECTION_DEAD,
  ConnectionTable,
  eventDescriptor,
  messageDescriptor,
} from './connection-table.ts'
import { InterceptMasks } from './intercepts/intercept-masks.ts'
import { partitionPageBytes } from './partition-page.ts'
import { PortBuffers } from './port-buffers.ts'
import type { Connection, Port } from './port.ts'
import { RootVp } from './root-vp.ts'
import type { VpHandles } from './virtual-processor.ts'
import {
  EVENT_SLOTS_MAX,
  MESSAGE_QUEUES_MAX,
  OUTBOX_ENDED,
  OUTBOX_FLAGS,
  OUTBOX_GROUP_WORDS,
  OUTBOX_INTERCEPT,
  OUTBOX_QUEUE_SHIFT,
  OUTBOX_SPACE,
  OUTBOX_SUMMARY,
} from './vp-page.ts'

/** Hears of what a partition's VPs announce beside messages and events. */
export interface PartitionListener {
  /** An inbox queue of this VP that was full has room: posts that met INSUFFICIENT_BUFFERS may be tried again. */
  queueSpace(vp: number): void
  /**
   * This VP did what an intercept asks about (TLFS, "Intercepts"), and is suspended until `completeIntercept`. `message` is an
   * HV_MESSAGE of 256 bytes, good until the VP's next. Without this method every intercept is answered at once, with nothing.
   */
  intercept?(vp: number, message: Uint8Array): void
  /** The guest has ended a level-triggered interrupt. It was requested again if its line is still asserted. */
  interruptEnded?(vp: number, vector: number): void
}

export interface PartitionOptions {
  /** RAM of the partition. */
  readonly memory: GuestMemory
  /** 1 to VPS_MAX. */
  readonly vpCount: number
  /** DEFAULT_CHILD_PRIVILEGES when left out. */
  readonly privileges?: PrivilegeMask
  /** One doorbell for each VP: rung when its inbox has news. */
  readonly wakeVp: readonly Wake[]
  /** The same doorbells as buffers, for the VPs' threads: siblings ring each other. */
  readonly vpDoorbells?: readonly SharedArrayBuffer[]
  readonly listener?: PartitionListener
}

const QUEUE_BITS = (1 << MESSAGE_QUEUES_MAX) - 1

export class Partition {
  readonly id: PartitionId
  readonly memory: GuestMemory
  /** What is at each page of the partition's GPA space: at first its RAM, at its own place with every right. */
  readonly slat: Slat
  readonly privileges: PrivilegeMask
  readonly vps: readonly RootVp[]
  /** False once it was deleted: nothing is taken from its VPs any more. */
  alive = true
  readonly #createdAt100ns: number
  readonly #buffer: SharedArrayBuffer
  readonly #page: Int32Array
  readonly #doorbells: readonly SharedArrayBuffer[]
  readonly #listener: PartitionListener | null
  readonly #table: ConnectionTable
  readonly #connections: Map<ConnectionId, Connection> = new Map()
  /** Event connection by slot. */
  readonly #events: (Connection | null)[] = Array.from({ length: EVENT_SLOTS_MAX }, () => null)
  readonly #masks: InterceptMasks
  /** The buffers of the message ports that this partition is connected to. */
  readonly buffers: PortBuffers
  signalsReceived = 0
  /** Flags set for slots without a connection. */
  strayFlags = 0
  intercepts = 0

  constructor(
    id: PartitionId,
    options: PartitionOptions,
    privileges: PrivilegeMask,
    createdAt100ns: number,
  ) {
    this.id = id
    this.memory = options.memory
    this.slat = Slat.identity(options.memory.pageCount, options.memory.maximumPages)
    this.privileges = privileges
    this.#listener = options.listener ?? null
    this.#createdAt100ns = createdAt100ns
    this.#buffer = new SharedArrayBuffer(partitionPageBytes(options.wakeVp.length))
    this.#page = new Int32Array(this.#buffer)
    this.#table = new ConnectionTable(this.#page)
    this.#masks = new InterceptMasks(this.#page)
    this.#doorbells = options.vpDoorbells ?? []
    this.vps = options.wakeVp.map((wake, index) => new RootVp(index, wake, this.#page))
    this.buffers = new PortBuffers(this.#page, this.vps.length)
  }

  /** What the thread of a VP gets: plain data, for `postMessage`. Undefined for a VP that is not there. */
  handlesFor(vp: number): VpHandles | undefined {
    const target = this.vps[vp]
    if (target === undefined) return undefined
    return {
      partitionId: this.id,
      vpIndex: vp,
      vpCount: this.vps.length,
      privileges: this.privileges,
      createdAt100ns: this.#createdAt100ns,
      partitionPage: this.#buffer,
      vpPage: target.buffer,
      slat: this.slat.buffer,
      vpDoorbells: this.#doorbells,
    }
  }

  /**
   * A message for a VP's SINT: `length` bytes (0 to 240) of `payload`, copied. SUCCESS; INVALID_VP_INDEX; INVALID_PARAMETER
   * (SINT, type 0, length); INVALID_SYNIC_STATE (SINT masked, or controller or page off); INSUFFICIENT_BUFFERS (sixteen are
   * waiting: the listener's `queueSpace` says when to try again). `sender` is the port or partition that the guest will read.
   */
  postMessageToVp(
    vp: number,
    sint: number,
    type: number,
    payload: Uint8Array,
    length: number,
    sender: number,
  ): HvStatus {
    const target = this.vps[vp]
    return target === undefined
      ? HvStatus.INVALID_VP_INDEX
      : target.postMessage(sint, type, payload, length, sender)
  }

  /** Event flag `flag` (0 to 2047) of a VP's SINT. Statuses as postMessageToVp, without INSUFFICIENT_BUFFERS. */
  signalEventToVp(vp: number, sint: number, flag: number): HvStatus {
    const target = this.vps[vp]
    return target === undefined ? HvStatus.INVALID_VP_INDEX : target.signalEvent(sint, flag)
  }

  /** Which accesses of this partition's VPs become intercepts. See InterceptMasks.install. */
  installIntercept(type: number, accessMask: number, parameter: number): HvStatus {
    return this.#masks.install(type, accessMask, parameter)
  }

  /**
   * The VP goes on with what `vps[vp].intercept` was set to. INVALID_VP_INDEX; INVALID_VP_STATE when it is not suspended for an
   * intercept.
   */
  completeIntercept(vp: number): HvStatus {
    const target = this.vps[vp]
    if (target === undefined) return HvStatus.INVALID_VP_INDEX
    return target.completeIntercept() ? HvStatus.SUCCESS : HvStatus.INVALID_VP_STATE
  }

  /** INVALID_CONNECTION_ID when the id is in use, INSUFFICIENT_MEMORY when the table or the event slots are full. */
  connect(id: ConnectionId, port: Port): HvStatus {
    if (this.#connections.has(id)) return HvStatus.INVALID_CONNECTION_ID
    const slotCount = port.kind === 'event' ? port.flagCount : 0
    const firstSlot = this.#findSlots(slotCount)
    if (firstSlot < 0) return HvStatus.INSUFFICIENT_MEMORY
    const descriptor =
      port.kind === 'event' ? eventDescriptor(firstSlot, slotCount) : messageDescriptor(port.queue)
    const row = this.#table.insert(id, descriptor)
    if (row < 0) return HvStatus.INSUFFICIENT_MEMORY
    const connection: Connection = { id, port, row, firstSlot, slotCount }
    this.#connections.set(id, connection)
    for (let slot = firstSlot; slot < firstSlot + slotCount; slot++) this.#events[slot] = connection
    return HvStatus.SUCCESS
  }

  /** INVALID_CONNECTION_ID when there is none. */
  disconnect(id: ConnectionId): HvStatus {
    const connection = this.#connections.get(id)
    if (connection === undefined) return HvStatus.INVALID_CONNECTION_ID
    this.#table.remove(connection.row)
    this.#connections.delete(id)
    this.#events.fill(null, connection.firstSlot, connection.firstSlot + connection.slotCount)
    return HvStatus.SUCCESS
  }

  /** The port is gone: its connections answer INVALID_PORT_ID, and what waited in its buffers is dropped. */
  portDeleted(port: Port): void {
    for (const connection of this.#connections.values()) {
      if (connection.port !== port) continue
      connection.port = null
      this.#table.replace(connection.row, CONNECTION_DEAD)
    }
    if (port.kind === 'message') this.buffers.detach(port)
  }

  /** Takes all connections away: the partition is being deleted. */
  disconnectAll(): void {
    for (const id of this.#connections.keys()) this.disconnect(id)
  }

  /** Takes everything that `vp` announced. Messages and signals handed on; at most what one pass over the outbox can hold. */
  drain(vp: RootVp): number {
    // ORDER: the summary is taken before what it announces. What comes later is announced anew, so nothing is put back
    // here, not even for a queue that gave all its sixteen buffers. See event-flags.ts.
    const summary = Atomics.exchange(vp.page, OUTBOX_SUMMARY, 0)
    let done = 0
    let queues = (summary >>> OUTBOX_QUEUE_SHIFT) & QUEUE_BITS
    while (queues !== 0 && this.alive) {
      const queue = 31 - Math.clz32(queues)
      queues &= ~(1 << queue)
      done += this.buffers.drain(queue)
    }
    let groups = summary & 0xffff
    while (groups !== 0 && this.alive) {
      const group = 31 - Math.clz32(groups)
      groups &= ~(1 << group)
      done += this.#drainFlags(vp, group)
    }
    if ((summary & OUTBOX_SPACE) !== 0 && this.alive && this.#listener !== null) {
      this.#listener.queueSpace(vp.index)
      done++
    }
    if ((summary & OUTBOX_ENDED) !== 0 && this.alive) {
      done += vp.takeEnded((vector) => this.#listener?.interruptEnded?.(vp.index, vector))
    }
    if ((summary & OUTBOX_INTERCEPT) !== 0 && this.alive) done += this.#takeIntercept(vp)
    return done
  }

  #takeIntercept(vp: RootVp): number {
    if (!vp.intercept.take()) return 0
    this.intercepts++
    if (this.#listener?.intercept === undefined) vp.completeIntercept()
    else this.#listener.intercept(vp.index, vp.intercept.message)
    return 1
  }

  #drainFlags(vp: RootVp, group: number): number {
    let done = 0
    const first = group * OUTBOX_GROUP_WORDS
    for (let word = first; word < first + OUTBOX_GROUP_WORDS; word++) {
      if (Atomics.load(vp.page, OUTBOX_FLAGS + word) === 0) continue
      let flags = Atomics.exchange(vp.page, OUTBOX_FLAGS + word, 0)
      while (flags !== 0 && this.alive) {
        const bit = 31 - Math.clz32(flags)
        flags &= ~(1 << bit)
        done += this.#signal(word * 32 + bit)
      }
    }
    return done
  }

  #signal(slot: number): number {
    const connection = this.#events[slot]!
    // Nobody's slot, or its port went while the signal was on its way.
    if (connection === null || connection.port === null || connection.port.kind !== 'event') {
      this.strayFlags++
      return 0
    }
    this.signalsReceived++
    connection.port.handler.receiveSignal(slot - connection.firstSlot)
    return 1
  }

  /** First of `count` free event slots in a row, or -1. */
  #findSlots(count: number): number {
    let run = 0
    for (let slot = 0; slot < EVENT_SLOTS_MAX && run < count; slot++) {
      run = this.#events[slot] === null ? run + 1 : 0
      if (run === count) return slot - count + 1
    }
    return count === 0 ? 0 : -1
  }

  /** Plain data about this partition. */
  inspect(): PartitionInspection {
    return {
      id: this.id,
      vpCount: this.vps.length,
      connections: [...this.#connections.values()].map((connection) => ({
        id: connection.id,
        kind: connection.port === null ? 'dead' : connection.port.kind,
      })),
      messagesReceived: this.buffers.received,
      signalsReceived: this.signalsReceived,
      malformed: this.buffers.malformed,
      strayFlags: this.strayFlags,
      intercepts: this.intercepts,
      vps: this.vps.map((vp) => ({
        index: vp.index,
        messagesQueued: vp.messagesQueued,
        eventsSignalled: vp.eventsSignalled,
        interruptsRequested: vp.interruptsRequested,
        wakes: vp.wakes,
        answered: vp.answered,
      })),
    }
  }
}

/** What `inspect` answers. */
export interface PartitionInspection {
  readonly id: PartitionId
  readonly vpCount: number
  readonly connections: readonly {
    readonly id: ConnectionId
    readonly kind: 'message' | 'event' | 'dead'
  }[]
  readonly messagesReceived: number
  readonly signalsReceived: number
  readonly malformed: number
  readonly strayFlags: number
  readonly intercepts: number
  readonly vps: readonly {
    readonly index: number
    readonly messagesQueued: number
    readonly eventsSignalled: number
    readonly interruptsRequested: number
    readonly wakes: number
    readonly answered: boolean
  }[]
}
