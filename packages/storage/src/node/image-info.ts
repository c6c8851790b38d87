// What an image is, and whether it is sound.

import { statSync } from 'node:fs'

import { readGuid } from '@guestyard/hvdef'

import type { BackingFile } from '../backends/backing-file.ts'
import { ImageError } from '../backends/image.ts'
import type { ImageFinding } from '../backends/image.ts'
import { checkVhd } from '../backends/vhd/check-vhd.ts'
import { readLayout } from '../backends/vhd/structures.ts'
import { checkVhdx, readVhdxInfo } from '../backends/vhdx/index.ts'
import type { ParentReference } from '../backends/vhdx/index.ts'
import { formatOf } from './image-format.ts'
import type { ImageFormat } from './image-format.ts'
import { openLocked } from './open-image.ts'
import { findParents } from './parent-chain.ts'

/** Plain data. Sizes are bytes. */
export interface ImageInfo {
  readonly path: string
  readonly format: ImageFormat
  readonly kind: 'fixed' | 'dynamic' | 'differencing'
  /** Of the disk that a guest sees. */
  readonly sizeBytes: number
  /** Of the file, and of what the host keeps of it: a sparse file has holes. */
  readonly fileBytes: number
  readonly hostBytes: number
  /** 512 for a raw image, which doesn't say. */
  readonly logicalBlockBytes: number
  readonly physicalBlockBytes: number
  /** What a dynamic image grows by; null for one that doesn't. */
  readonly blockBytes: number | null
  /** What names the disk, as a GUID's text; null where nothing does. */
  readonly diskId: string | null
  /** The chain of parents, the nearest first. */
  readonly parents: readonly string[]
  /** Why the chain ends too soon; null: it doesn't. */
  readonly parentProblem: string | null
}

/**
 * What an image is; `format`: what it must be, as `openImage` takes it. Throws an `ImageError` when it is in use for writing, or damaged.
 * Damage of blocks is not looked for.
 */
export function imageInfo(path: string, format?: ImageFormat): ImageInfo {
  const file = openLocked(path, { readOnly: true })
  try {
    const { size, blocks } = statSync(path)
    return { path, ...describe(file, format), fileBytes: size, hostBytes: blocks * 512 }
  } finally {
    file.close()
  }
}

type Described = Omit<ImageInfo, 'path' | 'fileBytes' | 'hostBytes'>

function describe(file: BackingFile, wanted: ImageFormat | undefined): Described {
  const format = formatOf(file, wanted)
  switch (format) {
    case 'raw':
      return {
        format,
        kind: 'fixed',
        sizeBytes: file.sizeBytes,
        logicalBlockBytes: 512,
        physicalBlockBytes: 4096,
        blockBytes: null,
        diskId: null,
        ...NO_PARENTS,
      }
    case 'vhd': {
      const { kind, sizeBytes, blockBytes, uniqueId } = readLayout(file)
      return {
        format,
        kind,
        sizeBytes,
        logicalBlockBytes: 512,
        physicalBlockBytes: 512,
        blockBytes: kind === 'fixed' ? null : blockBytes,
        diskId: dashed(uniqueId),
        ...NO_PARENTS,
      }
    }
    case 'vhdx': {
      const info = readVhdxInfo(file)
      const { diskId } = info
      return {
        format,
        kind: info.kind,
        sizeBytes: info.virtualBytes,
        logicalBlockBytes: info.logicalSectorBytes,
        physicalBlockBytes: info.physicalSectorBytes,
        blockBytes: info.kind === 'fixed' ? null : info.blockBytes,
        diskId: readGuid(new DataView(diskId.buffer, diskId.byteOffset, 16), 0),
        ...parentsOf(info.parent, file.name),
      }
    }
  }
}

const NO_PARENTS = { parents: [], parentProblem: null }

function parentsOf(
  first: ParentReference | null,
  child: string,
): Pick<ImageInfo, 'parents' | 'parentProblem'> {
  const parents: string[] = []
  try {
    findParents(child, first, parents)
    return { parents, parentProblem: null }
  } catch (error) {
    if (!(error instanceof ImageError)) throw error
    return { parents, parentProblem: error.message }
  }
}

/** A name that travels in the order in which it is read. */
function dashed(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

export interface ImageCheck {
  readonly path: string
  readonly format: ImageFormat
  readonly findings: readonly ImageFinding[]
}

/** Looks for damage; parents are not looked at. Nothing is written. Throws an `ImageError` only when the file can't be read at all. */
export function checkImage(path: string): ImageCheck {
  const file = openLocked(path, { readOnly: true })
  try {
    const format = formatOf(file)
    return { path, format, findings: findingsOf(file, format) }
  } finally {
    file.close()
  }
}

function findingsOf(file: BackingFile, format: ImageFormat): readonly ImageFinding[] {
  switch (format) {
    case 'raw':
      return []
    case 'vhd':
      return checkVhd(file)
    case 'vhdx':
      return checkVhdx(file).findings
  }
}
