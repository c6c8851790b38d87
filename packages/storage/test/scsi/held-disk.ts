// A disk that keeps requests until the test lets them go, and counts what is done to it. Its bytes are a disk's in memory.

import { DiskOperation, DiskStatus, MemoryDisk } from '@guestyard/storage'
import type { Disk, DiskGeometry, DiskRequest } from '@guestyard/storage'

export class HeldDisk implements Disk {
  readonly inner: MemoryDisk
  geometry: DiskGeometry
  readonly closeStatus: DiskStatus = DiskStatus.OK
  closed = false
  /** Requests wait. */
  holds = false
  /** `abort` ends a request at once; otherwise a poll does. */
  abortsAtOnce = true
  /** What the next requests end with, instead of being done. */
  fails: DiskStatus | null = null
  /** What was asked: operation, block, count, durable. */
  readonly log: [DiskOperation, number, number, boolean][] = []
  readonly held: DiskRequest[] = []
  readonly #ready: [DiskRequest, DiskStatus][] = []

  constructor(sizeBytes = 1 << 20, options: { readOnly?: boolean; canUnmap?: boolean } = {}) {
    this.inner = new MemoryDisk({ sizeBytes, readOnly: options.readOnly ?? false })
    this.geometry = { ...this.inner.geometry, canUnmap: options.canUnmap ?? true }
  }

  submit(request: DiskRequest): void {
    this.log.push([request.operation, request.block, request.blockCount, request.durable])
    if (this.holds) {
      request.status = DiskStatus.PENDING
      this.held.push(request)
    } else {
      this.#perform(request)
    }
  }

  /** Lets the oldest request, or that one, go: the next poll ends it. */
  release(index = 0, status: DiskStatus = DiskStatus.OK): void {
    const [request] = this.held.splice(index, 1)
    if (request !== undefined) this.#ready.push([request, status])
  }

  poll(budget: number): number {
    const now = this.#ready.splice(0, budget)
    for (const [request, status] of now) {
      if (status === DiskStatus.OK) this.#perform(request)
      else request.status = status
    }
    return now.length
  }

  nextDeadlineMs(): number {
    return this.held.length + this.#ready.length > 0 ? 5 : Infinity
  }

  abort(request: DiskRequest): void {
    const index = this.held.indexOf(request)
    if (index < 0) return
    this.held.splice(index, 1)
    if (this.abortsAtOnce) request.status = DiskStatus.ABORTED
    else this.#ready.push([request, DiskStatus.ABORTED])
  }

  close(): void {
    this.closed = true
  }

  #perform(request: DiskRequest): void {
    if (this.fails !== null) {
      request.status = this.fails
      return
    }
    this.inner.submit(request)
    while (request.status === DiskStatus.PENDING) this.inner.poll(64)
  }
}

export { DiskOperation, DiskStatus }
