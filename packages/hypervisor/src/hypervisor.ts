// HOT
// The hypervisor, as the root partition uses it: partitions, ports, connections, and the pass over all VPs that hands
// their messages and signals on. One object, on the root's thread. What VPs meet is `VirtualProcessor`.

import {
  EVENT_FLAGS_PER_SINT,
  HvPrivilege,
  HvStatus,
  SINT_COUNT,
  hasPrivilege,
  partitionId,
  privilegeMask,
} from '@guestyard/hvdef'
import type { ConnectionId, PartitionId, PortId, PrivilegeMask } from '@guestyard/hvdef'

import { Partition } from './partition.ts'
import type { PartitionInspection, PartitionOptions } from './partition.ts'
import { isSintTarget, portKey } from './port.ts'
import type {
  EventPort,
  EventPortOptions,
  MessageHandler,
  MessagePort,
  MessagePortOptions,
  Port,
  SignalHandler,
  SintFlagTarget,
  SintTarget,
} from './port.ts'
import type { RootVp } from './root-vp.ts'
import type { Clock, VpHandles } from './virtual-processor.ts'

/** VPs of one partition, at most. */
export const VPS_MAX = 64
/** Child partitions, when the options name no number. */
export const PARTITIONS_MAX_DEFAULT = 1024
/** The root partition's id. Children get the numbers after it, each once. */
export const ROOT_PARTITION_ID: PartitionId = partitionId(1)

/** What a guest on the bus needs, and no more. */
export const DEFAULT_CHILD_PRIVILEGES: PrivilegeMask = privilegeMask([
  HvPrivilege.ACCESS_PARTITION_REFERENCE_COUNTER,
  HvPrivilege.ACCESS_SYNIC_REGS,
  HvPrivilege.ACCESS_INTR_CTRL_REGS,
  HvPrivilege.ACCESS_HYPERCALL_MSRS,
  HvPrivilege.ACCESS_VP_INDEX,
  HvPrivilege.ACCESS_PARTITION_ID,
  HvPrivilege.POST_MESSAGES,
  HvPrivilege.SIGNAL_EVENTS,
])

export interface HypervisorOptions {
  readonly clock: Clock
  /** Child partitions at one time, at least 1. */
  readonly maxPartitions?: number
}

/** A new partition, or the status that a hypercall would answer. */
export type CreatePartitionResult =
  | { readonly ok: true; readonly partition: Partition }
  | { readonly ok: false; readonly status: HvStatus }

/** A VP among all VPs, for the pass. */
interface PolledVp {
  readonly partition: Partition
  readonly vp: RootVp
}

export class Hypervisor {
  readonly #clock: Clock
  readonly #maxPartitions: number
  readonly #partitions: Map<PartitionId, Partition> = new Map()
  readonly #ports: Map<string, Port> = new Map()
  /** All VPs. Replaced, never changed, so that a pass may delete partitions. */
  #polled: readonly PolledVp[] = []
  #cursor = 0
  #lastId: number = ROOT_PARTITION_ID
  #passes = 0

  constructor(options: HypervisorOptions) {
    this.#clock = options.clock
    this.#maxPartitions = options.maxPartitions ?? PARTITIONS_MAX_DEFAULT
  }

  /**
   * A partition with its VPs, ready for ports. INVALID_PARAMETER (VP count, doorbells, or the privileges of a root partition),
   * INSUFFICIENT_MEMORY (as many as there may be).
   */
  createPartition(options: PartitionOptions): CreatePartitionResult {
    const privileges = options.privileges ?? DEFAULT_CHILD_PRIVILEGES
    const { vpCount } = options
    if (
      !Number.isInteger(vpCount) ||
      vpCount < 1 ||
      vpCount > VPS_MAX ||
      options.wakeVp.length !== vpCount
    ) {
      return { ok: false, status: HvStatus.INVALID_PARAMETER }
    }
    // With both, Linux takes itself for the root partition.
    if (
      hasPrivilege(privileges, HvPrivilege.CREATE_PARTITIONS) &&
      hasPrivilege(privileges, HvPrivilege.CPU_MANAGEMENT)
    ) {
      return { ok: false, status: HvStatus.INVALID_PARAMETER }
    }
    if (this.#partitions.size >= this.#maxPartitions) {
      return { ok: false, status: HvStatus.INSUFFICIENT_MEMORY }
    }
    this.#lastId += 1
    const partition = new Partition(
      partitionId(this.#lastId),
      options,
      privileges,
      this.#clock.now100ns,
    )
    this.#partitions.set(partition.id, partition)
    this.#polled = [...this.#polled, ...partition.vps.map((vp) => ({ partition, vp }))]
    return { ok: true, partition }
  }

  /** The partition with its ports and connections. Its id is never given again. INVALID_PARTITION_ID. */
  deletePartition(id: PartitionId): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    partition.alive = false
    partition.disconnectAll()
    for (const port of this.#ports.values()) {
      if (port.identity.owner === id || port.identity.connectionPartition === id) {
        this.deletePort(port.identity.owner, port.identity.portId)
      }
    }
    this.#partitions.delete(id)
    this.#polled = this.#polled.filter((polled) => polled.partition !== partition)
    return HvStatus.SUCCESS
  }

  partition(id: PartitionId): Partition | undefined {
    return this.#partitions.get(id)
  }

  /**
   * INVALID_PARTITION_ID, INVALID_PORT_ID (in use), INVALID_PARAMETER (the target's VP or SINT), INSUFFICIENT_MEMORY (the
   * connecting partition has as many message ports as it may).
   */
  createMessagePort(options: MessagePortOptions): HvStatus {
    const refused = this.#refusePort(
      options.owner,
      options.portId,
      options.connectionPartition,
      options.target,
    )
    if (refused !== HvStatus.SUCCESS) return refused
    const connecting = this.#partitions.get(options.connectionPartition)!
    const queue = connecting.buffers.findFree()
    if (queue < 0) return HvStatus.INSUFFICIENT_MEMORY
    const { target } = options
    const handler = isSintTarget(target)
      ? this.#sintMessages(options.owner, options.portId, target)
      : target
    const port: MessagePort = { kind: 'message', identity: options, handler, queue }
    connecting.buffers.attach(port)
    this.#ports.set(portKey(options.owner, options.portId), port)
    return HvStatus.SUCCESS
  }

  /** As createMessagePort; INVALID_PARAMETER also for the flag count, or flags past the SINT's 2048. */
  createEventPort(options: EventPortOptions): HvStatus {
    const refused = this.#refusePort(
      options.owner,
      options.portId,
      options.connectionPartition,
      options.target,
    )
    if (refused !== HvStatus.SUCCESS) return refused
    const { target, flagCount } = options
    const baseFlag = isSintTarget(target) ? target.baseFlag : 0
    if (
      !Number.isInteger(flagCount) ||
      flagCount < 1 ||
      baseFlag < 0 ||
      flagCount > EVENT_FLAGS_PER_SINT - baseFlag
    ) {
      return HvStatus.INVALID_PARAMETER
    }
    const handler = isSintTarget(target) ? this.#sintSignals(options.owner, target) : target
    const port: EventPort = { kind: 'event', identity: options, handler, flagCount }
    this.#ports.set(portKey(options.owner, options.portId), port)
    return HvStatus.SUCCESS
  }

  /** Its connections stay and answer INVALID_PORT_ID. INVALID_PORT_ID when there is none. */
  deletePort(owner: PartitionId, portId: PortId): HvStatus {
    const port = this.#ports.get(portKey(owner, portId))
    if (port === undefined) return HvStatus.INVALID_PORT_ID
    this.#ports.delete(portKey(owner, portId))
    this.#partitions.get(port.identity.connectionPartition)?.portDeleted(port)
    return HvStatus.SUCCESS
  }

  /**
   * Gives `child` a handle of a port that was created for it. INVALID_PARTITION_ID, INVALID_PORT_ID (none, or not for this
   * partition), INVALID_CONNECTION_ID (in use), INSUFFICIENT_MEMORY (no event slots or table rows left).
   */
  connectPort(
    child: PartitionId,
    connection: ConnectionId,
    portId: PortId,
    owner: PartitionId = ROOT_PARTITION_ID,
  ): HvStatus {
    const partition = this.#partitions.get(child)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    const port = this.#ports.get(portKey(owner, portId))
    if (port === undefined || port.identity.connectionPartition !== child) {
      return HvStatus.INVALID_PORT_ID
    }
    return partition.connect(connection, port)
  }

  /** INVALID_PARTITION_ID, INVALID_CONNECTION_ID. */
  disconnectPort(child: PartitionId, connection: ConnectionId): HvStatus {
    return this.#partitions.get(child)?.disconnect(connection) ?? HvStatus.INVALID_PARTITION_ID
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
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    return partition.postMessageToVp(vp, sint, type, payload, length, ROOT_PARTITION_ID)
  }

  /** Partition.signalEventToVp by id. INVALID_PARTITION_ID. */
  signalEventToVp(id: PartitionId, vp: number, sint: number, flag: number): HvStatus {
    return (
      this.#partitions.get(id)?.signalEventToVp(vp, sint, flag) ?? HvStatus.INVALID_PARTITION_ID
    )
  }

  /** What the thread of a VP gets. Undefined for a partition or VP that is not there. */
  handlesFor(id: PartitionId, vp: number): VpHandles | undefined {
    return this.#partitions.get(id)?.handlesFor(vp)
  }

  /** Asks a VP for a sign of life: its next `deliver` answers. INVALID_PARTITION_ID, INVALID_VP_INDEX. */
  ping(id: PartitionId, vp: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    const target = partition.vps[vp]
    if (target === undefined) return HvStatus.INVALID_VP_INDEX
    target.ping()
    return HvStatus.SUCCESS
  }

  /** True when the VP answered the latest ping, or was never asked. False for one that is not there. */
  answered(id: PartitionId, vp: number): boolean {
    return this.#partitions.get(id)?.vps[vp]?.answered ?? false
  }

  /** Dispatches a VP on logical processor `lp`, 0 or more. The scheduler's. INVALID_PARTITION_ID, INVALID_VP_INDEX. */
  grant(id: PartitionId, vp: number, lp: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    const target = partition.vps[vp]
    if (target === undefined) return HvStatus.INVALID_VP_INDEX
    target.grant(lp)
    return HvStatus.SUCCESS
  }

  /** Takes the grant back. INVALID_PARTITION_ID, INVALID_VP_INDEX. */
  revokeGrant(id: PartitionId, vp: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    const target = partition.vps[vp]
    if (target === undefined) return HvStatus.INVALID_VP_INDEX
    target.revokeGrant()
    return HvStatus.SUCCESS
  }

  /**
   * Takes what VPs announced and calls the ports' handlers; a load for each VP that announced nothing. Messages and signals
   * handed on: about `budget`, more by at most one VP's outbox. Where it stopped the next call goes on.
   */
  poll(budget: number): number {
    const polled = this.#polled
    this.#passes++
    let done = 0
    for (let looked = 0; looked < polled.length && done < budget; looked++) {
      if (this.#cursor >= polled.length) this.#cursor = 0
      const { partition, vp } = polled[this.#cursor]!
      this.#cursor++
      if (vp.hasOutbox) done += partition.drain(vp)
      if (partition.buffers.isStalled && vp.index === 0) done += partition.buffers.retry()
    }
    return done
  }

  /** Before the root sleeps: true when there is something to take after all. */
  arm(): boolean {
    return this.#polled.some(
      ({ partition, vp }) => vp.hasOutbox || (vp.index === 0 && partition.buffers.canResume),
    )
  }

  /** After the root slept. A VP rings only for its first announcement, so there is nothing to turn off. */
  disarm(): void {}

  /** Nothing of the authority is due at a time of its own. */
  nextDeadlineMs(): number {
    return Number.POSITIVE_INFINITY
  }

  /** Plain data about everything. */
  inspect(): {
    readonly passes: number
    readonly ports: number
    readonly partitions: readonly PartitionInspection[]
  } {
    return {
      passes: this.#passes,
      ports: this.#ports.size,
      partitions: [...this.#partitions.values()].map((partition) => partition.inspect()),
    }
  }

  #refusePort(
    owner: PartitionId,
    portId: PortId,
    connecting: PartitionId,
    target: object,
  ): HvStatus {
    if (!this.#partitions.has(connecting)) return HvStatus.INVALID_PARTITION_ID
    const owning = this.#partitions.get(owner)
    if (owner !== ROOT_PARTITION_ID && owning === undefined) return HvStatus.INVALID_PARTITION_ID
    if (this.#ports.has(portKey(owner, portId))) return HvStatus.INVALID_PORT_ID
    if (!isSintTarget(target)) return HvStatus.SUCCESS
    // The root has no VP of its own here: what it owns arrives at handlers.
    if (owning === undefined || owning.vps[target.vp] === undefined) {
      return HvStatus.INVALID_PARAMETER
    }
    return target.sint >= 0 && target.sint < SINT_COUNT
      ? HvStatus.SUCCESS
      : HvStatus.INVALID_PARAMETER
  }

  /** A message port of a child: what arrives goes on to a SINT of one of its VPs. */
  #sintMessages(owner: PartitionId, portId: PortId, target: SintTarget): MessageHandler {
    const vp = this.#partitions.get(owner)!.vps[target.vp]!
    return {
      canReceive: () => vp.hasRoom(target.sint),
      receiveMessage(type, payload, length) {
        // A SINT that is masked meanwhile loses the message, as the TLFS has it.
        vp.postMessage(target.sint, type, payload, length, portId)
      },
    }
  }

  #sintSignals(owner: PartitionId, target: SintFlagTarget): SignalHandler {
    const vp = this.#partitions.get(owner)!.vps[target.vp]!
    return {
      receiveSignal(flag) {
        vp.signalEvent(target.sint, target.baseFlag + flag)
      },
    }
  }
}
