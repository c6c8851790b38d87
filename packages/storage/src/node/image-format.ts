// Which format a file has: by what is in it, and where that says nothing by its name.

import { extname } from 'node:path'

import { FileStatus } from '../backends/backing-file.ts'
import type { BackingFile } from '../backends/backing-file.ts'
import { ImageError } from '../backends/image.ts'
import { looksLikeVhd } from '../backends/vhd/structures.ts'

export const IMAGE_FORMATS = ['raw', 'vhd', 'vhdx'] as const
export type ImageFormat = (typeof IMAGE_FORMATS)[number]

/** What a name promises; undefined where it promises nothing, or raw. */
export function formatOfName(path: string): ImageFormat | undefined {
  return NAMED_FORMATS.get(extname(path).toLowerCase())
}

const NAMED_FORMATS: ReadonlyMap<string, ImageFormat> = new Map([
  ['.vhdx', 'vhdx'],
  ['.avhdx', 'vhdx'],
  ['.vhd', 'vhd'],
])

/**
 * The format of a file, or `wanted`, which it must be then; any file is raw to who wants that. A guest can write what looks like another
 * format into a raw disk. Throws an `ImageError`.
 */
export function formatOf(file: BackingFile, wanted?: ImageFormat): ImageFormat {
  if (wanted === 'raw') return wanted
  const found = foundIn(file)
  if (wanted === undefined || wanted === found) return found
  throw new ImageError(file.name, '', `is no ${wanted} image, it is ${found}`)
}

/**
 * Sound or not: a damaged VHDX is a VHDX. One that has lost even its first bytes, or its only footer, has its name yet: taken for raw,
 * its structures would be the disk that a guest writes to. What is neither is raw.
 */
function foundIn(file: BackingFile): ImageFormat {
  const start = new Uint8Array(8)
  if (file.sizeBytes >= 8) {
    if (file.read(0, start, 0, 8) !== FileStatus.OK) {
      throw new ImageError(file.name, '', `can't be read: ${file.lastError}`)
    }
    if (String.fromCharCode(...start) === 'vhdxfile') return 'vhdx'
  }
  return looksLikeVhd(file) ? 'vhd' : (formatOfName(file.name) ?? 'raw')
}
