// An image by its path: locked, its format found, its parents opened.

import { createHash } from 'node:crypto'
import { existsSync, realpathSync, statSync } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'

import { parseGuid } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

import type { BackingFile } from '../backends/backing-file.ts'
import type { Disk } from '../backends/disk.ts'
import { ImageError } from '../backends/image.ts'
import { RawDisk } from '../backends/raw-disk.ts'
import type { RawDiskOptions } from '../backends/raw-disk.ts'
import { openVhd } from '../backends/vhd/vhd-disk.ts'
import { openVhdx } from '../backends/vhdx/index.ts'
import type { ParentReference } from '../backends/vhdx/index.ts'
import { formatOf } from './image-format.ts'
import type { ImageFormat } from './image-format.ts'
import { lockImage } from './image-lock.ts'
import { openWith } from './node-file.ts'
import type { FileOptions } from './node-file.ts'

export interface OpenImageOptions extends FileOptions {
  /**
   * What the file must be; found out by its content, then by its name, when left out. `raw` takes any file as it is: name it for disks whose guest is not
   * trusted, since a guest can write what looks like another format into a raw disk.
   */
  readonly format?: ImageFormat
  /** Of a raw image, which doesn't say: 512 when left out. */
  readonly logicalBlockBytes?: 512 | 4096
}

/**
 * Opens an image, or an ISO file, as a disk. Open for writing it is nobody else's; any number may read it. The parents of a differencing
 * image are read with it. Closing the disk lets go of all of them. Throws an `ImageError`: one line, the file as it was.
 */
export function openImage(path: string, options: OpenImageOptions = {}): Disk {
  const file = openLocked(path, options)
  try {
    const format = formatOf(file, options.format)
    const { logicalBlockBytes = 512 } = options
    return diskOf(file, format, { logicalBlockBytes, uniqueId: idOfPath(path) })
  } catch (error) {
    file.close()
    throw error
  }
}

/** The disk in a file of a format, which it closes. `raw` is what a raw file doesn't say. Throws an ImageError; the file stays the caller's then. */
export function diskOf(file: BackingFile, format: ImageFormat, raw: RawDiskOptions = {}): Disk {
  switch (format) {
    case 'raw':
      return new RawDisk(file, raw)
    case 'vhd':
      return openVhd(file)
    case 'vhdx':
      return openVhdx(file, { newGuid, openParent })
  }
}

/** Opens a file and locks it until it is closed. */
export function openLocked(path: string, options: FileOptions): BackingFile {
  const lock = lockImage(path, options.readOnly === true ? 'read' : 'write')
  try {
    if (options.readOnly !== true) refuseOtherNames(path)
    return openWith(path, options, () => lock.release())
  } catch (error) {
    lock.release()
    throw error
  }
}

/** A lock is a name's: by another name of the same file a second one could write it. */
export function refuseOtherNames(path: string): void {
  const status = statSync(path)
  if (!status.isFile() || status.nlink <= 1) return
  const problem = `has ${status.nlink} names (hard links), and a lock holds only one: copy it to write it`
  throw new ImageError(path, '', problem)
}

/** Finds the parent of a differencing image, as its locator says, and opens it for reading. */
export function openParent(reference: ParentReference, child: BackingFile): BackingFile {
  const path = parentPath(reference, child.name)
  return openLocked(path, { readOnly: true })
}

/** The path of the parent. Throws an ImageError that says where it was looked for. */
export function parentPath(reference: ParentReference, childPath: string): string {
  const { relativePath, absolutePath } = reference
  const places: string[] = []
  if (relativePath !== null) {
    places.push(resolve(dirname(realpathSync(childPath)), relativePath.replaceAll('\\', '/')))
  }
  // A path of Windows leads nowhere elsewhere.
  if (absolutePath !== null && isAbsolute(absolutePath)) places.push(absolutePath)
  const found = places.find((place) => existsSync(place))
  if (found !== undefined) return found
  const looked = places.length === 0 ? (absolutePath ?? 'it has no path') : places.join(', ')
  throw new ImageError(childPath, 'parent locator', `no parent there: ${looked}`)
}

export function newGuid(): Guid {
  return parseGuid(crypto.randomUUID())
}

/** A raw file has no name of its own for its disk: the same path gives the same one. */
function idOfPath(path: string): Uint8Array {
  return createHash('sha256').update(realpathSync(path)).digest().subarray(0, 16)
}
