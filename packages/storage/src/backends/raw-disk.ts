// HOT: a disk whose blocks are the file's bytes, from its first to its last.

import { FileStatus } from './backing-file.ts'
import type { BackingFile } from './backing-file.ts'
import { admit } from './admission.ts'
import { DiskOperation, DiskStatus } from './disk.ts'
import type { Disk, DiskGeometry, DiskRequest } from './disk.ts'
import { diskStatusOf } from './file-status.ts'
import { FileEnd } from './file-end.ts'
import { ImageError } from './image.ts'
import { SyncQueue } from './sync-queue.ts'
import { ZeroQueue } from './zero-queue.ts'

export interface RawDiskOptions {
  /** 512 when left out. */
  readonly logicalBlockBytes?: 512 | 4096
  /** 4096 when left out. */
  readonly physicalBlockBytes?: 512 | 4096
  /** Asked for; a file that is only read makes the disk so as well. */
  readonly readOnly?: boolean
  /** 16 bytes; zeros when left out, which names no disk in particular. */
  readonly uniqueId?: Uint8Array
}

const ZEROS: Uint8Array = new Uint8Array(1 << 16)

/** A raw image, or an ISO file: whatever is in it. It owns the file from now on, and closes it. */
export class RawDisk implements Disk {
  readonly geometry: DiskGeometry
  readonly #file: BackingFile
  readonly #blockBytes: number
  readonly #syncs: SyncQueue
  readonly #zeros: ZeroQueue
  readonly #end: FileEnd

  /** Throws an ImageError when the file is no whole number of blocks. */
  constructor(file: BackingFile, options: RawDiskOptions = {}) {
    const { logicalBlockBytes = 512, physicalBlockBytes = 4096 } = options
    const { sizeBytes } = file
    if (sizeBytes === 0) throw new ImageError(file.name, 'size', 'the file is empty')
    if (sizeBytes % logicalBlockBytes !== 0) {
      const problem = `${sizeBytes} bytes are no whole number of ${logicalBlockBytes}-byte blocks`
      throw new ImageError(file.name, 'size', problem)
    }
    this.#file = file
    this.#blockBytes = logicalBlockBytes
    this.geometry = {
      logicalBlockBytes,
      physicalBlockBytes: logicalBlockBytes === 4096 ? 4096 : physicalBlockBytes,
      blockCount: sizeBytes / logicalBlockBytes,
      readOnly: file.readOnly || options.readOnly === true,
      // Giving bytes of a file back to its file system is nothing that every host can do.
      canUnmap: false,
      unmapReadsZeros: false,
      uniqueId: options.uniqueId ?? new Uint8Array(16),
    }
    this.#syncs = new SyncQueue(file)
    this.#end = new FileEnd(file)
    this.#zeros = new ZeroQueue(
      logicalBlockBytes,
      (position, lengthBytes) => writeZeros(file, position, lengthBytes),
      (request) => {
        if (request.durable) this.#syncs.submit(request)
      },
    )
  }

  get closed(): boolean {
    return this.#end.closed
  }

  get closeStatus(): DiskStatus {
    return this.#end.closeStatus
  }

  submit(request: DiskRequest): void {
    request.status = this.#end.closing ? DiskStatus.ABORTED : admit(this.geometry, request)
    if (request.status !== DiskStatus.OK) return
    switch (request.operation) {
      case DiskOperation.READ:
        request.status = readPieces(this.#file, request, request.block * this.#blockBytes)
        break
      case DiskOperation.WRITE:
        request.status = writePieces(this.#file, request, request.block * this.#blockBytes)
        if (request.durable && request.status === DiskStatus.OK) this.#syncs.submit(request)
        break
      case DiskOperation.FLUSH:
        if (!this.geometry.readOnly) this.#syncs.submit(request)
        break
      case DiskOperation.WRITE_ZEROES:
      case DiskOperation.UNMAP:
        this.#zeros.submit(request)
        break
    }
  }

  poll(budget: number): number {
    if (this.#end.closing) this.#end.poll()
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

function readPieces(file: BackingFile, request: DiskRequest, position: number): DiskStatus {
  const { bytes, addresses, lengths, count } = request.data
  for (let piece = 0; piece < count; piece++) {
    const lengthBytes = lengths[piece]!
    const status = file.read(position, bytes, addresses[piece]!, lengthBytes)
    if (status !== FileStatus.OK) return DiskStatus.READ_ERROR
    position += lengthBytes
  }
  return DiskStatus.OK
}

function writePieces(file: BackingFile, request: DiskRequest, position: number): DiskStatus {
  const { bytes, addresses, lengths, count } = request.data
  for (let piece = 0; piece < count; piece++) {
    const lengthBytes = lengths[piece]!
    const status = file.write(position, bytes, addresses[piece]!, lengthBytes)
    if (status !== FileStatus.OK) return diskStatusOf(status)
    position += lengthBytes
  }
  return DiskStatus.OK
}

function writeZeros(file: BackingFile, position: number, lengthBytes: number): DiskStatus {
  for (let done = 0; done < lengthBytes; done += ZEROS.length) {
    const partBytes = Math.min(lengthBytes - done, ZEROS.length)
    const status = file.write(position + done, ZEROS, 0, partBytes)
    if (status !== FileStatus.OK) return diskStatusOf(status)
  }
  return DiskStatus.OK
}
