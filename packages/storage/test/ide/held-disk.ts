// A disk that holds every request until the test lets it go, or fails it.

import {
  DiskOperation,
  DiskStatus,
  type Disk,
  type DiskGeometry,
  type DiskRequest,
} from '@guestyard/storage'

export class HeldDisk implements Disk {
  readonly geometry: DiskGeometry
  readonly closed = false
  readonly closeStatus: DiskStatus = DiskStatus.OK
  readonly #below: Disk
  held: DiskRequest | null = null
  aborts = 0
  /** What `abort` leaves to a later `poll`. */
  abortsLate = false
  /** Requests pass as if nothing were here. */
  isOpen = false
  /** Reads of this block fail. */
  badBlock = -1
  /** The status that the next request ends with instead. */
  failure: DiskStatus = DiskStatus.OK
  #ended = 0

  constructor(below: Disk) {
    this.#below = below
    this.geometry = below.geometry
  }

  submit(request: DiskRequest): void {
    request.status = DiskStatus.PENDING
    this.held = request
    if (this.isOpen) this.release()
  }

  /** The request that is held ends. */
  release(): void {
    const request = this.held!
    this.held = null
    const { block, blockCount } = request
    const isBad = this.badBlock >= block && this.badBlock < block + blockCount
    if (isBad && request.operation === DiskOperation.READ) request.status = DiskStatus.READ_ERROR
    else if (this.failure === DiskStatus.OK) this.#below.submit(request)
    else request.status = this.failure
    this.failure = DiskStatus.OK
    this.#ended += 1
  }

  poll(): number {
    const ended = this.#ended
    this.#ended = 0
    return ended
  }

  nextDeadlineMs(): number {
    return Infinity
  }

  abort(request: DiskRequest): void {
    this.aborts += 1
    if (this.abortsLate) return
    request.status = DiskStatus.ABORTED
    this.held = null
  }

  close(): void {}
}
