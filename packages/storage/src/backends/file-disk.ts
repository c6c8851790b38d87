// HOT: what disks in files have in common: requests, flushes, long zeroing, the end. A format says where the bytes are.

import { admit } from './admission.ts'
import type { BackingFile } from './backing-file.ts'
import { DiskOperation, DiskStatus } from './disk.ts'
import type { Disk, DiskGeometry, DiskRequest } from './disk.ts'
import { FileEnd, SyncQueue } from './sync-queue.ts'
import type { LateTables } from './sync-queue.ts'
import { ZeroQueue } from './zero-queue.ts'

/** A format: where the disk's bytes are in the file. */
export interface BlockStore {
  /** Moves the data of a READ or WRITE whose blocks were checked. HOT. */
  transfer(request: DiskRequest): DiskStatus
  /** Makes bytes of the disk zero, at most 1 MiB of them. */
  zero(position: number, lengthBytes: number): DiskStatus
  /** Tables that are written after the blocks which they point at; null when there are none. */
  readonly tables: LateTables | null
}

/** A disk in a file, which it owns from now on, and closes. */
export class FileDisk implements Disk {
  readonly #store: BlockStore
  readonly #syncs: SyncQueue
  readonly #zeros: ZeroQueue
  readonly #end: FileEnd
  #geometry: DiskGeometry

  constructor(file: BackingFile, store: BlockStore, geometry: DiskGeometry) {
    this.#geometry = geometry
    this.#store = store
    this.#syncs = new SyncQueue(file, store.tables)
    this.#end = new FileEnd(file, this.#syncs)
    this.#zeros = new ZeroQueue(
      geometry.logicalBlockBytes,
      (position, lengthBytes) => store.zero(position, lengthBytes),
      (request) => {
        if (request.durable) this.#syncs.submit(request)
      },
    )
  }

  get geometry(): DiskGeometry {
    return this.#geometry
  }

  /** There are more blocks, from now on. */
  protected setBlockCount(blockCount: number): void {
    this.#geometry = { ...this.#geometry, blockCount }
  }

  get closed(): boolean {
    return this.#end.closed
  }

  get closeStatus(): DiskStatus {
    return this.#end.closeStatus
  }

  submit(request: DiskRequest): void {
    request.status = this.#end.closing ? DiskStatus.ABORTED : admit(this.#geometry, request)
    if (request.status !== DiskStatus.OK) return
    switch (request.operation) {
      case DiskOperation.READ:
        request.status = this.#store.transfer(request)
        break
      case DiskOperation.WRITE:
        request.status = this.#store.transfer(request)
        if (request.durable && request.status === DiskStatus.OK) this.#syncs.submit(request)
        break
      case DiskOperation.FLUSH:
        if (!this.#geometry.readOnly) this.#syncs.submit(request)
        break
      case DiskOperation.WRITE_ZEROES:
      case DiskOperation.UNMAP:
        this.#zeros.submit(request)
        break
    }
  }

  poll(budget: number): number {
    if (this.#end.closing) {
      this.#end.poll()
      return 0
    }
    return this.#zeros.poll(budget) + this.#syncs.poll()
  }

  nextDeadlineMs(): number {
    return this.#zeros.isEmpty ? Infinity : 0
  }

  abort(request: DiskRequest): void {
    if (!this.#zeros.abort(request)) this.#syncs.abort(request)
  }

  close(): void {
    this.#zeros.abortAll()
    this.#syncs.abortAll()
    this.#end.begin()
  }
}
