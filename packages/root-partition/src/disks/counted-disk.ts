// HOT (submit)
// A disk that counts what it is asked, for `inspect`: the names are those of Hyper-V's virtual storage device counters. It passes
// everything on, and looks at a request that did not end at once when the disk says that some have ended.

import { DiskOperation, DiskStatus, type Disk, type DiskRequest } from '@guestyard/storage'

/** Totals since the disk was attached. */
export interface DiskCounters {
  readonly reads: number
  readonly readBytes: number
  readonly writes: number
  readonly writeBytes: number
  readonly flushes: number
  /** UNMAP and WRITE ZEROES. */
  readonly unmaps: number
  /** Requests that ended with an error; those that were given up are none. */
  readonly errors: number
  /** Requests that did not end within the call that brought them, and those of them that are under way. */
  readonly pended: number
  readonly queueLength: number
}

export class CountedDisk implements Disk {
  readonly #disk: Disk
  readonly #blockBytes: number
  /** Requests that are under way, in no order. */
  readonly #pending: DiskRequest[] = []
  #reads = 0
  #readBytes = 0
  #writes = 0
  #writeBytes = 0
  #flushes = 0
  #unmaps = 0
  #errors = 0
  #pended = 0

  constructor(disk: Disk) {
    this.#disk = disk
    this.#blockBytes = disk.geometry.logicalBlockBytes
  }

  get geometry(): Disk['geometry'] {
    return this.#disk.geometry
  }

  get closed(): boolean {
    return this.#disk.closed
  }

  get closeStatus(): DiskStatus {
    return this.#disk.closeStatus
  }

  submit(request: DiskRequest): void {
    const bytes = request.blockCount * this.#blockBytes
    switch (request.operation) {
      case DiskOperation.READ:
        this.#reads += 1
        this.#readBytes += bytes
        break
      case DiskOperation.WRITE:
        this.#writes += 1
        this.#writeBytes += bytes
        break
      case DiskOperation.FLUSH:
        this.#flushes += 1
        break
      case DiskOperation.UNMAP:
      case DiskOperation.WRITE_ZEROES:
        this.#unmaps += 1
        break
    }
    this.#disk.submit(request)
    if (request.status === DiskStatus.OK) return
    if (request.status === DiskStatus.PENDING) {
      this.#pended += 1
      this.#pending.push(request)
    } else if (request.status !== DiskStatus.ABORTED) {
      this.#errors += 1
    }
  }

  poll(budget: number): number {
    const ended = this.#disk.poll(budget)
    if (ended > 0) this.#look()
    return ended
  }

  nextDeadlineMs(): number {
    return this.#disk.nextDeadlineMs()
  }

  abort(request: DiskRequest): void {
    this.#disk.abort(request)
    if (request.status !== DiskStatus.PENDING) this.#look()
  }

  close(): void {
    this.#disk.close()
    this.#look()
  }

  get counters(): DiskCounters {
    return {
      reads: this.#reads,
      readBytes: this.#readBytes,
      writes: this.#writes,
      writeBytes: this.#writeBytes,
      flushes: this.#flushes,
      unmaps: this.#unmaps,
      errors: this.#errors,
      pended: this.#pended,
      queueLength: this.#pending.length,
    }
  }

  #look(): void {
    const pending = this.#pending
    for (let at = pending.length - 1; at >= 0; at -= 1) {
      const { status } = pending[at]!
      if (status === DiskStatus.PENDING) continue
      if (status !== DiskStatus.OK && status !== DiskStatus.ABORTED) this.#errors += 1
      const last = pending.pop()!
      if (at < pending.length) pending[at] = last
    }
  }
}
