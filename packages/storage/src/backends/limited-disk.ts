// HOT: a disk that may be used only so fast, as Hyper-V's storage QoS has it: so many operations a second, each 8 KiB or a part of it
// one operation, and so many bytes.

import { assert } from '@guestyard/hvdef'

import { admit } from './admission.ts'
import { DiskOperation, DiskStatus } from './disk.ts'
import type { Disk, DiskGeometry, DiskRequest } from './disk.ts'
import { RequestQueue } from './request-queue.ts'

/** A normalised operation: MSFT_StorageQoSPolicy counts in these. */
const OPERATION_BYTES = 8192
/** What a disk that rested may do at once: as much as it may in this time, or one request. */
const BURST_MS = 50

export interface DiskLimits {
  /** Normalised operations a second, above 0; no limit when left out. */
  readonly iops?: number
  /** Bytes a second, above 0; no limit when left out. */
  readonly bytesPerSecond?: number
}

/** Milliseconds, moved by whoever polls the disk. */
export interface DiskClock {
  readonly nowMs: number
}

/**
 * Puts limits on a disk, which it owns from now on. Reads and writes beyond them wait in the order they came, whoever made them;
 * zeros that are to be written count as a write, since they are one for the host. Flushes and blocks given up go ahead.
 */
export class LimitedDisk implements Disk {
  readonly #disk: Disk
  readonly #clock: DiskClock
  readonly #waiting = new RequestQueue()
  /** Milliseconds that one operation and one byte take. 0: no limit. */
  #msPerOperation = 0
  #msPerByte = 0
  /** When what was let through will have been due, at the limits' pace. */
  #operationsDueMs = -Infinity
  #bytesDueMs = -Infinity
  #closing = false

  constructor(disk: Disk, clock: DiskClock, limits: DiskLimits) {
    this.#disk = disk
    this.#clock = clock
    this.setLimits(limits)
  }

  get geometry(): DiskGeometry {
    return this.#disk.geometry
  }

  get closed(): boolean {
    return this.#disk.closed
  }

  get closeStatus(): DiskStatus {
    return this.#disk.closeStatus
  }

  /** Other limits, from the next request on. */
  setLimits(limits: DiskLimits): void {
    const { iops = 1, bytesPerSecond = 1 } = limits
    assert(iops > 0 && bytesPerSecond > 0, 'A limit lets something through.')
    this.#msPerOperation = limits.iops === undefined ? 0 : 1000 / limits.iops
    this.#msPerByte = limits.bytesPerSecond === undefined ? 0 : 1000 / limits.bytesPerSecond
    // What was let through at another pace is not held against the disk.
    this.#operationsDueMs = Math.min(this.#operationsDueMs, this.#clock.nowMs)
    this.#bytesDueMs = Math.min(this.#bytesDueMs, this.#clock.nowMs)
  }

  submit(request: DiskRequest): void {
    const { operation } = request
    const movesData = operation <= DiskOperation.WRITE || operation === DiskOperation.WRITE_ZEROES
    const isLimited = movesData && request.blockCount > 0 && !this.#closing
    if (!isLimited || admit(this.#disk.geometry, request) !== DiskStatus.OK) {
      this.#disk.submit(request)
      return
    }
    if (this.#waiting.head === null && this.#clock.nowMs >= this.#freeMs()) {
      this.#letThrough(request)
      return
    }
    request.status = DiskStatus.PENDING
    this.#waiting.push(request)
  }

  poll(budget: number): number {
    let ended = this.#disk.poll(budget)
    for (let count = 0; count < budget; count++) {
      if (this.#waiting.head === null || this.#clock.nowMs < this.#freeMs()) break
      const request = this.#waiting.shift()!
      this.#letThrough(request)
      if (request.status !== DiskStatus.PENDING) ended += 1
    }
    return ended
  }

  nextDeadlineMs(): number {
    const deadlineMs = this.#disk.nextDeadlineMs()
    return this.#waiting.head === null ? deadlineMs : Math.min(deadlineMs, this.#freeMs())
  }

  abort(request: DiskRequest): void {
    if (this.#waiting.remove(request)) request.status = DiskStatus.ABORTED
    else this.#disk.abort(request)
  }

  close(): void {
    this.#closing = true
    this.#waiting.endAll(DiskStatus.ABORTED)
    this.#disk.close()
  }

  /** When the next request may go: the same sum for the question and for the deadline, so that the two agree to the last bit. */
  #freeMs(): number {
    const operationsMs = this.#msPerOperation === 0 ? -Infinity : this.#operationsDueMs - BURST_MS
    const bytesMs = this.#msPerByte === 0 ? -Infinity : this.#bytesDueMs - BURST_MS
    return Math.max(operationsMs, bytesMs)
  }

  #letThrough(request: DiskRequest): void {
    const lengthBytes = request.blockCount * this.#disk.geometry.logicalBlockBytes
    const operations = Math.ceil(lengthBytes / OPERATION_BYTES)
    const { nowMs } = this.#clock
    this.#operationsDueMs =
      Math.max(this.#operationsDueMs, nowMs) + operations * this.#msPerOperation
    this.#bytesDueMs = Math.max(this.#bytesDueMs, nowMs) + lengthBytes * this.#msPerByte
    this.#disk.submit(request)
  }
}
