// HOT: a disk whose blocks are the file's bytes, from its first on.

import { assert } from '@guestyard/hvdef'

import { FileStatus } from './backing-file.ts'
import type { BackingFile } from './backing-file.ts'
import { DiskOperation, DiskStatus } from './disk.ts'
import type { DiskRequest } from './disk.ts'
import { FileDisk } from './file-disk.ts'
import type { BlockStore } from './file-disk.ts'
import { diskStatusOf } from './file-status.ts'
import { ImageError } from './image.ts'
import type { ImageJob } from './image.ts'
import { writeZeros } from './zeros.ts'

export interface RawDiskOptions {
  /** 512 when left out. */
  readonly logicalBlockBytes?: 512 | 4096
  /** 4096 when left out. */
  readonly physicalBlockBytes?: 512 | 4096
  /** Asked for; a file that is only read makes the disk so as well. */
  readonly readOnly?: boolean
  /** 16 bytes; zeros when left out, which names no disk in particular. */
  readonly uniqueId?: Uint8Array
  /** How much of the file the disk is; all of it when left out. */
  readonly sizeBytes?: number
}

/** A raw image, or an ISO file: whatever is in it. It owns the file from now on, and closes it. */
export class RawDisk extends FileDisk {
  /** The disk is all of its file, which nothing follows in it: it can grow. */
  readonly isWhole: boolean
  readonly #file: BackingFile

  /** Throws an ImageError when the file is no whole number of blocks. */
  constructor(file: BackingFile, options: RawDiskOptions = {}) {
    const { logicalBlockBytes = 512, physicalBlockBytes = 4096 } = options
    const sizeBytes = options.sizeBytes ?? file.sizeBytes
    if (sizeBytes === 0) throw new ImageError(file.name, 'size', 'the file is empty')
    if (sizeBytes % logicalBlockBytes !== 0) {
      const problem = `${sizeBytes} bytes are no whole number of ${logicalBlockBytes}-byte blocks`
      throw new ImageError(file.name, 'size', problem)
    }
    super(file, new RawBlocks(file, logicalBlockBytes), {
      logicalBlockBytes,
      physicalBlockBytes: logicalBlockBytes === 4096 ? 4096 : physicalBlockBytes,
      blockCount: sizeBytes / logicalBlockBytes,
      readOnly: file.readOnly || options.readOnly === true,
      // Giving bytes of a file back to its file system is nothing that Node can do.
      canUnmap: false,
      unmapReadsZeros: false,
      uniqueId: options.uniqueId ?? new Uint8Array(16),
    })
    this.#file = file
    this.isWhole = sizeBytes === file.sizeBytes
  }

  /**
   * Makes the disk larger, while it is in use: `geometry` says so when the file's new size is durable. What is new reads as zeros. Throws
   * an `ImageError` when the image is only read.
   */
  grow(sizeBytes: number): ImageJob {
    const file = this.#file
    assert(this.isWhole, 'A disk with something behind it in its file does not grow.')
    if (this.geometry.readOnly) throw new ImageError(file.name, '', 'the image is only read')
    const blockCount = sizeBytes / this.geometry.logicalBlockBytes
    let ticket: number | null = null
    return {
      doneBytes: 0,
      totalBytes: 0,
      step: () => {
        if (this.closed) throw new ImageError(file.name, 'size', 'the disk was closed')
        if (ticket === null) {
          const status = file.resize(sizeBytes)
          if (status !== FileStatus.OK) throw new ImageError(file.name, 'size', file.lastError)
          ticket = file.sync()
        }
        const status = file.syncStatus(ticket)
        if (status === FileStatus.PENDING) return false
        if (status !== FileStatus.OK) throw new ImageError(file.name, 'size', file.lastError)
        this.setBlockCount(blockCount)
        return true
      },
    }
  }
}

class RawBlocks implements BlockStore {
  readonly tables = null
  readonly #file: BackingFile
  readonly #blockBytes: number

  constructor(file: BackingFile, blockBytes: number) {
    this.#file = file
    this.#blockBytes = blockBytes
  }

  transfer(request: DiskRequest): DiskStatus {
    const { bytes, addresses, lengths, count } = request.data
    const isRead = request.operation === DiskOperation.READ
    let position = request.block * this.#blockBytes
    for (let piece = 0; piece < count; piece++) {
      const lengthBytes = lengths[piece]!
      const at = addresses[piece]!
      if (isRead) {
        const status = this.#file.read(position, bytes, at, lengthBytes)
        if (status !== FileStatus.OK) return DiskStatus.READ_ERROR
      } else {
        const status = this.#file.write(position, bytes, at, lengthBytes)
        if (status !== FileStatus.OK) return diskStatusOf(status)
      }
      position += lengthBytes
    }
    return DiskStatus.OK
  }

  zero(position: number, lengthBytes: number): DiskStatus {
    return diskStatusOf(writeZeros(this.#file, position, lengthBytes))
  }
}
