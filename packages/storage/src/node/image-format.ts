// Which format a file has, by what is in it.

import { FileStatus } from '../backends/backing-file.ts'
import type { BackingFile } from '../backends/backing-file.ts'
import { ImageError } from '../backends/image.ts'
import { looksLikeVhd } from '../backends/vhd/structures.ts'

export const IMAGE_FORMATS = ['raw', 'vhd', 'vhdx'] as const
export type ImageFormat = (typeof IMAGE_FORMATS)[number]

/** Sound or not: a damaged VHDX is a VHDX. What is neither VHDX nor VHD is raw. */
export function formatOf(file: BackingFile): ImageFormat {
  const start = new Uint8Array(8)
  if (file.sizeBytes >= 8) {
    if (file.read(0, start, 0, 8) !== FileStatus.OK) {
      throw new ImageError(file.name, '', `can't be read: ${file.lastError}`)
    }
    if (String.fromCharCode(...start) === 'vhdxfile') return 'vhdx'
  }
  return looksLikeVhd(file) ? 'vhd' : 'raw'
}
