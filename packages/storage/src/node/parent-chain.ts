// The parents of a differencing image, by path, as far as they fit together. Nothing stays open.

import { ImageError } from '../backends/image.ts'
import { CHAIN_LENGTH_MAX, readVhdxInfo } from '../backends/vhdx/index.ts'
import type { ParentReference } from '../backends/vhdx/index.ts'
import { openLocked, parentPath } from './open-image.ts'

/**
 * Adds the parents to `found`, the nearest first. `child` is the path of the image whose parent `first` is. Throws an `ImageError` where
 * the chain ends too soon, or goes on for too long; `found` has those before it.
 */
export function findParents(
  child: string,
  first: ParentReference | null,
  found: string[],
): readonly string[] {
  let reference = first
  for (let path = child; reference !== null;) {
    refuseLongChain(path, found.length + 2)
    path = parentPath(reference, path)
    found.push(path)
    reference = grandparentOf(path, reference)
  }
  return found
}

/** One that is longer is not opened: it may as well lead in a circle. */
export function refuseLongChain(path: string, fileCount: number): void {
  if (fileCount <= CHAIN_LENGTH_MAX) return
  throw new ImageError(path, 'parent locator', `more than ${CHAIN_LENGTH_MAX} files in a row`)
}

function grandparentOf(path: string, reference: ParentReference): ParentReference | null {
  const file = openLocked(path, { readOnly: true })
  try {
    const { dataWriteGuid, parent } = readVhdxInfo(file)
    if (dataWriteGuid !== reference.linkage && dataWriteGuid !== reference.linkage2) {
      throw new ImageError(path, '', 'was written since the child was made')
    }
    return parent
  } finally {
    file.close()
  }
}
