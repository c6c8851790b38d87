// HOT
// One logical unit as a queue of block requests: of a SCSI controller, or of an IDE channel, whose driver takes the same commands.

import type { GuestMemory } from '@guestyard/guestmem'
import { PAGE_SIZE } from '@guestyard/hvdef'
import {
  StorOutcome,
  StorRequest,
  UNMAP_LIST_BYTES,
  encodeUnmapList,
  failureText,
  readBlocks,
  synchronizeCache,
  unmapBlocks,
  writeBlocks,
  writeZeroes,
  type StorUnit,
  type StorVsc,
} from '@guestyard/storage/vsc'

import type { BlockQueue } from '../api/disks.ts'

/** Script guests have one VP, and use the primary channel. */
const LANE = 0
/** Of units that say no limit: what a command can count. */
const BLOCKS_MAX = 0xffff_ffff

/** What takes the requests. */
export type UnitDriver = Pick<StorVsc, 'submit' | 'flush'>

export class ScsiQueue implements BlockQueue {
  readonly maxDiscardBlocks: number
  readonly maxWriteZeroesBlocks: number
  readonly #vsc: UnitDriver
  readonly #memory: GuestMemory
  readonly #path: number
  readonly #target: number
  readonly #lun: number
  readonly #wake: () => void

  /** `wake`: there is work for the kernel that no doorbell announces. */
  constructor(vsc: UnitDriver, unit: StorUnit, memory: GuestMemory, wake: () => void) {
    this.#vsc = vsc
    this.#memory = memory
    this.#path = unit.path
    this.#target = unit.target
    this.#lun = unit.lun
    this.#wake = wake
    this.maxDiscardBlocks = unit.maxUnmapBlocks
    this.maxWriteZeroesBlocks = unit.maxWriteZeroesBlocks || BLOCKS_MAX
  }

  request(maxPages: number, done: (request: StorRequest) => void): StorRequest {
    const request = new StorRequest(maxPages, done)
    request.path = this.#path
    request.target = this.#target
    request.lun = this.#lun
    return request
  }

  read(request: StorRequest, block: number, count: number): boolean {
    readBlocks(request, block, count)
    return this.#vsc.submit(request, LANE)
  }

  write(request: StorRequest, block: number, count: number, durable: boolean): boolean {
    writeBlocks(request, block, count, durable)
    return this.#vsc.submit(request, LANE)
  }

  flush(request: StorRequest): boolean {
    synchronizeCache(request)
    return this.#vsc.submit(request, LANE)
  }

  discard(request: StorRequest, block: number, count: number): boolean {
    const gpa = request.pfns[0]! * PAGE_SIZE
    encodeUnmapList(this.#memory.view, gpa, block, count)
    request.offsetBytes = 0
    request.lengthBytes = UNMAP_LIST_BYTES
    unmapBlocks(request)
    return this.#vsc.submit(request, LANE)
  }

  writeZeroes(request: StorRequest, block: number, count: number): boolean {
    writeZeroes(request, block, count)
    return this.#vsc.submit(request, LANE)
  }

  problem(request: StorRequest): string | null {
    return request.outcome === StorOutcome.OK ? null : failureText(request)
  }

  publish(): void {
    this.#vsc.flush(LANE)
    this.#wake()
  }
}
