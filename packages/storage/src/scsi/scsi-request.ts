// One SCSI command on its way through a target, whoever brought it: StorVSP, or the ATAPI drive of the IDE controller.

import { DiskRequest, type Disk } from '../backends/disk.ts'
import type { ScatterList } from '../backends/scatter-list.ts'
import type { BlockJob } from './block-job.ts'
import type { Nexus } from './nexus.ts'

export const DataDirection = { NONE: 0, TO_DEVICE: 1, FROM_DEVICE: 2 } as const
export type DataDirection = (typeof DataDirection)[keyof typeof DataDirection]

/** How a command ended, besides its SCSI status. */
export const ScsiOutcome = {
  /** Under way: the target's `poll` will end it. */
  PENDING: 0,
  /** `scsiStatus`, `sense` and `transferredBytes` say how. */
  DONE: 1,
  /** Nobody is at that path, target and LUN, and the command is none that the absent answer. */
  NO_LOGICAL_UNIT: 2,
  /** By a reset or an abort. */
  ABORTED: 3,
  /** Nobody is there, and what was asked of nobody makes no sense: `scsiStatus` and `sense` are set. SRB status 0x06. */
  INVALID_REQUEST: 4,
} as const
export type ScsiOutcome = (typeof ScsiOutcome)[keyof typeof ScsiOutcome]

export const SENSE_BYTES = 18

/**
 * A command and its answer, in a slot that its owner fills again and again. The CDB is a private copy: the guest can't change it
 * while it is looked at. What a disk needs is part of the slot, so that a command under way costs nothing more.
 */
export class ScsiRequest {
  path = 0
  target = 0
  lun = 0
  readonly cdb: Uint8Array = new Uint8Array(16)
  /** 1..16. */
  cdbLength = 0
  direction: DataDirection = DataDirection.NONE
  /**
   * Where the data goes or comes from: what the initiator has room for. The command may move less, and the target may shorten the
   * list or put another in its place: it is filled anew for each command.
   */
  readonly data: ScatterList
  outcome: ScsiOutcome = ScsiOutcome.DONE
  /** SAM status: 0 GOOD, 2 CHECK CONDITION, 0x18 RESERVATION CONFLICT. */
  scsiStatus = 0
  /** Fixed format; `senseLength` bytes of it are valid, 0 when there is none. */
  readonly sense: Uint8Array = new Uint8Array(SENSE_BYTES)
  senseLength = 0
  /** Bytes of data that were moved. 0 when the command failed. */
  transferredBytes = 0
  /** Bytes that the command had to move. Above the initiator's room: an overrun, only what fitted has been moved. */
  askedBytes = 0
  /**
   * Bytes that `execute` may have had filled or given up before it returned, beside those that travel: for who counts work. What is
   * PENDING then is done in polls.
   */
  filledBytes = 0
  /** Links requests in whatever list has them now: the target's while PENDING. */
  next: ScsiRequest | null = null

  // What follows is the target's own while the command is under way.

  /** What the disk is asked. Its data is `data`. */
  readonly io: DiskRequest
  nexus: Nexus | null = null
  /** The disk that has `io`. */
  disk: Disk | null = null
  /** What remains to be asked of the disk afterwards. */
  job: BlockJob | null = null
  /** No further step of the job is begun. */
  cancelled = false

  constructor(maxPieces: number) {
    this.io = new DiskRequest(maxPieces)
    this.data = this.io.data
  }
}
