// The machine's pages: those that partitions hold for the hypervisor's own needs, and those that are a child's RAM (TLFS, "GPA
// Spaces", memory pools).

import { SLAT_CHUNK_PAGES, SLAT_RIGHTS_ALL } from '@guestyard/guestmem'
import { HvMapFlags, HvPrivilege, HvStatus, UNMAP_LARGE_PAGE } from '@guestyard/hvdef'

import type { HostMemoryPool, MemoryBalance } from '../host-memory.ts'
import { repCall, simpleCall } from '../hypercalls.ts'
import type { HypercallRow } from '../hypercalls.ts'
import { ROOT_PARTITION_ID } from '../partition-table.ts'
import type { PartitionTable } from '../partition-table.ts'
import type { Partition } from '../partition.ts'
import { partitionAt, putU64, u64At } from './call-arguments.ts'

/** Page numbers are of 4 KiB pages of the machine and of GPA space; any number may be given. */
export interface MemoryCallTargets {
  /** INVALID_PARTITION_ID, INVALID_PARTITION_STATE (finalized), INVALID_PARAMETER (not a page of the root's). */
  deposit(partition: number, hostPage: number): HvStatus
  /** The page is in `withdrawn`. INVALID_PARTITION_ID, NO_RESOURCES (none is available). */
  withdraw(partition: number): HvStatus
  readonly withdrawn: number
  /** Undefined: INVALID_PARTITION_ID. */
  balance(partition: number): MemoryBalance | undefined
  /**
   * INVALID_PARTITION_ID, INVALID_PARTITION_STATE (unless active), ACCESS_DENIED (a page that is not this child's RAM),
   * INVALID_PARAMETER (flags, alignment of a large page, outside GPA space), INSUFFICIENT_MEMORY.
   */
  map(partition: number, gpaPage: number, hostPage: number, flags: number): HvStatus
  unmap(partition: number, gpaPage: number, flags: number): HvStatus
}

/** Shift from large pages to pages. */
const LARGE_SHIFT: number = Math.log2(SLAT_CHUNK_PAGES)
const MAP_FLAGS: number =
  SLAT_RIGHTS_ALL | HvMapFlags.NO_ACCESS | HvMapFlags.UNCACHED | HvMapFlags.LARGE_PAGE

export class MemoryCalls implements MemoryCallTargets {
  withdrawn = 0
  readonly #partitions: PartitionTable
  readonly #memory: HostMemoryPool

  constructor(partitions: PartitionTable, memory: HostMemoryPool) {
    this.#partitions = partitions
    this.#memory = memory
  }

  deposit(id: number, hostPage: number): HvStatus {
    if (id !== ROOT_PARTITION_ID) {
      const partition = this.#partitions.get(id)
      if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
      if (partition.state === 'finalized') return HvStatus.INVALID_PARTITION_STATE
    }
    return this.#memory.deposit(id, hostPage)
  }

  withdraw(id: number): HvStatus {
    if (id !== ROOT_PARTITION_ID && this.#partitions.get(id) === undefined) {
      return HvStatus.INVALID_PARTITION_ID
    }
    const page = this.#memory.withdraw(id)
    if (page < 0) return HvStatus.NO_RESOURCES
    this.withdrawn = page
    return HvStatus.SUCCESS
  }

  balance(id: number): MemoryBalance | undefined {
    if (id !== ROOT_PARTITION_ID && this.#partitions.get(id) === undefined) return undefined
    return this.#memory.balance(id)
  }

  map(id: number, gpaPage: number, hostPage: number, flags: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return unmappable(id)
    if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE
    if ((flags & ~MAP_FLAGS) !== 0) return HvStatus.INVALID_PARAMETER
    const count = (flags & HvMapFlags.LARGE_PAGE) === 0 ? 1 : SLAT_CHUNK_PAGES
    if (gpaPage % count !== 0 || hostPage % count !== 0) return HvStatus.INVALID_PARAMETER
    const ramPage = this.#ramPages(partition, hostPage, count)
    if (ramPage < 0) return HvStatus.ACCESS_DENIED
    const rights = (flags & HvMapFlags.NO_ACCESS) === 0 ? flags & SLAT_RIGHTS_ALL : 0
    return partition.slat.mapRam(gpaPage, ramPage, count, rights)
  }

  unmap(id: number, gpaPage: number, flags: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return unmappable(id)
    if (partition.state !== 'active' || !partition.isBacked) {
      return HvStatus.INVALID_PARTITION_STATE
    }
    if ((flags & ~UNMAP_LARGE_PAGE) !== 0) return HvStatus.INVALID_PARAMETER
    const count = flags === 0 ? 1 : SLAT_CHUNK_PAGES
    if (gpaPage % count !== 0) return HvStatus.INVALID_PARAMETER
    return partition.slat.unmap(gpaPage, count)
  }

  /** First of `count` pages of RAM that as many machine pages are, or -1 when some of them are not this child's. */
  #ramPages(partition: Partition, hostPage: number, count: number): number {
    if (!partition.isBacked) return -1
    const first = this.#memory.ramPageOf(partition.id, hostPage)
    const last = this.#memory.ramPageOf(partition.id, hostPage + count - 1)
    // Pages that are kept for it and that it has not been given are not its RAM.
    const isGiven = last < partition.ramPages
    return first >= 0 && last === first + count - 1 && isGiven ? first : -1
  }
}

/** The root's own GPA space is not to be changed by calls. */
function unmappable(id: number): HvStatus {
  return id === ROOT_PARTITION_ID ? HvStatus.ACCESS_DENIED : HvStatus.INVALID_PARTITION_ID
}

interface Capabilities {
  readonly memory: MemoryCallTargets
}

const P = HvPrivilege

/** Rows of this family. */
export const MEMORY_CALLS: readonly HypercallRow<Capabilities>[] = [
  {
    ...repCall('HvCallDepositMemory', 8),
    privilege: P.ACCESS_MEMORY_POOL,
    invoke: ({ memory }, { input, elementWord }) =>
      memory.deposit(partitionAt(input, 0), u64At(input, elementWord)),
  },
  {
    ...repCall('HvCallWithdrawMemory', 0, 8),
    privilege: P.ACCESS_MEMORY_POOL,
    invoke({ memory }, { input, output, outputWord }) {
      const status = memory.withdraw(partitionAt(input, 0))
      if (status === HvStatus.SUCCESS) putU64(output, outputWord, memory.withdrawn)
      return status
    },
  },
  {
    ...simpleCall('HvCallGetMemoryBalance', 16),
    privilege: P.ACCESS_MEMORY_POOL,
    invoke({ memory }, { input, output }) {
      const balance = memory.balance(partitionAt(input, 0))
      if (balance === undefined) return HvStatus.INVALID_PARTITION_ID
      putU64(output, 0, balance.available)
      putU64(output, 2, balance.inUse)
      return HvStatus.SUCCESS
    },
  },
  {
    ...repCall('HvCallMapGpaPages', 8),
    privilege: P.CREATE_PARTITIONS,
    invoke({ memory }, { input, element, elementWord }) {
      const flags = input[4]!
      const hostPage = u64At(input, elementWord)
      return memory.map(
        partitionAt(input, 0),
        gpaPageOf(input, element, flags < 0),
        hostPage,
        flags,
      )
    },
  },
  {
    ...repCall('HvCallUnmapGpaPages', 0),
    privilege: P.CREATE_PARTITIONS,
    invoke({ memory }, { input, element }) {
      const flags = input[4]!
      const isLarge = (flags & UNMAP_LARGE_PAGE) !== 0
      return memory.unmap(partitionAt(input, 0), gpaPageOf(input, element, isLarge), flags)
    },
  },
]

/** GPA page of an element: elements of large pages are 512 pages apart. */
function gpaPageOf(input: Int32Array, element: number, isLarge: boolean): number {
  return u64At(input, 2) + (isLarge ? element << LARGE_SHIFT : element)
}
