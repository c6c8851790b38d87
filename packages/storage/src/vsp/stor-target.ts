// What StorVSP needs of the SCSI target behind it.

import type { ScsiRequest } from '../scsi/scsi-request.ts'

/**
 * A SCSI target (`ScsiTarget` is one): logical units by path, target and LUN. One a controller, used by all channels of the
 * controller; on its thread.
 */
export interface StorTarget {
  /** Starts a request whose fields are set. Ended or PENDING when it returns. It touches `request.data` until then only. HOT. */
  execute(request: ScsiRequest): void
  /** Goes on with what is PENDING, at most about `budget` requests. How many have ended since the last poll, whoever ended them. */
  poll(budget: number): number
  /** When `poll` is due though nobody wakes it, in the time of the disks' clock; Infinity: never. */
  nextDeadlineMs(): number
  /** Gives a request up: ended when it returns, or PENDING until a later poll. */
  abort(request: ScsiRequest): void
  resetUnit(path: number, target: number, lun: number): void
  resetAll(): void
  /** Calls `listener`, which replaces an earlier one, after each change of the LUNs. */
  watch(listener: () => void): void
}
