// What every disk is, whatever its bytes are in: a row of blocks that are read, written, flushed and given up. Devices (the SCSI
// target, the IDE controller) know disks by this contract alone, and every disk passes one suite (`diskContract` in ../testing).

import { ScatterList } from './scatter-list.ts'

export const DiskOperation = {
  READ: 0,
  WRITE: 1,
  /** What was written before is durable when this is done. */
  FLUSH: 2,
  /** The blocks are given up: they read as zeros from now on, if the disk says so (`unmapReadsZeros`). */
  UNMAP: 3,
  /** The blocks read as zeros. No data travels. */
  WRITE_ZEROES: 4,
} as const
export type DiskOperation = (typeof DiskOperation)[keyof typeof DiskOperation]

export const DiskStatus = {
  OK: 0,
  /** Under way: `poll` will set another status. Until then the request and its pieces belong to the disk. */
  PENDING: 1,
  /** Blocks beyond the end. */
  OUT_OF_RANGE: 2,
  /** A write to a disk that is only read. */
  READ_ONLY: 3,
  READ_ERROR: 4,
  WRITE_ERROR: 5,
  /** The host has no room for it. What was there before still is. */
  NO_SPACE: 6,
  /** Given up by `abort` or `close`: some of it may have been done. */
  ABORTED: 7,
  /** The disk can't do that: UNMAP on a disk without it. */
  UNSUPPORTED: 8,
} as const
export type DiskStatus = (typeof DiskStatus)[keyof typeof DiskStatus]

/** One request, of a slot that its owner keeps and fills again and again. One shape, so that disks stay monomorphic. */
export class DiskRequest {
  operation: DiskOperation = DiskOperation.READ
  /** First logical block: an integer below 2^53. */
  block = 0
  /** Logical blocks. 0 is done at once. */
  blockCount = 0
  /** A write that is durable when it is done (forced unit access). */
  durable = false
  /** `blockCount` blocks of bytes, for READ and WRITE; otherwise not looked at. */
  readonly data: ScatterList
  status: DiskStatus = DiskStatus.OK
  /** Links requests in whatever list has them now: the disk's while PENDING. */
  next: DiskRequest | null = null

  /** Room for data in so many pieces. */
  constructor(maxPieces: number) {
    this.data = new ScatterList(maxPieces)
  }
}

/** What a guest is told about a disk. Changes only by `resize` of an image, which devices are told of (`blockCount` alone may change). */
export interface DiskGeometry {
  readonly logicalBlockBytes: 512 | 4096
  /** 4096 with logical blocks of 512 is a "512e" disk. */
  readonly physicalBlockBytes: 512 | 4096
  readonly blockCount: number
  readonly readOnly: boolean
  /** UNMAP is served. */
  readonly canUnmap: boolean
  readonly unmapReadsZeros: boolean
  /** 16 bytes that name the disk on every host: VPD page 0x83 is made from them. */
  readonly uniqueId: Uint8Array
}

/** Bytes of all of a disk's blocks. */
export function diskBytes(disk: Disk): number {
  return disk.geometry.blockCount * disk.geometry.logicalBlockBytes
}

/**
 * A disk. Its thread is its device's. Nothing here waits or throws: a request ends with a status, at once or in a later `poll`.
 * Requests of one disk may end in any order; a flush covers what was OK before it was submitted.
 */
export interface Disk {
  readonly geometry: DiskGeometry
  /** Starts a request whose fields are set, and sets its status. Blocks are checked here. HOT. */
  submit(request: DiskRequest): void
  /** Goes on with what is PENDING, at most about `budget` requests. How many requests got their last status. */
  poll(budget: number): number
  /** The time (of the clock that the disk was given) at which it must be polled though nobody wakes it; Infinity: none. */
  nextDeadlineMs(): number
  /** Gives up what is PENDING where that is possible; the rest ends in later polls. The bytes of an aborted request are touched no more. */
  abort(request: DiskRequest): void
  /**
   * Ends the use. PENDING: poll on until `closed`. What was acknowledged is in the file afterwards, and durable.
   */
  close(): void
  /** True when nothing is under way after `close`. `closeStatus` then tells whether all of it is durable. */
  readonly closed: boolean
  readonly closeStatus: DiskStatus
}
