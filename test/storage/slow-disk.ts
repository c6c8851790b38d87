// A disk in memory whose requests end when a test says so.

import {
  DiskOperation,
  DiskStatus,
  MemoryDisk,
  type Disk,
  type DiskGeometry,
  type DiskRequest,
} from '@guestyard/storage'

export class SlowDisk implements Disk {
  readonly inner: MemoryDisk = new MemoryDisk({ sizeBytes: 2 ** 20 })
  /** Requests end at once for as long as this holds. */
  isQuick = false
  /** When a poll is due though nobody wakes the disk: then everything ends. */
  dueMs = Infinity
  aborted = 0
  polls = 0
  /** Called at the start and, while `isStuckClosing`, not ended. */
  isStuckClosing = false
  #closing = false
  readonly #held: DiskRequest[] = []
  readonly #wake: () => void
  readonly #nowMs: () => number
  #released = false

  constructor(wake: () => void, nowMs: () => number) {
    this.#wake = wake
    this.#nowMs = nowMs
  }

  get geometry(): DiskGeometry {
    return this.inner.geometry
  }

  get heldCount(): number {
    return this.#held.length
  }

  get closed(): boolean {
    return this.#closing && !this.isStuckClosing && this.#held.length === 0
  }

  get closeStatus(): DiskStatus {
    return DiskStatus.OK
  }

  submit(request: DiskRequest): void {
    if (this.#closing) request.status = DiskStatus.ABORTED
    else if (this.isQuick) this.inner.submit(request)
    else {
      request.status = DiskStatus.PENDING
      this.#held.push(request)
    }
  }

  /** Ends what is held in the next poll, and asks for one. */
  release(): void {
    this.#released = true
    this.#wake()
  }

  poll(budget: number): number {
    this.polls += 1
    if (this.#nowMs() >= this.dueMs) {
      this.dueMs = Infinity
      this.#released = true
    }
    if (!this.#released) return 0
    let ended = 0
    while (ended < budget && this.#held.length > 0) {
      this.inner.submit(this.#held.shift()!)
      ended += 1
    }
    if (this.#held.length === 0) this.#released = false
    return ended
  }

  nextDeadlineMs(): number {
    return this.dueMs
  }

  /** As disks do: a flush that is on its way can't be called back, anything else can. */
  abort(request: DiskRequest): void {
    const at = this.#held.indexOf(request)
    if (at < 0 || request.operation === DiskOperation.FLUSH) return
    this.#held.splice(at, 1)
    this.aborted += 1
    request.status = DiskStatus.ABORTED
  }

  close(): void {
    this.#closing = true
    for (const request of [...this.#held]) this.abort(request)
  }
}
