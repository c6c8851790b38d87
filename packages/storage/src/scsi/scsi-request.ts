// One SCSI command on its way through a target, whoever brought it: StorVSP, or the ATAPI drive of the IDE controller.

import { ScatterList } from '../backends/scatter-list.ts'

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
} as const
export type ScsiOutcome = (typeof ScsiOutcome)[keyof typeof ScsiOutcome]

export const SENSE_BYTES = 18

/**
 * A command and its answer, in a slot that its owner fills again and again. The CDB is a private copy: the guest can't change it
 * while it is looked at.
 */
export class ScsiRequest {
  path = 0
  target = 0
  lun = 0
  readonly cdb: Uint8Array = new Uint8Array(16)
  /** 1..16. */
  cdbLength = 0
  direction: DataDirection = DataDirection.NONE
  /** Where the data goes or comes from: what the initiator has room for. The command may move less. */
  readonly data: ScatterList
  outcome: ScsiOutcome = ScsiOutcome.DONE
  /** SAM status: 0 GOOD, 2 CHECK CONDITION, 0x18 RESERVATION CONFLICT. */
  scsiStatus = 0
  /** Fixed format; `senseLength` bytes of it are valid, 0 when there is none. */
  readonly sense: Uint8Array = new Uint8Array(SENSE_BYTES)
  senseLength = 0
  transferredBytes = 0
  /** Links requests in whatever list has them now: the target's while PENDING. */
  next: ScsiRequest | null = null

  constructor(maxPieces: number) {
    this.data = new ScatterList(maxPieces)
  }
}
