// HOT
// The hypervisor, as the root partition has it: what stands behind the root's calls, and the pass over all VPs that hands their
// messages and signals on. One object, on the root's thread. What VPs meet is `VirtualProcessor`.
//
// What a hypercall can say is said by `root.hypercall`. Beside it are the things that a machine has and no call carries: what
// memory stands behind a partition's pages (`back`), what runs when a port of the root's is signalled (`bindMessages`,
// `bindSignals`), and what a VP's thread is handed (`handlesFor`).

import { WASM_PAGE_SIZE } from '@guestyard/guestmem'
import { HvStatus, PAGE_SIZE } from '@guestyard/hvdef'
import type { ConnectionId, PartitionId, PortId, PrivilegeMask } from '@guestyard/hvdef'

import type { Wake } from './wake.ts'
import { HOST_PAGES_DEFAULT, HostMemoryPool } from './host-memory.ts'
import type { HostMemoryInspection } from './host-memory.ts'
import type { HypercallInspection } from './hypercall-counters.ts'
import { Launch } from './launch.ts'
import { PartitionTable, ROOT_PARTITION_ID } from './partition-table.ts'
import { VPS_MAX } from './partition-page.ts'
import type { PartitionBacking, PartitionListener } from './partition-backing.ts'
import type { Partition, PartitionInspection } from './partition.ts'
import { PortTable } from './port-table.ts'
import type { EventPortOptions, MessageHandler, MessagePortOptions, SignalHandler } from './port.ts'
import { NO_DEVICES } from './root-calls/device-calls.ts'
import type { DeviceInterrupts } from './root-calls/device-calls.ts'
import { InterruptCalls } from './root-calls/interrupt-calls.ts'
import { MemoryCalls } from './root-calls/memory-calls.ts'
import { PartitionCalls } from './root-calls/partition-calls.ts'
import { ProcessorCalls } from './root-calls/processor-calls.ts'
import { RegisterCalls } from './root-calls/register-calls.ts'
import { RootCaller, RootProcessor } from './root-processor.ts'
import type { Clock } from './clock.ts'
import type { VpHandles } from './vp-handles.ts'

/** Child partitions, when the options name no number. */
export const PARTITIONS_MAX_DEFAULT = 1024

const SILENT: Wake = { ring() {} }

/** RAM grows by so many pages: a page of WebAssembly. */
const RAM_GRANULE: number = WASM_PAGE_SIZE / PAGE_SIZE

export interface HypervisorOptions {
  readonly clock: Clock
  /** Child partitions at one time, at least 1. */
  readonly maxPartitions?: number
  /** Memory of the machine, in pages of 4 KiB; 16 GiB when left out. */
  readonly hostPages?: number
  /** The root's table of device interrupts. Without it no device is known. */
  readonly devices?: DeviceInterrupts
}

/** A partition in one step: see `Hypervisor.createPartition`. */
export interface PartitionOptions {
  /** RAM of the partition. */
  readonly memory: PartitionBacking['memory']
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

/** A new partition, or the status that a hypercall answered. */
export type CreatePartitionResult =
  | { readonly ok: true; readonly partition: Partition }
  | { readonly ok: false; readonly status: HvStatus }

export class Hypervisor {
  /** The root's VP: every call of the root's goes through it. */
  readonly root: RootProcessor
  /** The machine's memory, whose pages the root gives away. */
  readonly hostMemory: HostMemoryPool
  readonly partitions: PartitionTable
  readonly #ports: PortTable
  readonly #launch: Launch
  #cursor = 0
  #passes = 0

  constructor(options: HypervisorOptions) {
    this.hostMemory = new HostMemoryPool(options.hostPages ?? HOST_PAGES_DEFAULT)
    this.partitions = new PartitionTable(
      options.clock,
      options.maxPartitions ?? PARTITIONS_MAX_DEFAULT,
    )
    this.#ports = new PortTable(this.partitions)
    const caller = new RootCaller(this.#ports)
    this.root = new RootProcessor({
      postMessage: (...call) => caller.postMessage(...call),
      signalEvent: (connection, flag) => caller.signalEvent(connection, flag),
      notifyLongSpinWait: (count) => caller.notifyLongSpinWait(count),
      partitionId: caller.partitionId,
      sendToMask: (...call) => caller.sendToMask(...call),
      flushMask: (low, high) => caller.flushMask(low, high),
      startVp: (...call) => caller.startVp(...call),
      partitions: new PartitionCalls(this.partitions, this.#ports, this.hostMemory),
      memory: new MemoryCalls(this.partitions, this.hostMemory),
      processors: new ProcessorCalls(this.partitions, this.hostMemory),
      registers: new RegisterCalls(this.partitions),
      ports: this.#ports,
      interrupts: new InterruptCalls(this.partitions),
      devices: options.devices ?? NO_DEVICES,
    })
    this.#launch = new Launch(this)
  }

  /**
   * A partition with its RAM mapped and its VPs running, by the root's calls in their order. INVALID_PARAMETER (VP count or
   * doorbells), PROPERTY_VALUE_OUT_OF_RANGE (the privileges of a root partition), INSUFFICIENT_MEMORY (it does not fit the
   * machine), NO_RESOURCES (as many as there may be).
   */
  createPartition(options: PartitionOptions): CreatePartitionResult {
    const { vpCount, wakeVp, vpDoorbells, listener, memory } = options
    if (
      !Number.isInteger(vpCount) ||
      vpCount < 1 ||
      vpCount > VPS_MAX ||
      wakeVp.length !== vpCount
    ) {
      return { ok: false, status: HvStatus.INVALID_PARAMETER }
    }
    const backing: PartitionBacking = {
      memory,
      // A VP that is created later has nobody who waits for it.
      openDoorbell: (vp) => ({ wake: wakeVp[vp] ?? SILENT, buffer: vpDoorbells?.[vp] ?? null }),
      ...(listener === undefined ? {} : { listener }),
    }
    const started = this.#launch.start(vpCount, backing, options.privileges)
    return typeof started === 'number'
      ? { ok: false, status: started }
      : { ok: true, partition: started }
  }

  /** Finalizes the partition, withdraws its memory and deletes it. Its id is never given again. INVALID_PARTITION_ID. */
  deletePartition(id: PartitionId): HvStatus {
    return this.#launch.end(id)
  }

  /** More RAM for a running partition, in pages after those it has, mapped at its own place. Statuses as `grow`. */
  addRam(id: PartitionId, pageCount: number): HvStatus {
    return this.#launch.addRam(id, pageCount)
  }

  partition(id: PartitionId): Partition | undefined {
    return this.partitions.get(id)
  }

  /**
   * What stands behind a partition. Its RAM takes as many pages of the machine as it may ever come to have, since the guest holds
   * the memory and can grow it that far by itself. Once. INVALID_PARTITION_ID, INVALID_PARTITION_STATE (it is backed, or
   * finalized), INSUFFICIENT_MEMORY (the machine has not as many).
   */
  back(id: number, backing: PartitionBacking): HvStatus {
    const partition = this.partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    if (partition.isBacked || partition.state === 'finalized') {
      return HvStatus.INVALID_PARTITION_STATE
    }
    const given = this.hostMemory.allocateRam(id, 0, backing.memory.maximumPages)
    if (given === HvStatus.SUCCESS) partition.back(backing)
    return given
  }

  /**
   * More RAM behind a partition that may be running: `pageCount` pages after those it has, which can be mapped from here on. Nothing
   * that it has moves, the new ones are zero, and what the guest has done to the length of its memory makes no difference.
   * INVALID_PARTITION_ID, INVALID_PARTITION_STATE (not active, or not backed), INVALID_PARAMETER (no whole 64 KiB, or beyond the
   * largest RAM it was made for), INSUFFICIENT_ROOT_MEMORY (the platform has not as much).
   */
  grow(id: number, pageCount: number): HvStatus {
    const partition = this.partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    if (partition.state !== 'active' || !partition.isBacked) return HvStatus.INVALID_PARTITION_STATE
    const isWhole = Number.isInteger(pageCount) && pageCount > 0 && pageCount % RAM_GRANULE === 0
    const { ramPages, ramPagesMax } = partition.slat
    if (!isWhole || pageCount > ramPagesMax - ramPages) return HvStatus.INVALID_PARAMETER
    return partition.grow(pageCount) ? HvStatus.SUCCESS : HvStatus.INSUFFICIENT_ROOT_MEMORY
  }

  /** Undoes a `grow` whose pages could not all be mapped: the partition has `ramPages` pages again. Unknown ids are ignored. */
  takeBack(id: number, ramPages: number): void {
    const partition = this.partitions.get(id)
    if (partition !== undefined && partition.isBacked) partition.slat.takeBack(ramPages)
  }

  /** Has `handler` receive what arrives at a message port of the root's. INVALID_PORT_ID. */
  bindMessages(portId: PortId, handler: MessageHandler): HvStatus {
    return this.#ports.bindMessages(portId, handler)
  }

  /** Has `handler` receive the signals of an event port of the root's. INVALID_PORT_ID. */
  bindSignals(portId: PortId, handler: SignalHandler): HvStatus {
    return this.#ports.bindSignals(portId, handler)
  }

  /** HvCallCreatePort, with what it leads to. See PortTable. */
  createMessagePort(options: MessagePortOptions): HvStatus {
    return this.#ports.createMessagePort(options)
  }

  /** HvCallCreatePort, with what it leads to. See PortTable. */
  createEventPort(options: EventPortOptions): HvStatus {
    return this.#ports.createEventPort(options)
  }

  /** HvCallDeletePort. */
  deletePort(owner: PartitionId, portId: PortId): HvStatus {
    return this.#ports.deletePort(owner, portId)
  }

  /** HvCallConnectPort. */
  connectPort(
    child: PartitionId,
    connection: ConnectionId,
    portId: PortId,
    owner: PartitionId = ROOT_PARTITION_ID,
  ): HvStatus {
    return this.#ports.connect(child, connection, owner, portId)
  }

  /** HvCallDisconnectPort. */
  disconnectPort(child: PartitionId, connection: ConnectionId): HvStatus {
    return this.#ports.disconnect(child, connection)
  }

  /** Partition.postMessageToVp by id, sent in the root's name. INVALID_PARTITION_ID. */
  postMessageToVp(
    id: PartitionId,
    vp: number,
    sint: number,
    type: number,
    payload: Uint8Array,
    length: number,
  ): HvStatus {
    const partition = this.partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    return partition.postMessageToVp(vp, sint, type, payload, length, ROOT_PARTITION_ID)
  }

  /** Partition.signalEventToVp by id. INVALID_PARTITION_ID. */
  signalEventToVp(id: PartitionId, vp: number, sint: number, flag: number): HvStatus {
    return this.partitions.get(id)?.signalEventToVp(vp, sint, flag) ?? HvStatus.INVALID_PARTITION_ID
  }

  /** What the thread of a VP gets. Undefined for a partition or VP that is not there. */
  handlesFor(id: PartitionId, vp: number): VpHandles | undefined {
    return this.partitions.get(id)?.handlesFor(vp)
  }

  /** Asks a VP for a sign of life: its next `deliver` answers. INVALID_PARTITION_ID, INVALID_VP_INDEX. */
  ping(id: PartitionId, vp: number): HvStatus {
    const partition = this.partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    const target = partition.vps[vp]
    if (target === undefined) return HvStatus.INVALID_VP_INDEX
    target.ping()
    return HvStatus.SUCCESS
  }

  /** True when the VP answered the latest ping, or was never asked. False for one that is not there. */
  answered(id: PartitionId, vp: number): boolean {
    return this.partitions.get(id)?.vps[vp]?.answered ?? false
  }

  /** Asks every VP of a partition for a sign of life. INVALID_PARTITION_ID. */
  pingAll(id: PartitionId): HvStatus {
    const partition = this.partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    for (const vp of partition.vps) vp?.ping()
    return HvStatus.SUCCESS
  }

  /** True when some VP of a partition owes an answer to the latest ping. A VP that runs no thread yet owes none. */
  isSilent(id: PartitionId): boolean {
    return this.partitions.get(id)?.vps.some((vp) => vp?.isSilent) ?? false
  }

  /** Dispatches a VP on logical processor `lp`, 0 or more. The scheduler's. INVALID_PARTITION_ID, INVALID_VP_INDEX. */
  grant(id: PartitionId, vp: number, lp: number): HvStatus {
    const partition = this.partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    const target = partition.vps[vp]
    if (target === undefined) return HvStatus.INVALID_VP_INDEX
    target.dispatch.grant(lp, false)
    return HvStatus.SUCCESS
  }

  /** Takes the grant back. INVALID_PARTITION_ID, INVALID_VP_INDEX. */
  revokeGrant(id: PartitionId, vp: number): HvStatus {
    const partition = this.partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    const target = partition.vps[vp]
    if (target === undefined) return HvStatus.INVALID_VP_INDEX
    target.dispatch.revoke()
    return HvStatus.SUCCESS
  }

  /**
   * Takes what VPs announced and calls the ports' handlers; a load for each VP that announced nothing. Messages and signals
   * taken: about `budget`, more by at most 127 signals. Partitions take turns, however many VPs they have, and where it stopped
   * the next call goes on: with the next partition, and in this one with its next VP.
   */
  poll(budget: number): number {
    const { polled } = this.partitions
    this.#passes++
    let done = 0
    for (let looked = 0; looked < polled.length && done < budget; looked++) {
      if (this.#cursor >= polled.length) this.#cursor = 0
      const partition = polled[this.#cursor]!
      this.#cursor++
      done += partition.poll(budget - done)
    }
    return done
  }

  /** Before the root sleeps: true when there is something to take after all. */
  arm(): boolean {
    return this.partitions.polled.some((partition) => partition.hasWork)
  }

  /** After the root slept. A VP rings only for its first announcement, so there is nothing to turn off. */
  disarm(): void {}

  /** Nothing of the authority is due at a time of its own. */
  nextDeadlineMs(): number {
    return Number.POSITIVE_INFINITY
  }

  /** Plain data about everything. */
  inspect(): HypervisorInspection {
    return {
      passes: this.#passes,
      ...this.#ports.inspect(),
      hypercalls: this.root.inspect(),
      memory: this.hostMemory.inspect(),
      partitions: [...this.partitions.values()].map((partition) => partition.inspect()),
    }
  }
}

/** What `inspect` answers. */
export interface HypervisorInspection {
  readonly passes: number
  readonly ports: number
  readonly rootConnections: readonly number[]
  /** Calls that the root made. */
  readonly hypercalls: HypercallInspection
  readonly memory: HostMemoryInspection
  readonly partitions: readonly PartitionInspection[]
}
