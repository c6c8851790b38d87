// A partition in one step, for a root that has no call library of its own: examples, tests, a hypervisor by itself. Every step is
// a hypercall of the root's VP, as a host makes them (@guestyard/root-partition has the library and the services that do).

import { SLAT_CHUNK_PAGES } from '@guestyard/guestmem'
import {
  CreateVpInput,
  HvMapFlags,
  HvPartitionProperty,
  HvRegister,
  HvStatus,
  HypercallCode,
  MapGpaPagesInput,
  PAGE_SIZE,
  RegisterAssoc,
  SetPartitionPropertyInput,
  VpRegistersInput,
  hypercallInputHigh,
  hypercallInputLow,
} from '@guestyard/hvdef'
import type { PrivilegeMask } from '@guestyard/hvdef'

import type { HostMemoryPool } from './host-memory.ts'
import { HYPERCALL_CONTINUED } from './hypercalls.ts'
import type { PartitionTable } from './partition-table.ts'
import type { PartitionBacking } from './partition-backing.ts'
import type { Partition } from './partition.ts'
import { PARTITION_PAGES, VP_PAGES } from './root-calls/partition-calls.ts'
import type { RootProcessor } from './root-processor.ts'

/** What `Launch` needs of the hypervisor. */
export interface LaunchPad {
  readonly root: RootProcessor
  readonly partitions: PartitionTable
  readonly hostMemory: HostMemoryPool
  back(partition: number, backing: PartitionBacking): HvStatus
  grow(partition: number, pageCount: number): HvStatus
  takeBack(partition: number, ramPages: number): void
}

const C = HypercallCode
const INPUT_GPA = PAGE_SIZE
const OUTPUT_GPA: number = 2 * PAGE_SIZE
const MAP_FLAGS: number =
  HvMapFlags.READ | HvMapFlags.WRITE | HvMapFlags.KERNEL_EXECUTE | HvMapFlags.USER_EXECUTE
const LARGE_MAP_FLAGS: number = (MAP_FLAGS | HvMapFlags.LARGE_PAGE) >>> 0
/** Pages of one call's list: 8 bytes each, after a header of at most 24. */
const LIST_MAX = 500

/** Makes and ends partitions by the root's calls. */
export class Launch {
  readonly #pad: LaunchPad

  constructor(pad: LaunchPad) {
    this.#pad = pad
  }

  /** An active partition whose VPs run, with all of its RAM mapped at its place; or the first status that was not SUCCESS. */
  start(
    vpCount: number,
    backing: PartitionBacking,
    privileges: PrivilegeMask | undefined,
  ): Partition | HvStatus {
    const created = this.#call(C.CREATE_PARTITION, 0)
    if (created !== HvStatus.SUCCESS) return created
    const id = this.#pad.root.memory.view.getUint32(OUTPUT_GPA, true)
    const status = this.#build(id, vpCount, backing, privileges)
    if (status === HvStatus.SUCCESS) return this.#pad.partitions.get(id)!
    this.end(id)
    return status
  }

  /** More RAM for a partition that may be running, mapped at its own place. Statuses as `Hypervisor.grow`. */
  addRam(id: number, pageCount: number): HvStatus {
    const first = this.#pad.partitions.get(id)?.ramPages ?? 0
    const grown = this.#pad.grow(id, pageCount)
    if (grown !== HvStatus.SUCCESS) return grown
    const mapped = this.#mapRam(id, first)
    if (mapped !== HvStatus.SUCCESS) this.#pad.takeBack(id, first)
    return mapped
  }

  /** Finalizes, withdraws, deletes. INVALID_PARTITION_ID. */
  end(id: number): HvStatus {
    const finalized = this.#onPartition(C.FINALIZE_PARTITION, id)
    if (finalized !== HvStatus.SUCCESS) return finalized
    this.#withdrawAll(id)
    return this.#onPartition(C.DELETE_PARTITION, id)
  }

  #build(
    id: number,
    vpCount: number,
    backing: PartitionBacking,
    privileges: PrivilegeMask | undefined,
  ): HvStatus {
    let status = this.#deposit(id, PARTITION_PAGES + vpCount * VP_PAGES)
    if (status === HvStatus.SUCCESS && privileges !== undefined) {
      status = this.#setPrivileges(id, privileges)
    }
    if (status === HvStatus.SUCCESS) status = this.#onPartition(C.INITIALIZE_PARTITION, id)
    if (status === HvStatus.SUCCESS) status = this.#pad.back(id, backing)
    if (status === HvStatus.SUCCESS) status = this.#mapRam(id, 0)
    for (let vp = 0; vp < vpCount && status === HvStatus.SUCCESS; vp++) {
      status = this.#createVp(id, vp)
    }
    return status
  }

  #setPrivileges(id: number, privileges: PrivilegeMask): HvStatus {
    SetPartitionPropertyInput.encode(this.#view, INPUT_GPA, {
      partitionId: BigInt(id),
      propertyCode: HvPartitionProperty.PRIVILEGE_FLAGS,
      propertyValue: (BigInt(privileges.high) << 32n) | BigInt(privileges.low),
    })
    return this.#call(C.SET_PARTITION_PROPERTY, 0)
  }

  #deposit(id: number, count: number): HvStatus {
    const pages = this.#pad.hostMemory.take(count)
    if (pages === undefined) return HvStatus.INSUFFICIENT_MEMORY
    for (let at = 0; at < count; at += LIST_MAX) {
      const list = pages.slice(at, at + LIST_MAX)
      this.#view.setBigUint64(INPUT_GPA, BigInt(id), true)
      this.#putPages(8, list)
      const status = this.#call(C.DEPOSIT_MEMORY, list.length)
      if (status !== HvStatus.SUCCESS) return status
    }
    return HvStatus.SUCCESS
  }

  #withdrawAll(id: number): void {
    let status: number = HvStatus.SUCCESS
    while (status === HvStatus.SUCCESS) {
      this.#view.setBigUint64(INPUT_GPA, BigInt(id), true)
      this.#view.setBigUint64(INPUT_GPA + 8, 0n, true)
      status = this.#call(C.WITHDRAW_MEMORY, LIST_MAX)
      const done = this.#pad.root.repsCompleted
      for (let page = 0; page < done; page++) {
        this.#pad.hostMemory.giveBack(this.#view.getUint32(OUTPUT_GPA + page * 8, true))
      }
    }
  }

  /** RAM that the partition has been given, from page `fromRamPage` on. */
  #mapRam(id: number, fromRamPage: number): HvStatus {
    const end = this.#pad.partitions.get(id)?.ramPages ?? 0
    for (const extent of this.#pad.hostMemory.ramOf(id, fromRamPage, end)) {
      for (let done = 0; done < extent.pageCount;) {
        const left = extent.pageCount - done
        // A large page where one fits: an entry of the SLAT for 512 of them, and one element of the call.
        const isLarge =
          left >= SLAT_CHUNK_PAGES &&
          (extent.ramPage + done) % SLAT_CHUNK_PAGES === 0 &&
          (extent.hostPage + done) % SLAT_CHUNK_PAGES === 0
        const step = isLarge ? SLAT_CHUNK_PAGES : 1
        const count = Math.min(LIST_MAX, Math.floor(left / step))
        MapGpaPagesInput.encode(this.#view, INPUT_GPA, {
          targetPartitionId: BigInt(id),
          targetGpaBase: BigInt(extent.ramPage + done),
          mapFlags: isLarge ? LARGE_MAP_FLAGS : MAP_FLAGS,
        })
        this.#putPages(
          MapGpaPagesInput.size,
          Array.from({ length: count }, (_, page) => extent.hostPage + done + page * step),
        )
        const status = this.#call(C.MAP_GPA_PAGES, count)
        if (status !== HvStatus.SUCCESS) return status
        done += count * step
      }
    }
    return HvStatus.SUCCESS
  }

  #createVp(id: number, vp: number): HvStatus {
    CreateVpInput.encode(this.#view, INPUT_GPA, {
      partitionId: BigInt(id),
      vpIndex: vp,
      subnodeType: 0,
      subnodeId: 0n,
      proximityDomain: 0n,
      flags: 0n,
    })
    const created = this.#call(C.CREATE_VP, 0)
    if (created !== HvStatus.SUCCESS) return created
    VpRegistersInput.encode(this.#view, INPUT_GPA, {
      partitionId: BigInt(id),
      vpIndex: vp,
      targetVtl: 0,
    })
    RegisterAssoc.encode(this.#view, INPUT_GPA + VpRegistersInput.size, {
      name: HvRegister.EXPLICIT_SUSPEND,
      value: new Uint8Array(16),
    })
    return this.#call(C.SET_VP_REGISTERS, 1)
  }

  get #view(): DataView {
    return this.#pad.root.memory.view
  }

  #putPages(at: number, pages: readonly number[]): void {
    pages.forEach((page, index) =>
      this.#view.setBigUint64(INPUT_GPA + at + index * 8, BigInt(page), true),
    )
  }

  #onPartition(code: number, id: number): HvStatus {
    this.#view.setBigUint64(INPUT_GPA, BigInt.asUintN(64, BigInt(id)), true)
    return this.#call(code, 0)
  }

  #call(code: number, reps: number): HvStatus {
    const { root } = this.#pad
    let high = hypercallInputHigh(reps, 0)
    let outcome = HYPERCALL_CONTINUED as number
    while (outcome === HYPERCALL_CONTINUED) {
      outcome = root.hypercall(hypercallInputLow(code, false), high, INPUT_GPA, 0, OUTPUT_GPA, 0)
      high = root.continuedHigh
    }
    return outcome as HvStatus
  }
}
