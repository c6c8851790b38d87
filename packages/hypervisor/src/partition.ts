// HOT
// A child partition, as the root keeps it: its pages, its connections and the way from its VPs' outboxes to the handlers
// of ports. Root's thread only. `drain` is the receiving end of every post and signal.

import { Slat } from '@guestyard/guestmem'
import type { GuestMemory } from '@guestyard/guestmem'
import { HvStatus, PAGE_SIZE, assert } from '@guestyard/hvdef'
import type { ConnectionId, PartitionId, PrivilegeMask } from '@guestyard/hvdef'
import { TraceKind, TraceLink, traceKey, type Trace } from '@guestyard/trace'

import type { Wake } from './wake.ts'
import {
  CONNECTION_DEAD,
  ConnectionTable,
  eventDescriptor,
  messageDescriptor,
} from './connection-table.ts'
import { readCrashReport } from './crash-report.ts'
import type { CrashReport } from './crash-report.ts'
import { InterceptMasks } from './intercepts/intercept-masks.ts'
import { DEFAULT_CHILD_PRIVILEGES } from './features.ts'
import { PARTITION_PAGE_BYTES, REGISTER_GUEST_OS_ID, REGISTER_HYPERCALL } from './partition-page.ts'
import { PartitionProperties } from './partition-properties.ts'
import type { PropertySubject, PropertyValue } from './partition-properties.ts'
import { PartitionTime } from './partition-time.ts'
import { PortBuffers } from './port-buffers.ts'
import type { Connection, Port } from './port.ts'
import { RootVp } from './root-vp.ts'
import type { Clock } from './clock.ts'
import type { VpHandles } from './virtual-processor.ts'
import {
  EVENT_SLOTS_MAX,
  MESSAGE_QUEUES_MAX,
  OUTBOX_CRASH,
  OUTBOX_DISPATCH,
  OUTBOX_ENDED,
  OUTBOX_FLAGS,
  OUTBOX_GROUP_WORDS,
  OUTBOX_INTERCEPT,
  OUTBOX_QUEUE_SHIFT,
  OUTBOX_RESET,
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
  /**
   * The partition's weight, cap or reserve is to be another, all in range. SUCCESS: and is from now on. Without this method, always.
   */
  admitsCpu?(cpu: {
    readonly weight: number
    readonly cap: number
    readonly reserve: number
  }): HvStatus
  /** A property (HvPartitionProperty) was set. */
  propertyChanged?(code: number): void
  /** This VP's report about its grant changed: see RootVp.dispatch. */
  dispatchChanged?(vp: number): void
  /** A VP was explicitly suspended, or may run. */
  suspensionChanged?(vp: number): void
  /** The guest reports that it has crashed. It may run on. */
  guestCrashed?(report: CrashReport): void
  /** The guest asks to be reset, and expects not to run on as it was. */
  resetRequested?(vp: number): void
}

/** The wire that leads to a VP, made by whoever knows how threads wait. */
export interface VpDoorbell {
  /** Rung when the VP's inbox has news. */
  readonly wake: Wake
  /** The same as a buffer, for the VPs' threads: siblings ring each other. Null where nobody made one. */
  readonly buffer: SharedArrayBuffer | null
}

/** What of this process stands behind a partition. Given once, before it is mapped memory and has VPs. */
export interface PartitionBacking {
  /** The RAM that the machine's pages are, of which the partition may be given some. */
  readonly memory: GuestMemory
  /** Makes the doorbell of a VP that is created. */
  readonly openDoorbell: (vp: number) => VpDoorbell
  /** The VP was deleted. */
  readonly closeDoorbell?: (vp: number) => void
  readonly listener?: PartitionListener
}

/** The life of a partition (TLFS, "Partition Management"). */
export type PartitionState = 'created' | 'active' | 'finalized'

const QUEUE_BITS = (1 << MESSAGE_QUEUES_MAX) - 1
const QUEUE_MASK = QUEUE_BITS << OUTBOX_QUEUE_SHIFT
const GROUP_MASK = 0xffff

export class Partition implements PropertySubject {
  readonly id: PartitionId
  /** By index; a VP that was deleted leaves a hole. */
  readonly vps: (RootVp | undefined)[] = []
  readonly properties: PartitionProperties
  state: PartitionState = 'created'
  /** False once it was finalized: nothing is taken from its VPs any more. */
  alive = true
  trace: Trace | null = null
  readonly #clock: Clock
  readonly #createdAt100ns: number
  readonly #buffer: SharedArrayBuffer = new SharedArrayBuffer(PARTITION_PAGE_BYTES)
  readonly #page: Int32Array = new Int32Array(this.#buffer)
  readonly #registers: BigInt64Array = new BigInt64Array(this.#buffer)
  readonly #time: PartitionTime
  readonly #doorbells: (SharedArrayBuffer | null)[] = []
  readonly #table: ConnectionTable = new ConnectionTable(this.#page)
  readonly #connections: Map<ConnectionId, Connection> = new Map()
  /** Event connection by slot. */
  readonly #events: (Connection | null)[] = Array.from({ length: EVENT_SLOTS_MAX }, () => null)
  readonly #masks: InterceptMasks = new InterceptMasks(this.#page)
  /** The buffers of the message ports that this partition is connected to. */
  readonly buffers: PortBuffers = new PortBuffers(this.#page, this.vps)
  /** The VP that is looked at next, and the queues that gave something in the present poll. */
  #cursor = 0
  #drained = 0
  #backing: PartitionBacking | null = null
  #slat: Slat | null = null
  signalsReceived = 0
  /** Flags set for slots without a connection. */
  strayFlags = 0
  intercepts = 0
  crashes = 0
  resets = 0

  constructor(id: PartitionId, clock: Clock) {
    this.id = id
    this.#clock = clock
    this.#createdAt100ns = clock.now100ns
    this.#time = new PartitionTime(this.#buffer, clock.now100ns)
    this.properties = new PartitionProperties(this, DEFAULT_CHILD_PRIVILEGES)
  }

  get privileges(): PrivilegeMask {
    return this.properties.privileges
  }

  /** False until `back` was called. */
  get isBacked(): boolean {
    return this.#backing !== null
  }

  get memory(): GuestMemory {
    assert(this.#backing !== null, 'RAM is asked for when there is some.')
    return this.#backing.memory
  }

  /** What is at each page of the partition's GPA space: what HvCallMapGpaPages put there. */
  get slat(): Slat {
    assert(this.#slat !== null, 'A SLAT is asked for when there is RAM.')
    return this.#slat
  }

  /** Reference time now, in 100 ns. */
  get referenceTime(): number {
    return this.#time.at(this.#clock.now100ns)
  }

  /** MSRs of partition scope, as the guest wrote them. */
  get guestOsId(): PropertyValue {
    return this.#register(REGISTER_GUEST_OS_ID)
  }

  get hypercallMsr(): PropertyValue {
    return this.#register(REGISTER_HYPERCALL)
  }

  /** What stands behind the partition. Once. */
  back(backing: PartitionBacking): void {
    assert(this.#backing === null, 'A partition is backed once.')
    this.#backing = backing
    this.#slat = new Slat({
      ramPages: backing.memory.pageCount,
      ramPagesMax: backing.memory.maximumPages,
    })
  }

  /** Pages of RAM that it has been given: 0 before `back`. Never read from the memory, which its guest can grow. */
  get ramPages(): number {
    return this.#slat?.ramPages ?? 0
  }

  /** `pageCount` pages of RAM more, in whole 64 KiB and within its largest RAM: they may be mapped. False when the platform refuses. */
  grow(pageCount: number): boolean {
    const to = this.ramPages + pageCount
    if (!this.memory.extend(this.ramPages * PAGE_SIZE, to * PAGE_SIZE)) return false
    this.slat.grow(to)
    return true
  }

  /** A new VP, explicitly suspended. The index is free and below VPS_MAX, and the partition is backed. */
  createVp(index: number): RootVp {
    assert(this.#backing !== null && this.vps[index] === undefined, 'A VP is created once.')
    const doorbell = this.#backing.openDoorbell(index)
    const vp = new RootVp(index, doorbell.wake, this.#page)
    vp.setExplicitSuspend(true)
    vp.setPartitionSuspend(this.properties.suspended)
    while (this.vps.length < index) this.vps.push(undefined)
    this.vps[index] = vp
    this.#doorbells[index] = doorbell.buffer
    return vp
  }

  /** The VP is gone: its thread, if there is one, is nobody's any more. */
  deleteVp(index: number): void {
    this.vps[index]?.dispatch.revoke()
    this.vps[index] = undefined
    while (this.vps.length > 0 && this.vps[this.vps.length - 1] === undefined) this.vps.pop()
    this.#backing?.closeDoorbell?.(index)
  }

  /** Everything that runs or arrives ends. The ports are the port table's. */
  finalize(): void {
    this.state = 'finalized'
    this.alive = false
    this.disconnectAll()
    for (let vp = this.vps.length - 1; vp >= 0; vp--) {
      if (this.vps[vp] !== undefined) this.deleteVp(vp)
    }
    if (this.#slat !== null) this.#slat.unmap(0, this.#slat.gpaPages)
  }

  get isInitialized(): boolean {
    return this.state !== 'created'
  }

  /** The property Suspend. */
  setSuspended(suspended: boolean): void {
    for (const vp of this.vps) vp?.setPartitionSuspend(suspended)
  }

  /** The properties CpuWeight, CpuCap and CpuReserve: see PartitionListener.admitsCpu. */
  admitsCpu(weight: number, cap: number, reserve: number): HvStatus {
    const listener = this.#backing?.listener
    return listener?.admitsCpu?.({ weight, cap, reserve }) ?? HvStatus.SUCCESS
  }

  /** The property TimeFreeze. */
  setTimeFrozen(frozen: boolean): void {
    this.#time.setFrozen(frozen, this.#clock.now100ns)
    for (const vp of this.vps) vp?.timeChanged()
  }

  /** The property ReferenceTime, while time is frozen. */
  setReferenceTime(time100ns: number): void {
    this.#time.set(time100ns)
    for (const vp of this.vps) vp?.timeChanged()
  }

  /** A property was set by call. */
  propertyChanged(code: number): void {
    this.#backing?.listener?.propertyChanged?.(code)
  }

  /** The register ExplicitSuspend of a VP was set by call. */
  suspensionChanged(vp: number): void {
    this.#backing?.listener?.suspensionChanged?.(vp)
  }

  #register(index: number): PropertyValue {
    const value = Atomics.load(this.#registers, index)
    return { low: Number(value & 0xffff_ffffn), high: Number((value >> 32n) & 0xffff_ffffn) }
  }

  /** What the thread of a VP gets: plain data, for `postMessage`. Undefined for a VP that is not there. */
  handlesFor(vp: number): VpHandles | undefined {
    const target = this.vps[vp]
    if (target === undefined || this.#slat === null) return undefined
    return {
      partitionId: this.id,
      vpIndex: vp,
      vpCount: this.vps.length,
      privileges: this.privileges,
      createdAt100ns: this.#createdAt100ns,
      partitionPage: this.#buffer,
      vpPage: target.buffer,
      slat: this.#slat.buffer,
      vpDoorbells: this.#doorbells.every((buffer) => buffer !== null) ? [...this.#doorbells] : [],
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
    if (this.trace !== null) {
      const key = traceKey(TraceLink.MESSAGE_TO_VP, this.id, vp, 0)
      this.trace.queue(key, this.trace.record(TraceKind.MESSAGE_QUEUED, this.id, vp, sint))
    }
    return target === undefined
      ? HvStatus.INVALID_VP_INDEX
      : target.postMessage(sint, type, payload, length, sender)
  }

  /** Event flag `flag` (0 to 2047) of a VP's SINT. Statuses as postMessageToVp, without INSUFFICIENT_BUFFERS. */
  signalEventToVp(vp: number, sint: number, flag: number): HvStatus {
    const target = this.vps[vp]
    if (this.trace !== null) {
      const key = traceKey(TraceLink.EVENT_TO_VP, this.id, vp, 0)
      this.trace.leave(key, this.trace.record(TraceKind.EVENT_RAISED, this.id, vp, flag))
    }
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

  /** INVALID_CONNECTION_ID when the id is in use, NO_RESOURCES when the table or the event slots are full. */
  connect(id: ConnectionId, port: Port): HvStatus {
    if (this.#connections.has(id)) return HvStatus.INVALID_CONNECTION_ID
    const slotCount = port.kind === 'event' ? port.flagCount : 0
    const firstSlot = this.#findSlots(slotCount)
    if (firstSlot < 0) return HvStatus.NO_RESOURCES
    const descriptor =
      port.kind === 'event' ? eventDescriptor(firstSlot, slotCount) : messageDescriptor(port.queue)
    const row = this.#table.insert(id, descriptor)
    if (row < 0) return HvStatus.NO_RESOURCES
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

  /**
   * Takes what VPs announced, about `budget` messages and signals: how many. The queues of messages are the partition's: each is
   * looked into once, whatever number of its VPs announces it.
   */
  poll(budget: number): number {
    this.#drained = 0
    let done = 0
    for (let left = this.vps.length; left > 0 && done < budget; left--) {
      if (this.#cursor >= this.vps.length) this.#cursor = 0
      const vp = this.vps[this.#cursor++]
      if (vp !== undefined && vp.hasOutbox) done += this.#drain(vp, budget - done)
    }
    if (this.buffers.isStalled) done += this.buffers.retry(budget - done)
    return done
  }

  /** True when `poll` would find something. */
  get hasWork(): boolean {
    return this.vps.some((vp) => vp?.hasOutbox) || this.buffers.canResume
  }

  /**
   * Takes what `vp` announced, about `budget` messages and signals of it, more by at most one group of flags. Handed on: how many. What is
   * left is held, in its order, for the next call.
   */
  #drain(vp: RootVp, budget: number): number {
    // ORDER: the summary is taken before what it announces. What comes later is announced anew, so nothing is put back in
    // the page, not even for a queue that gave all its sixteen buffers. See event-flags.ts.
    const summary = vp.held | Atomics.exchange(vp.page, OUTBOX_SUMMARY, 0)
    let done = 0
    let queues = (summary >>> OUTBOX_QUEUE_SHIFT) & QUEUE_BITS
    const later = queues & this.#drained
    queues ^= later
    vp.held = later << OUTBOX_QUEUE_SHIFT
    while (queues !== 0 && this.alive) {
      if (done >= budget) {
        vp.held |= (summary & ~QUEUE_MASK) | (queues << OUTBOX_QUEUE_SHIFT)
        return done
      }
      const queue = 31 - Math.clz32(queues)
      queues &= ~(1 << queue)
      this.#drained |= 1 << queue
      if (this.trace !== null) {
        const key = traceKey(TraceLink.MESSAGE_TO_ROOT, this.id, 0, queue)
        this.trace.beginWith(key, TraceKind.MESSAGE_TAKEN, this.id, queue)
      }
      const most = budget - done
      const taken = this.buffers.drain(queue, most)
      done += taken
      // It may have more, of the same announcement.
      if (taken >= most) queues |= 1 << queue
    }
    let groups = summary & GROUP_MASK
    while (groups !== 0 && this.alive) {
      if (done >= budget) {
        vp.held |= (summary & ~(QUEUE_MASK | GROUP_MASK)) | groups
        return done
      }
      const group = 31 - Math.clz32(groups)
      groups &= ~(1 << group)
      done += this.#drainFlags(vp, group)
    }
    const listener = this.#backing?.listener
    if ((summary & OUTBOX_SPACE) !== 0 && this.alive && listener !== undefined) {
      listener.queueSpace(vp.index)
      done++
    }
    if ((summary & OUTBOX_DISPATCH) !== 0 && this.alive && listener !== undefined) {
      listener.dispatchChanged?.(vp.index)
      done++
    }
    if ((summary & OUTBOX_ENDED) !== 0 && this.alive) {
      done += vp.takeEnded((vector) => listener?.interruptEnded?.(vp.index, vector))
    }
    if ((summary & OUTBOX_INTERCEPT) !== 0 && this.alive) done += this.#takeIntercept(vp)
    if ((summary & (OUTBOX_CRASH | OUTBOX_RESET)) !== 0 && this.alive) {
      done += this.#takeEnd(vp, summary)
    }
    return done
  }

  /** What a guest says at its end. */
  #takeEnd(vp: RootVp, summary: number): number {
    if ((summary & OUTBOX_CRASH) !== 0) {
      this.crashes++
      this.#backing?.listener?.guestCrashed?.(readCrashReport(this.#buffer, this, vp.index))
    }
    if ((summary & OUTBOX_RESET) !== 0 && this.alive) {
      this.resets++
      this.#backing?.listener?.resetRequested?.(vp.index)
    }
    return 1
  }

  #takeIntercept(vp: RootVp): number {
    if (!vp.intercept.take()) return 0
    this.intercepts++
    const listener = this.#backing?.listener
    if (listener?.intercept === undefined) vp.completeIntercept()
    else listener.intercept(vp.index, vp.intercept.message)
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

  /** A unit of work, whoever's the slot is. */
  #signal(slot: number): number {
    const connection = this.#events[slot]!
    // Nobody's slot, or its port went while the signal was on its way.
    if (connection === null || connection.port === null || connection.port.kind !== 'event') {
      this.strayFlags++
      return 1
    }
    this.signalsReceived++
    if (this.trace !== null) {
      const key = traceKey(TraceLink.EVENT_TO_ROOT, this.id, 0, slot)
      this.trace.beginWith(key, TraceKind.EVENT_TAKEN, this.id, slot)
    }
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
      crashes: this.crashes,
      resets: this.resets,
      vps: this.vps
        .filter((vp) => vp !== undefined)
        .map((vp) => ({
          index: vp.index,
          messagesQueued: vp.messagesQueued,
          eventsSignalled: vp.eventsSignalled,
          interruptsRequested: vp.interruptsRequested,
          longSpinWaits: vp.longSpinWaits,
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
  readonly crashes: number
  readonly resets: number
  readonly vps: readonly {
    readonly index: number
    readonly messagesQueued: number
    readonly eventsSignalled: number
    readonly interruptsRequested: number
    readonly longSpinWaits: number
    readonly wakes: number
    readonly answered: boolean
  }[]
}
