// Requests that end when the image is durable: flushes, and writes with forced unit access.

import { FileStatus } from './backing-file.ts'
import type { BackingFile } from './backing-file.ts'
import { DiskOperation, DiskRequest, DiskStatus } from './disk.ts'
import { diskStatusOf } from './file-status.ts'
import { RequestQueue } from './request-queue.ts'

/** What of a format may be written only when something else is durable: tables that point at blocks. */
export interface LateTables {
  /** Remembers what there is to write now; what comes later waits for the next time. False: nothing. */
  begin(): boolean
  /** Writes what was remembered. A status other than OK: it stays to be written. */
  write(): FileStatus
}

/**
 * One sync of the image is under way at a time. Who comes meanwhile waits for the next one, which then serves all of them: a sync
 * covers only what was written before it began. An image with late tables is synced twice: blocks, then the tables.
 */
export class SyncQueue {
  readonly #file: BackingFile
  readonly #tables: LateTables | null
  /** Served by the sync under way, and by the one after it. They change places. */
  #current = new RequestQueue()
  #following = new RequestQueue()
  #ticket = 0
  /** The sync under way is of blocks: the tables come after it. */
  #tablesFollow = false

  constructor(file: BackingFile, tables: LateTables | null = null) {
    this.#file = file
    this.#tables = tables
  }

  /** Ends the request with a sync that begins from now on: at once where the file's syncs are. */
  submit(request: DiskRequest): void {
    request.status = DiskStatus.PENDING
    if (this.#current.head !== null) {
      this.#following.push(request)
      return
    }
    this.#current.push(request)
    this.#begin()
    this.poll()
  }

  /** Ends what has become durable. How many requests. */
  poll(): number {
    let ended = 0
    while (this.#current.head !== null) {
      const status = this.#file.syncStatus(this.#ticket)
      if (status === FileStatus.PENDING) break
      const next = status === FileStatus.OK ? this.#goOn() : DiskStatus.WRITE_ERROR
      if (next === DiskStatus.PENDING) continue
      ended += this.#current.endAll(next)
      this.#next()
    }
    return ended
  }

  /** Gives up on a request. False: it is not here. */
  abort(request: DiskRequest): boolean {
    const here = this.#current.remove(request) || this.#following.remove(request)
    if (here) request.status = DiskStatus.ABORTED
    // The sync under way serves nobody any more, and began too early for the others.
    if (this.#current.head === null) this.#next()
    return here
  }

  abortAll(): void {
    this.#current.endAll(DiskStatus.ABORTED)
    this.#following.endAll(DiskStatus.ABORTED)
  }

  #begin(): void {
    this.#tablesFollow = this.#tables?.begin() ?? false
    this.#ticket = this.#file.sync()
  }

  /** PENDING: another sync has begun. */
  #goOn(): DiskStatus {
    if (!this.#tablesFollow) return DiskStatus.OK
    this.#tablesFollow = false
    const written = this.#tables!.write()
    if (written !== FileStatus.OK) return diskStatusOf(written)
    this.#ticket = this.#file.sync()
    return DiskStatus.PENDING
  }

  #next(): void {
    const empty = this.#current
    this.#current = this.#following
    this.#following = empty
    if (this.#current.head !== null) this.#begin()
  }
}

/** How a disk leaves its file: one more sync, then the file is closed. */
export class FileEnd {
  /** No more requests are taken. */
  closing = false
  closed = false
  closeStatus: DiskStatus = DiskStatus.OK
  readonly #file: BackingFile
  readonly #syncs: SyncQueue
  readonly #flush = new DiskRequest(0)

  constructor(file: BackingFile, syncs: SyncQueue) {
    this.#file = file
    this.#syncs = syncs
    this.#flush.operation = DiskOperation.FLUSH
  }

  /** Everything must have been written, and what waited be given up. */
  begin(): void {
    if (this.closing) return
    this.closing = true
    if (!this.#file.readOnly) this.#syncs.submit(this.#flush)
    this.poll()
  }

  /** Goes on. The disk's own `poll` calls it, and not the queue's, once it is closing: what ends here is nobody's request. */
  poll(): void {
    if (this.closed) return
    this.#syncs.poll()
    if (this.#flush.status === DiskStatus.PENDING) return
    this.closeStatus = this.#flush.status
    this.#file.close()
    this.closed = true
  }
}
