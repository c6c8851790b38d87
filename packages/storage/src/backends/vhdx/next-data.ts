// Where a disk has blocks: what a copy needn't read is as good as copied.

import type { VhdxImage } from './image.ts'
import { BlockState } from './format.ts'

/** The first sector from this one on that is in the image or in one of its parents; beyond the disk when there is none. */
export function nextData(image: VhdxImage, sector: number): number {
  const { blockBytes, logicalBytes } = image.metadata
  let block = Math.floor((sector * logicalBytes) / blockBytes)
  if (hasData(image, block * blockBytes, blockBytes)) return sector
  while (block < image.table.blockCount && !hasData(image, block * blockBytes, blockBytes)) {
    block += 1
  }
  return (block * blockBytes) / logicalBytes
}

function hasData(image: VhdxImage, offset: number, lengthBytes: number): boolean {
  const { blockBytes } = image.metadata
  const end = Math.min(offset + lengthBytes, image.virtualBytes)
  for (let at = offset; at < end; at += blockBytes - (at % blockBytes)) {
    const state = image.table.entry(image.table.indexOf(Math.floor(at / blockBytes))) & 7
    if (state >= BlockState.FULLY_PRESENT) return true
    const isParents = state === BlockState.NOT_PRESENT && image.parent !== null
    if (isParents && hasData(image.parent, at, Math.min(blockBytes, end - at))) return true
  }
  return false
}
