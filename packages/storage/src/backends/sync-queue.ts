// Requests that end when the file is durable: flushes, and writes with forced unit access.

import { FileStatus } from './backing-file.ts'
import type { BackingFile } from './backing-file.ts'
import { DiskStatus } from './disk.ts'
import type { DiskRequest } from './disk.ts'
import { RequestQueue } from './request-queue.ts'

/**
 * One sync of the file is under way at a time. Who comes meanwhile waits for the next one, which then serves all of them: a sync
 * covers only what was written before it began.
 */
export class SyncQueue {
  readonly #file: BackingFile
  /** Served by the sync under way, and by the one after it. They change places. */
  #current = new RequestQueue()
  #following = new RequestQueue()
  #ticket = 0

  constructor(file: BackingFile) {
    this.#file = file
  }

  get isEmpty(): boolean {
    return this.#current.head === null
  }

  /** Ends the request with a sync that begins from now on: at once where the file's syncs are. */
  submit(request: DiskRequest): void {
    request.status = DiskStatus.PENDING
    if (this.#current.head !== null) {
      this.#following.push(request)
      return
    }
    this.#ticket = this.#file.sync()
    const status = this.#file.syncStatus(this.#ticket)
    if (status === FileStatus.PENDING) this.#current.push(request)
    else request.status = statusOfSync(status)
  }

  /** Ends what has become durable. How many requests. */
  poll(): number {
    let ended = 0
    while (this.#current.head !== null) {
      const status = this.#file.syncStatus(this.#ticket)
      if (status === FileStatus.PENDING) break
      ended += this.#current.endAll(statusOfSync(status))
      const done = this.#current
      this.#current = this.#following
      this.#following = done
      if (this.#current.head !== null) this.#ticket = this.#file.sync()
    }
    return ended
  }

  /** Gives up on a request; the sync goes on. False: it is not here. */
  abort(request: DiskRequest): boolean {
    const here = this.#current.remove(request) || this.#following.remove(request)
    if (here) request.status = DiskStatus.ABORTED
    if (this.#current.head === null && this.#following.head !== null) {
      // The sync under way serves nobody any more, and began too early for the others.
      const empty = this.#current
      this.#current = this.#following
      this.#following = empty
      this.#ticket = this.#file.sync()
    }
    return here
  }

  abortAll(): void {
    this.#current.endAll(DiskStatus.ABORTED)
    this.#following.endAll(DiskStatus.ABORTED)
  }
}

function statusOfSync(status: FileStatus): DiskStatus {
  return status === FileStatus.OK ? DiskStatus.OK : DiskStatus.WRITE_ERROR
}
