// The life of partitions and their properties (TLFS, "Partition Management").
//
//   created ──Initialize──▶ active ──Finalize──▶ finalized ──Delete──▶ gone
//      └───────────────────Finalize──────────────────▲
//
// Each step that takes pages of the partition's own pool is INSUFFICIENT_MEMORY until enough were deposited.

import { HvPrivilege, HvPartitionProperty, HvStatus, PAGE_SIZE } from '@guestyard/hvdef'

import type { HostMemoryPool } from '../host-memory.ts'
import { simpleCall } from '../hypercalls.ts'
import type { HypercallRow } from '../hypercalls.ts'
import { PARTITION_PAGE_BYTES } from '../partition-page.ts'
import type { PropertyValue } from '../partition-properties.ts'
import { ROOT_PARTITION_ID } from '../partition-table.ts'
import type { PartitionTable } from '../partition-table.ts'
import type { PortTable } from '../port-table.ts'
import { VP_PAGE_BYTES } from '../vp-page.ts'
import { partitionAt, putU64, u64At } from './call-arguments.ts'

/** Pages that the hypervisor takes of a partition's pool when it is initialised. */
export const PARTITION_PAGES: number = Math.ceil(PARTITION_PAGE_BYTES / PAGE_SIZE)
/** And for each VP. */
export const VP_PAGES: number = Math.ceil(VP_PAGE_BYTES / PAGE_SIZE)

/** HvCallCreatePartition to HvCallGetNextChildPartition. A target of 0 or one that is unknown: INVALID_PARTITION_ID. */
export interface PartitionLife {
  /** The new partition's id is in `created`. NO_RESOURCES: there are as many as there may be. */
  createPartition(): HvStatus
  readonly created: number
  /** INVALID_PARTITION_STATE unless it is new; INSUFFICIENT_MEMORY. */
  initialize(partition: number): HvStatus
  /** Its VPs, ports, connections and mappings go. INVALID_PARTITION_STATE when they have. */
  finalize(partition: number): HvStatus
  /** INVALID_PARTITION_STATE unless it was finalized; OBJECT_IN_USE while it holds pages that were deposited. */
  delete(partition: number): HvStatus
  /** In `nextChild`: 0 at the end. ACCESS_DENIED for another parent than the caller. */
  next(parent: number, previous: number): HvStatus
  readonly nextChild: number
  readProperty(partition: number, code: number, out: PropertyValue): HvStatus
  writeProperty(partition: number, code: number, low: number, high: number): HvStatus
}

export class PartitionCalls implements PartitionLife {
  created = 0
  nextChild = 0
  readonly #partitions: PartitionTable
  readonly #ports: PortTable
  readonly #memory: HostMemoryPool

  constructor(partitions: PartitionTable, ports: PortTable, memory: HostMemoryPool) {
    this.#partitions = partitions
    this.#ports = ports
    this.#memory = memory
  }

  createPartition(): HvStatus {
    const partition = this.#partitions.create()
    if (partition === null) return HvStatus.NO_RESOURCES
    this.created = partition.id
    return HvStatus.SUCCESS
  }

  initialize(id: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return unknown(id)
    if (partition.state !== 'created') return HvStatus.INVALID_PARTITION_STATE
    const charged = this.#memory.charge(id, PARTITION_PAGES)
    if (charged === HvStatus.SUCCESS) partition.state = 'active'
    return charged
  }

  finalize(id: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return unknown(id)
    if (partition.state === 'finalized') return HvStatus.INVALID_PARTITION_STATE
    partition.finalize()
    this.#ports.deletePortsOf(id)
    this.#partitions.vpsChanged()
    this.#memory.refund(id, this.#memory.balance(id).inUse)
    return HvStatus.SUCCESS
  }

  delete(id: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return unknown(id)
    if (partition.state !== 'finalized') return HvStatus.INVALID_PARTITION_STATE
    if (this.#memory.balance(id).available > 0) return HvStatus.OBJECT_IN_USE
    // What was mapped is the root's again.
    this.#memory.release(id)
    this.#partitions.remove(id)
    return HvStatus.SUCCESS
  }

  next(parent: number, previous: number): HvStatus {
    if (parent !== ROOT_PARTITION_ID) {
      return this.#partitions.get(parent) === undefined
        ? HvStatus.INVALID_PARTITION_ID
        : HvStatus.ACCESS_DENIED
    }
    this.nextChild = this.#partitions.next(previous)
    return HvStatus.SUCCESS
  }

  readProperty(id: number, code: number, out: PropertyValue): HvStatus {
    return this.#partitions.get(id)?.properties.read(code, out) ?? unknown(id)
  }

  writeProperty(id: number, code: number, low: number, high: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return unknown(id)
    if (partition.state === 'finalized') return HvStatus.INVALID_PARTITION_STATE
    const { properties } = partition
    const { cpuWeight, cpuCap, cpuReserve } = properties
    const status = properties.write(code, low, high)
    if (status !== HvStatus.SUCCESS) return status
    if (isCpuProperty(code)) {
      const admitted = partition.admitsCpu(
        properties.cpuWeight,
        properties.cpuCap,
        properties.cpuReserve,
      )
      if (admitted !== HvStatus.SUCCESS) {
        Object.assign(properties, { cpuWeight, cpuCap, cpuReserve })
        return admitted
      }
    }
    partition.propertyChanged(code)
    return status
  }
}

function isCpuProperty(code: number): boolean {
  return (
    code === HvPartitionProperty.CPU_WEIGHT ||
    code === HvPartitionProperty.CPU_CAP ||
    code === HvPartitionProperty.CPU_RESERVE
  )
}

/** The root can do to itself what a parent does to a child as little as to a partition that is not there. */
function unknown(id: number): HvStatus {
  return id === ROOT_PARTITION_ID ? HvStatus.ACCESS_DENIED : HvStatus.INVALID_PARTITION_ID
}

interface Capabilities {
  readonly partitions: PartitionLife
}

const P = HvPrivilege
const value: PropertyValue = { low: 0, high: 0 }

/** Rows of this family. */
export const PARTITION_CALLS: readonly HypercallRow<Capabilities>[] = [
  {
    ...simpleCall('HvCallCreatePartition', 8),
    privilege: P.CREATE_PARTITIONS,
    invoke({ partitions }, { output }) {
      const status = partitions.createPartition()
      if (status === HvStatus.SUCCESS) putU64(output, 0, partitions.created)
      return status
    },
  },
  {
    ...simpleCall('HvCallInitializePartition'),
    privilege: P.CREATE_PARTITIONS,
    invoke: ({ partitions }, { input }) => partitions.initialize(partitionAt(input, 0)),
  },
  {
    ...simpleCall('HvCallFinalizePartition'),
    privilege: P.CREATE_PARTITIONS,
    invoke: ({ partitions }, { input }) => partitions.finalize(partitionAt(input, 0)),
  },
  {
    ...simpleCall('HvCallDeletePartition'),
    privilege: P.CREATE_PARTITIONS,
    invoke: ({ partitions }, { input }) => partitions.delete(partitionAt(input, 0)),
  },
  {
    ...simpleCall('HvCallGetPartitionProperty', 8),
    privilege: P.CREATE_PARTITIONS,
    invoke({ partitions }, { input, output }) {
      const status = partitions.readProperty(partitionAt(input, 0), input[2]! >>> 0, value)
      output[0] = value.low
      output[1] = value.high
      return status
    },
  },
  {
    ...simpleCall('HvCallSetPartitionProperty'),
    privilege: P.CREATE_PARTITIONS,
    invoke: ({ partitions }, { input }) =>
      partitions.writeProperty(partitionAt(input, 0), input[2]! >>> 0, input[4]!, input[5]!),
  },
  {
    ...simpleCall('HvCallGetPartitionId', 8),
    privilege: P.ACCESS_PARTITION_ID,
    invoke(_, { output }) {
      putU64(output, 0, ROOT_PARTITION_ID)
      return HvStatus.SUCCESS
    },
  },
  {
    ...simpleCall('HvCallGetNextChildPartition', 8),
    privilege: P.CREATE_PARTITIONS,
    invoke({ partitions }, { input, output }) {
      const status = partitions.next(partitionAt(input, 0), u64At(input, 2))
      putU64(output, 0, partitions.nextChild)
      return status
    },
  },
]
