// A disk copied into a new image.

import { resolve } from 'node:path'

import { CopyDisk } from '../backends/copy-disk.ts'
import type { NamedDisk } from '../backends/copy-disk.ts'
import { DiskStatus, diskBytes } from '../backends/disk.ts'
import type { Disk } from '../backends/disk.ts'
import { ImageError } from '../backends/image.ts'
import { beginImage } from './create-image.ts'
import type { CreateImageOptions } from './create-image.ts'
import type { FileJob } from './file-job.ts'
import type { ImageFormat } from './image-format.ts'
import type { NewFile } from './new-file.ts'
import { diskOf, openImage } from './open-image.ts'

export interface ConvertOptions {
  /** What the source must be; see `openImage`. Found out when left out. */
  readonly fromFormat?: ImageFormat
  readonly format: ImageFormat
  readonly fixed?: boolean
  readonly blockBytes?: number
  /** A file of that name is replaced, unless somebody uses it. */
  readonly replace?: boolean
}

/**
 * Copies a disk, its parents' blocks included, to a new image, in which zeros take no room where that can be. Throws an `ImageError`
 * when it can't begin.
 */
export function convertImage(from: string, to: string, options: ConvertOptions): FileJob {
  if (resolve(from) === resolve(to)) {
    throw new ImageError(to, '', 'is the image that is copied: give the new one another name')
  }
  const { fromFormat } = options
  const source = openImage(from, {
    readOnly: true,
    flush: 'sync',
    ...(fromFormat === undefined ? {} : { format: fromFormat }),
  })
  let fresh: NewFile
  try {
    fresh = beginImage(to, {
      ...options,
      // A vhd image knows no other block, and a raw one doesn't say.
      ...(options.format === 'vhdx' ? blocksOf(source) : {}),
      sizeBytes: diskBytes(source),
    })
  } catch (error) {
    source.close()
    throw error
  }
  return copyInto(fresh, options.format, from, source)
}

/** The copy of an open disk into a new image of that format. It closes, or discards, both; also when it throws. */
export function copyInto(fresh: NewFile, format: ImageFormat, from: string, source: Disk): FileJob {
  try {
    const target = diskOf(fresh.file, format)
    return new CopyJob({ disk: source, name: from }, { disk: target, name: fresh.path }, fresh)
  } catch (error) {
    source.close()
    fresh.discard()
    throw error
  }
}

class CopyJob implements FileJob {
  readonly #source: Disk
  readonly #target: Disk
  readonly #fresh: NewFile
  readonly #copy: CopyDisk
  #isOver = false

  constructor(from: NamedDisk, to: NamedDisk, fresh: NewFile) {
    this.#source = from.disk
    this.#target = to.disk
    this.#fresh = fresh
    this.#copy = new CopyDisk(from, to)
  }

  get path(): string {
    return this.#fresh.path
  }

  get doneBytes(): number {
    return this.#copy.doneBytes
  }

  get totalBytes(): number {
    return this.#copy.totalBytes
  }

  step(): boolean {
    if (!this.#copy.step()) return false
    closeDisk(this.#target)
    if (this.#target.closeStatus !== DiskStatus.OK) {
      throw new ImageError(this.#fresh.path, '', `can't be written: ${this.#fresh.file.lastError}`)
    }
    this.#isOver = true
    closeDisk(this.#source)
    this.#fresh.commit()
    return true
  }

  abandon(): void {
    if (this.#isOver) return
    this.#isOver = true
    closeDisk(this.#target)
    closeDisk(this.#source)
    this.#fresh.discard()
  }
}

function blocksOf(
  disk: Disk,
): Pick<CreateImageOptions, 'logicalBlockBytes' | 'physicalBlockBytes'> {
  const { logicalBlockBytes, physicalBlockBytes } = disk.geometry
  return { logicalBlockBytes, physicalBlockBytes }
}

/** Polls until a disk that closes counts as stuck. */
const CLOSE_POLLS_MAX = 1_000_000

/** Closes a disk whose syncs are done when they have begun. */
export function closeDisk(disk: Disk): void {
  disk.close()
  for (let poll = 0; !disk.closed && poll < CLOSE_POLLS_MAX; poll++) disk.poll(64)
}
