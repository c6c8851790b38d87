// New images, by path.

import { existsSync, realpathSync } from 'node:fs'
import { dirname, relative, sep } from 'node:path'

import type { Guid } from '@guestyard/hvdef'

import { FileStatus } from '../backends/backing-file.ts'
import type { BackingFile } from '../backends/backing-file.ts'
import { ImageError } from '../backends/image.ts'
import { createVhd } from '../backends/vhd/create-vhd.ts'
import { createVhdx, readVhdxInfo } from '../backends/vhdx/index.ts'
import type { ParentReference, VhdxInfo } from '../backends/vhdx/index.ts'
import { formatOfName } from './image-format.ts'
import type { ImageFormat } from './image-format.ts'
import { NewFile } from './new-file.ts'
import { newGuid, openLocked } from './open-image.ts'
import { findParents, refuseLongChain } from './parent-chain.ts'

export interface CreateImageOptions {
  readonly format: ImageFormat
  /** Whole blocks of the disk. A child has its parent's size when it is left out. */
  readonly sizeBytes?: number
  /** All of the disk is in the file from the start (sparse where the host can do that). A raw image is always so. */
  readonly fixed?: boolean
  /** What a dynamic image grows by: a power of two, VHDX 1 to 256 MiB, VHD 512 KiB to 2 MiB. The format's own when left out. */
  readonly blockBytes?: number
  /** VHDX only: 512 and 4096 when left out ("512e"). A child has its parent's. */
  readonly logicalBlockBytes?: 512 | 4096
  readonly physicalBlockBytes?: 512 | 4096
  /** VHDX only: the image from which everything is read that isn't written. It must not be written from now on. */
  readonly parent?: string
  /** 16 bytes that name the disk; new ones when left out. A raw image has none, and a child has its parent's. */
  readonly diskId?: Uint8Array
  /** A file of that name is replaced, unless somebody uses it. False when left out: it is refused. */
  readonly replace?: boolean
}

/** Makes an image of zeros, or of its parent's blocks. It is there whole and durable, or not at all. Throws an `ImageError`. */
export function createImage(path: string, options: CreateImageOptions): void {
  const fresh = beginImage(path, options)
  try {
    const status = fresh.file.syncStatus(fresh.file.sync())
    if (status !== FileStatus.OK) throw new ImageError(path, '', fresh.file.lastError)
    fresh.file.close()
  } catch (error) {
    fresh.discard()
    throw error
  }
  fresh.commit()
}

/** The same, its file still open and without its name. */
export function beginImage(path: string, options: CreateImageOptions): NewFile {
  refuse(path, options)
  const fresh = new NewFile(path, { replace: options.replace ?? false })
  try {
    fill(fresh.file, options)
    return fresh
  } catch (error) {
    fresh.discard()
    throw error
  }
}

function refuse(path: string, options: CreateImageOptions): void {
  const { format, parent, sizeBytes } = options
  if (sizeBytes === undefined && parent === undefined) throw new ImageError(path, 'size', 'missing')
  if (sizeBytes !== undefined && !(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)) {
    throw new ImageError(path, 'size', `${sizeBytes} bytes are no size of a disk`)
  }
  if (format === 'raw') refuseNameOfRaw(path)
  if (format === 'vhdx') return
  if (parent !== undefined) throw new ImageError(path, 'parent', 'only a vhdx image has one')
  if (format === 'raw') {
    if (options.blockBytes !== undefined) throw new ImageError(path, 'block size', 'raw has none')
    return
  }
  if (options.logicalBlockBytes === 4096) {
    throw new ImageError(path, 'logical sector size', 'a vhd image has 512 bytes')
  }
}

function refuseNameOfRaw(path: string): void {
  const named = formatOfName(path)
  if (named === undefined) return
  throw new ImageError(path, 'format', `by that name a raw image is taken for a damaged ${named}`)
}

function fill(file: BackingFile, options: CreateImageOptions): void {
  const { format, sizeBytes = 0, fixed = false } = options
  switch (format) {
    case 'raw':
      fillRaw(file, sizeBytes, options.logicalBlockBytes ?? 512)
      break
    case 'vhd':
      createVhd(file, {
        sizeBytes,
        fixed,
        ...(options.blockBytes === undefined ? {} : { blockBytes: options.blockBytes }),
        uniqueId: options.diskId ?? crypto.getRandomValues(new Uint8Array(16)),
        createdAtMs: Date.now(),
      })
      break
    case 'vhdx':
      fillVhdx(file, options)
      break
  }
}

function fillRaw(file: BackingFile, sizeBytes: number, blockBytes: number): void {
  if (sizeBytes % blockBytes !== 0) {
    const problem = `${sizeBytes} bytes are no whole number of ${blockBytes}-byte blocks`
    throw new ImageError(file.name, 'size', problem)
  }
  if (file.resize(sizeBytes) !== FileStatus.OK) {
    throw new ImageError(file.name, 'size', file.lastError)
  }
}

function fillVhdx(file: BackingFile, options: CreateImageOptions): void {
  const common = {
    newGuid,
    fixed: options.fixed ?? false,
    ...(options.blockBytes === undefined ? {} : { blockBytes: options.blockBytes }),
    ...(options.logicalBlockBytes === undefined
      ? {}
      : { logicalSectorBytes: options.logicalBlockBytes }),
    ...(options.physicalBlockBytes === undefined
      ? {}
      : { physicalSectorBytes: options.physicalBlockBytes }),
  }
  if (options.parent === undefined) {
    const diskId = options.diskId === undefined ? {} : { diskId: options.diskId }
    createVhdx(file, { ...common, ...diskId, virtualBytes: options.sizeBytes! })
    return
  }
  const parent = infoOf(options.parent)
  // Over a chain that can't be opened a child would be worthless.
  const parents = findParents(options.parent, parent.parent, [])
  refuseLongChain(options.parent, parents.length + 2)
  createVhdx(file, {
    ...common,
    virtualBytes: options.sizeBytes ?? parent.virtualBytes,
    logicalSectorBytes: parent.logicalSectorBytes,
    physicalSectorBytes: parent.physicalSectorBytes,
    diskId: parent.diskId,
    parent: referenceTo(options.parent, file.name, parent.dataWriteGuid),
  })
}

function infoOf(path: string): VhdxInfo {
  const file = openLocked(path, { readOnly: true })
  try {
    return readVhdxInfo(file)
  } finally {
    file.close()
  }
}

/** Where a file is, or will be: behind a link that is replaced. */
function folderOf(path: string): string {
  return existsSync(path) ? dirname(realpathSync(path)) : realpathSync(dirname(path))
}

/** Where a child finds its parent: beside it first, so that the two can be moved together. */
function referenceTo(parentPath: string, childPath: string, linkage: Guid): ParentReference {
  const absolute = realpathSync(parentPath)
  const way = relative(folderOf(childPath), absolute)
  return {
    linkage,
    linkage2: null,
    relativePath: `.\\${way.split(sep).join('\\')}`,
    volumePath: null,
    absolutePath: absolute,
  }
}
