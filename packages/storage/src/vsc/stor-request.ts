// One SCSI request of the guest's, in a slot that its owner fills again and again: command, pages, and what became of it.

import { PAGE_OFFSET_MASK, PAGE_SHIFT, PAGE_SIZE, assert } from '@guestyard/hvdef'
import { CDB_BYTES, SENSE_ROOM_BYTES, SrbDirection } from '../protocol.ts'

/** How a request ended. */
export const StorOutcome = {
  /** Not yet. */
  PENDING: 0,
  OK: 1,
  /** The logical unit says why, in `sense`. */
  CHECK_CONDITION: 2,
  /** Another SCSI status: BUSY, RESERVATION CONFLICT. */
  OTHER_STATUS: 3,
  /** Nobody is there. */
  NO_LOGICAL_UNIT: 4,
  /** Given up by a reset. */
  ABORTED: 5,
  /** The host takes it for no request at all. */
  REFUSED: 6,
  /** The channel is gone. */
  GONE: 7,
} as const
export type StorOutcome = (typeof StorOutcome)[keyof typeof StorOutcome]

/** Called from the driver's poll, once a submission. May fill and submit the request again. */
export type RequestDone = (request: StorRequest) => void

/** VP's thread only. While PENDING it belongs to the driver, and its pages to the host. */
export class StorRequest {
  path = 0
  target = 0
  lun = 0
  readonly cdb: Uint8Array = new Uint8Array(CDB_BYTES)
  /** 1..16. */
  cdbLength = 0
  direction: SrbDirection = SrbDirection.NONE
  /** Pages of the data, in order. */
  readonly pfns: Uint32Array
  /** First byte of the data in the first page. */
  offsetBytes = 0
  /** Bytes of data; 0 for none. */
  lengthBytes = 0
  outcome: StorOutcome = StorOutcome.OK
  scsiStatus = 0
  srbStatus = 0
  /** Bytes that moved. */
  transferredBytes = 0
  /** Fixed format; `senseLength` bytes of it are valid. */
  readonly sense: Uint8Array = new Uint8Array(SENSE_ROOM_BYTES)
  senseLength = 0
  /** Times it was sent again since it was submitted. */
  retries = 0
  /** When it was submitted, in the driver's time. */
  submittedMs = 0
  isLate = false
  /** Transaction: the tag's use, so that an old answer is none to a new request. */
  use = 0
  readonly done: RequestDone
  /** Links requests that wait for room in the ring. The driver's. */
  next: StorRequest | null = null

  /** `maxPages`: pages of data it has room for. */
  constructor(maxPages: number, done: RequestDone) {
    this.pfns = new Uint32Array(maxPages)
    this.done = done
  }

  get isPending(): boolean {
    return this.outcome === StorOutcome.PENDING
  }

  /** The data are the `lengthBytes` bytes of RAM from `gpa` on. */
  setData(gpa: number, lengthBytes: number): void {
    const offset = gpa & PAGE_OFFSET_MASK
    const pages = (offset + lengthBytes + PAGE_SIZE - 1) >>> PAGE_SHIFT
    assert(pages <= this.pfns.length, 'The data fits the pages of its request.')
    const first = Math.floor(gpa / PAGE_SIZE)
    for (let page = 0; page < pages; page += 1) this.pfns[page] = first + page
    this.offsetBytes = offset
    this.lengthBytes = lengthBytes
  }
}
