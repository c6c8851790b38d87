// A child that becomes its parent.

import { rmSync } from 'node:fs'

import type { BackingFile } from '../backends/backing-file.ts'
import { ImageError } from '../backends/image.ts'
import { mergeVhdx, readVhdxInfo } from '../backends/vhdx/index.ts'
import { OpenFilesJob } from './file-job.ts'
import type { FileJob } from './file-job.ts'
import { formatOf } from './image-format.ts'
import { newGuid, openLocked, openParent, parentPath } from './open-image.ts'

/**
 * Writes what a differencing image holds into its parent, and removes the child. Nobody else may use the two; other children of the
 * parent are worthless afterwards. Given up in the middle, the chain is as whole as before, and the merge may be begun again. Throws an
 * `ImageError` when it can't begin.
 */
export function mergeImage(childPath: string): FileJob {
  const open: BackingFile[] = []
  const close = (): void => {
    for (const file of open) file.close()
  }
  try {
    const child = openLocked(childPath, { flush: 'sync' })
    open.push(child)
    const parent = openLocked(parentOf(child), { flush: 'sync' })
    open.push(parent)
    const job = mergeVhdx(child, parent, { newGuid, openParent })
    const finish = (): void => rmSync(childPath)
    return new OpenFilesJob(parent.name, job, finish, close)
  } catch (error) {
    close()
    throw error
  }
}

function parentOf(child: BackingFile): string {
  const parent = formatOf(child) === 'vhdx' ? readVhdxInfo(child).parent : null
  if (parent === null) throw new ImageError(child.name, '', 'has no parent')
  return parentPath(parent, child.name)
}
