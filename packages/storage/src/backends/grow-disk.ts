// Making a disk larger while it is in use, whatever its format.

import type { Disk } from './disk.ts'
import { diskBytes } from './disk.ts'
import { ImageError } from './image.ts'
import type { ImageJob } from './image.ts'
import { RawDisk } from './raw-disk.ts'
import { VhdxDisk } from './vhdx/disk.ts'
import { growVhdx } from './vhdx/grow.ts'

/**
 * The work that makes a disk larger, for whoever polls the disk: `geometry` says so when it is done, and what is new reads as zeros.
 * It ends, with an `ImageError`, when the disk is closed meanwhile. Throws an `ImageError` for disks that can't
 * grow in use (VHD, memory), and for a size that is less than the disk's or no whole number of its blocks; `name` is the disk's, for it.
 */
export function growDisk(disk: Disk, sizeBytes: number, name: string): ImageJob {
  const { logicalBlockBytes } = disk.geometry
  const fail = (problem: string): never => {
    throw new ImageError(name, 'size', problem)
  }
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes % logicalBlockBytes !== 0) {
    fail(`${sizeBytes} bytes are no whole number of blocks of ${logicalBlockBytes}`)
  }
  const hasBytes = diskBytes(disk)
  if (sizeBytes < hasBytes) {
    fail(`${sizeBytes} bytes are fewer than the ${hasBytes} it has: a disk in use gets no smaller`)
  }
  if (disk instanceof VhdxDisk) return growVhdx(disk, sizeBytes)
  if (disk instanceof RawDisk && disk.isWhole) return disk.grow(sizeBytes)
  return fail('only VHDX and raw images grow while they are used')
}
