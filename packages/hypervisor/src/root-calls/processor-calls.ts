// Virtual processors: created, deleted, found by their APIC id, and their view of memory (TLFS, "Virtual Processors").

import { SlatKind, SlatRight, slatAllows, slatKind } from '@guestyard/guestmem'
import {
  HvPrivilege,
  HvStatus,
  HvTranslateResult,
  TRANSLATE_VALIDATE_READ,
  TRANSLATE_VALIDATE_WRITE,
} from '@guestyard/hvdef'

import type { HostMemoryPool } from '../host-memory.ts'
import { repCall, simpleCall } from '../hypercalls.ts'
import type { HypercallRow } from '../hypercalls.ts'
import { ROOT_PARTITION_ID } from '../partition-table.ts'
import type { PartitionTable } from '../partition-table.ts'
import { VPS_MAX } from '../partition-page.ts'
import { partitionAt, putU64, u64At } from './call-arguments.ts'
import { VP_PAGES } from './partition-calls.ts'

/** Any numbers may be given. A target that is unknown: INVALID_PARTITION_ID; a VP: INVALID_VP_INDEX. */
export interface ProcessorCallTargets {
  /** INVALID_PARTITION_STATE (unless active and backed), OBJECT_IN_USE (there is such a VP), INSUFFICIENT_MEMORY. */
  createVp(partition: number, vp: number): HvStatus
  deleteVp(partition: number, vp: number): HvStatus
  /** A VP's APIC id is its index. INVALID_PARAMETER: no VP has it. */
  vpOfApicId(partition: number, apicId: number): HvStatus
  /** What is at a page, by HvTranslateResult in `translateResult`, and its number in `translatedPage`. */
  translate(partition: number, vp: number, page: number, flags: number): HvStatus
  readonly translateResult: number
  readonly translatedPage: number
}

export class ProcessorCalls implements ProcessorCallTargets {
  translateResult = 0
  translatedPage = 0
  readonly #partitions: PartitionTable
  readonly #memory: HostMemoryPool

  constructor(partitions: PartitionTable, memory: HostMemoryPool) {
    this.#partitions = partitions
    this.#memory = memory
  }

  createVp(id: number, vp: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    if (partition.state !== 'active' || !partition.isBacked) {
      return HvStatus.INVALID_PARTITION_STATE
    }
    if (vp >= VPS_MAX) return HvStatus.INVALID_VP_INDEX
    if (partition.vps[vp] !== undefined) return HvStatus.OBJECT_IN_USE
    const charged = this.#memory.charge(id, VP_PAGES)
    if (charged !== HvStatus.SUCCESS) return charged
    partition.createVp(vp)
    this.#partitions.vpsChanged()
    return HvStatus.SUCCESS
  }

  deleteVp(id: number, vp: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    if (partition.vps[vp] === undefined) return HvStatus.INVALID_VP_INDEX
    partition.deleteVp(vp)
    this.#partitions.vpsChanged()
    this.#memory.refund(id, VP_PAGES)
    return HvStatus.SUCCESS
  }

  vpOfApicId(id: number, apicId: number): HvStatus {
    if (id === ROOT_PARTITION_ID) {
      return apicId === 0 ? HvStatus.SUCCESS : HvStatus.INVALID_PARAMETER
    }
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    return partition.vps[apicId] === undefined ? HvStatus.INVALID_PARAMETER : HvStatus.SUCCESS
  }

  /** The hypervisor knows of no paging of the guest's: a GVA is a GPA. */
  translate(id: number, vp: number, page: number, flags: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    if (partition.vps[vp] === undefined) return HvStatus.INVALID_VP_INDEX
    const entry = partition.slat.lookUp(page)
    this.translatedPage = page
    if (slatKind(entry) !== SlatKind.RAM) this.translateResult = HvTranslateResult.GPA_UNMAPPED
    else if ((flags & TRANSLATE_VALIDATE_READ) !== 0 && !slatAllows(entry, SlatRight.READ)) {
      this.translateResult = HvTranslateResult.GPA_NO_READ_ACCESS
    } else if ((flags & TRANSLATE_VALIDATE_WRITE) !== 0 && !slatAllows(entry, SlatRight.WRITE)) {
      this.translateResult = HvTranslateResult.GPA_NO_WRITE_ACCESS
    } else this.translateResult = HvTranslateResult.SUCCESS
    return HvStatus.SUCCESS
  }
}

interface Capabilities {
  readonly processors: ProcessorCallTargets
}

const P = HvPrivilege

/** Rows of this family. */
export const PROCESSOR_CALLS: readonly HypercallRow<Capabilities>[] = [
  {
    ...simpleCall('HvCallCreateVp'),
    privilege: P.CREATE_PARTITIONS,
    invoke: ({ processors }, { input }) =>
      processors.createVp(partitionAt(input, 0), input[2]! >>> 0),
  },
  {
    ...simpleCall('HvCallDeleteVp'),
    privilege: P.CREATE_PARTITIONS,
    invoke: ({ processors }, { input }) =>
      processors.deleteVp(partitionAt(input, 0), input[2]! >>> 0),
  },
  {
    ...repCall('HvCallGetVpIndexFromApicId', 4, 4),
    privilege: null,
    invoke({ processors }, { input, output, elementWord, outputWord }) {
      if ((input[2]! & 0xff) !== 0) return HvStatus.INVALID_PARAMETER
      const apicId = input[elementWord]! >>> 0
      output[outputWord] = apicId
      return processors.vpOfApicId(partitionAt(input, 0), apicId)
    },
  },
  {
    ...simpleCall('HvCallTranslateVirtualAddress', 16),
    privilege: null,
    invoke({ processors }, { input, output }) {
      const status = processors.translate(
        partitionAt(input, 0),
        input[2]! >>> 0,
        u64At(input, 6),
        input[4]!,
      )
      output[0] = processors.translateResult
      output[1] = 0
      putU64(output, 2, processors.translatedPage)
      return status
    },
  },
]
