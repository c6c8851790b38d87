// Images that get larger, or smaller: the disk in them, or the file.

import { FileStatus } from '../backends/backing-file.ts'
import type { BackingFile } from '../backends/backing-file.ts'
import { DiskStatus } from '../backends/disk.ts'
import type { Disk } from '../backends/disk.ts'
import { ImageError } from '../backends/image.ts'
import type { ImageJob } from '../backends/image.ts'
import { growFixedVhd } from '../backends/vhd/create-vhd.ts'
import { readLayout } from '../backends/vhd/structures.ts'
import type { VhdLayout } from '../backends/vhd/structures.ts'
import { openVhd } from '../backends/vhd/vhd-disk.ts'
import { compactVhdx, growVhdx, openVhdx } from '../backends/vhdx/index.ts'
import type { VhdxDisk } from '../backends/vhdx/index.ts'
import { closeDisk, copyInto } from './convert-image.ts'
import { beginImage } from './create-image.ts'
import { OpenFilesJob, atOnce } from './file-job.ts'
import type { FileJob } from './file-job.ts'
import { formatOf } from './image-format.ts'
import type { ImageFormat } from './image-format.ts'
import { openBackingFile } from './node-file.ts'
import { newGuid, openLocked, openParent } from './open-image.ts'

export interface ResizeOptions {
  /** What the file must be; see `openImage`. Found out when left out. */
  readonly format?: ImageFormat
  /** What is beyond the new size is lost: raw images only. False when left out: it is refused. */
  readonly shrink?: boolean
}

/** Makes the disk of an image larger; what is new is zeros. Throws an `ImageError` when it can't begin. */
export function resizeImage(path: string, sizeBytes: number, options: ResizeOptions = {}): FileJob {
  const file = openLocked(path, { flush: 'sync' })
  try {
    switch (formatOf(file, options.format)) {
      case 'raw':
        refuse(file, file.sizeBytes, sizeBytes, options.shrink === true)
        return fileJob(file, () => resizeRaw(file, sizeBytes))
      case 'vhd': {
        const layout = readLayout(file)
        refuse(file, layout.sizeBytes, sizeBytes, false)
        if (layout.kind === 'fixed') return fileJob(file, () => growFixedVhd(file, sizeBytes))
        file.close()
        return rewriteVhd(path, layout, sizeBytes)
      }
      case 'vhdx': {
        const disk = openVhdx(file, { newGuid, openParent })
        return diskJob(path, disk, () => growVhdx(disk, sizeBytes))
      }
    }
  } catch (error) {
    file.close()
    throw error
  }
}

/** Gives back what an image keeps for blocks of zeros. Throws an `ImageError` when it can't begin. */
export function compactImage(path: string): FileJob {
  const file = openLocked(path, { flush: 'sync' })
  try {
    switch (formatOf(file)) {
      case 'raw':
        throw new ImageError(path, '', 'a raw image keeps all of its disk')
      case 'vhd': {
        const layout = readLayout(file)
        if (layout.kind === 'fixed') {
          throw new ImageError(path, '', 'a fixed image keeps all of its disk')
        }
        file.close()
        return rewriteVhd(path, layout, layout.sizeBytes)
      }
      case 'vhdx': {
        const disk = openVhdx(file, { newGuid, openParent })
        return diskJob(path, disk, () => compactVhdx(disk))
      }
    }
  } catch (error) {
    file.close()
    throw error
  }
}

function fileJob(file: BackingFile, work: () => void): FileJob {
  const close = (): void => file.close()
  return new OpenFilesJob(file.name, atOnce(work), close, close)
}

function diskJob(path: string, disk: VhdxDisk, begin: () => ImageJob): FileJob {
  try {
    return new OpenFilesJob(
      path,
      begin(),
      () => closeWell(path, disk),
      () => closeDisk(disk),
    )
  } catch (error) {
    closeDisk(disk)
    throw error
  }
}

function closeWell(path: string, disk: Disk): void {
  closeDisk(disk)
  if (disk.closed && disk.closeStatus === DiskStatus.OK) return
  throw new ImageError(path, '', "can't be written to its end")
}

/**
 * A dynamic VHD has its table before its blocks, and no room to grow: it is written anew, and takes the old one's place when it is whole.
 * `layout` is the old one's; its file is closed.
 */
function rewriteVhd(path: string, layout: VhdLayout, sizeBytes: number): FileJob {
  const { blockBytes, uniqueId } = layout
  const format = 'vhd'
  // What is replaced is locked from here on, and only then read: not by a lock of its own, it has that one.
  const fresh = beginImage(path, { format, blockBytes, diskId: uniqueId, replace: true, sizeBytes })
  let source: Disk
  try {
    const file = openBackingFile(path, { readOnly: true, flush: 'sync' })
    source = openOrClose(file)
  } catch (error) {
    fresh.discard()
    throw error
  }
  return copyInto(fresh, format, path, source)
}

function openOrClose(file: BackingFile): Disk {
  try {
    return openVhd(file)
  } catch (error) {
    file.close()
    throw error
  }
}

function refuse(file: BackingFile, oldBytes: number, newBytes: number, canShrink: boolean): void {
  if (newBytes % 512 !== 0 || newBytes <= 0) {
    throw new ImageError(file.name, 'size', `${newBytes} bytes are no whole number of blocks`)
  }
  if (newBytes < oldBytes && !canShrink) {
    const problem = `the disk has ${oldBytes} bytes: ${newBytes} would cut it off`
    throw new ImageError(file.name, 'size', problem)
  }
}

function resizeRaw(file: BackingFile, sizeBytes: number): void {
  const isDone =
    file.resize(sizeBytes) === FileStatus.OK && file.syncStatus(file.sync()) === FileStatus.OK
  if (!isDone) throw new ImageError(file.name, 'size', file.lastError)
}
