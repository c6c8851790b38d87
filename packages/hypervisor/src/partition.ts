// A child partition, as the root keeps it: its pages, its VPs, its properties and what stands behind it. Root's thread only. What
// goes in and out by ports is PartitionConnections', and what VPs announce VpOutboxes'.

import { Slat } from '@guestyard/guestmem'
import type { GuestMemory } from '@guestyard/guestmem'
import { HvStatus, PAGE_SIZE, assert } from '@guestyard/hvdef'
import type { PartitionId, PrivilegeMask } from '@guestyard/hvdef'
import { TraceKind, TraceLink, traceKey, type Trace } from '@guestyard/trace'

import type { Clock } from './clock.ts'
import { readCrashReport } from './crash-report.ts'
import type { CrashReport } from './crash-report.ts'
import { DEFAULT_CHILD_PRIVILEGES } from './features.ts'
import { InterceptMasks } from './intercepts/intercept-masks.ts'
import type { PartitionBacking, PartitionListener } from './partition-backing.ts'
import { PartitionConnections } from './partition-connections.ts'
import type { ConnectionInspection } from './partition-connections.ts'
import { PARTITION_PAGE_BYTES, REGISTER_GUEST_OS_ID, REGISTER_HYPERCALL } from './partition-page.ts'
import { PartitionProperties } from './partition-properties.ts'
import type { PropertySubject, PropertyValue } from './partition-properties.ts'
import { PartitionTime } from './partition-time.ts'
import { PortBuffers } from './port-buffers.ts'
import { RootVp } from './root-vp.ts'
import type { RootVpInspection } from './root-vp.ts'
import type { VpHandles } from './vp-handles.ts'
import { VpOutboxes } from './vp-outboxes.ts'

/** The life of a partition (TLFS, "Partition Management"). */
export type PartitionState = 'created' | 'active' | 'finalized'

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
  readonly #masks: InterceptMasks = new InterceptMasks(this.#page)
  /** The buffers of the message ports that this partition is connected to. */
  readonly buffers: PortBuffers = new PortBuffers(this.#page, this.vps)
  readonly connections: PartitionConnections
  readonly #outboxes: VpOutboxes = new VpOutboxes(this)
  #backing: PartitionBacking | null = null
  #slat: Slat | null = null

  constructor(id: PartitionId, clock: Clock) {
    this.id = id
    this.#clock = clock
    this.#createdAt100ns = clock.now100ns
    this.#time = new PartitionTime(this.#buffer, clock.now100ns)
    this.connections = new PartitionConnections(id, this.#page, this.buffers)
    this.properties = new PartitionProperties(this, DEFAULT_CHILD_PRIVILEGES)
  }

  get privileges(): PrivilegeMask {
    return this.properties.privileges
  }

  /** False until `back` was called. */
  get isBacked(): boolean {
    return this.#backing !== null
  }

  /** Who hears what its VPs announce: undefined when nobody does. */
  get listener(): PartitionListener | undefined {
    return this.#backing?.listener
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
    this.connections.disconnectAll()
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
    return this.listener?.admitsCpu?.({ weight, cap, reserve }) ?? HvStatus.SUCCESS
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
    this.listener?.propertyChanged?.(code)
  }

  /** The register ExplicitSuspend of a VP was set by call. */
  suspensionChanged(vp: number): void {
    this.listener?.suspensionChanged?.(vp)
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

  /** Takes what VPs announced: see VpOutboxes.poll. */
  poll(budget: number): number {
    return this.#outboxes.poll(budget)
  }

  /** True when `poll` would find something. */
  get hasWork(): boolean {
    return this.#outboxes.hasWork
  }

  /** What the guest wrote about its crash, as VP `vp` reported it. */
  readCrash(vp: number): CrashReport {
    return readCrashReport(this.#buffer, this, vp)
  }

  /** Plain data about this partition. */
  inspect(): PartitionInspection {
    return {
      id: this.id,
      vpCount: this.vps.length,
      connections: this.connections.inspect(),
      messagesReceived: this.buffers.received,
      signalsReceived: this.connections.signalsReceived,
      malformed: this.buffers.malformed,
      strayFlags: this.connections.strayFlags,
      intercepts: this.#outboxes.intercepts,
      crashes: this.#outboxes.crashes,
      resets: this.#outboxes.resets,
      vps: this.vps.filter((vp) => vp !== undefined).map((vp) => vp.inspect()),
    }
  }
}

/** What `inspect` answers. */
export interface PartitionInspection {
  readonly id: PartitionId
  readonly vpCount: number
  readonly connections: readonly ConnectionInspection[]
  readonly messagesReceived: number
  readonly signalsReceived: number
  readonly malformed: number
  readonly strayFlags: number
  readonly intercepts: number
  readonly crashes: number
  readonly resets: number
  readonly vps: readonly RootVpInspection[]
}
