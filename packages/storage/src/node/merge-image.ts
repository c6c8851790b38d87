// A child that becomes its parent.

import { lstatSync, realpathSync, rmSync } from 'node:fs'

import type { BackingFile } from '../backends/backing-file.ts'
import { ImageError } from '../backends/image.ts'
import { mergeVhdx, readVhdxInfo } from '../backends/vhdx/index.ts'
import type { OpenParent } from '../backends/vhdx/index.ts'
import { OpenFilesJob } from './file-job.ts'
import type { FileJob } from './file-job.ts'
import { asImageError } from './host-error.ts'
import { formatOf } from './image-format.ts'
import { lockImage } from './image-lock.ts'
import { openBackingFile } from './node-file.ts'
import { newGuid, openLocked, openParent, parentPath, refuseOtherNames } from './open-image.ts'

/**
 * Writes what a differencing image holds into its parent, and removes the child. Nobody else may use the two; other children of the
 * parent are worthless afterwards. Given up in the middle, the chain is as whole as before, and the merge may be begun again. Throws an
 * `ImageError` when it can't begin.
 */
export function mergeImage(childPath: string): FileJob {
  const open: BackingFile[] = []
  const keep = (file: BackingFile): BackingFile => {
    open.push(file)
    return file
  }
  // The merge closes the child before it is removed: its lock is held until then.
  const lock = lockImage(childPath, 'write')
  const close = (): void => {
    for (const file of open) file.close()
    lock.release()
  }
  try {
    refuseOtherNames(childPath)
    const child = keep(openBackingFile(childPath, { flush: 'sync' }))
    const parent = keep(openLocked(parentOf(child), { flush: 'sync' }))
    const openGrandparent: OpenParent = (reference, file) => keep(openParent(reference, file))
    const job = mergeVhdx(child, parent, { newGuid, openParent: openGrandparent })
    const finish = (): void => {
      try {
        removeImage(childPath)
      } catch (error) {
        throw asImageError(childPath, error)
      } finally {
        lock.release()
      }
    }
    return new OpenFilesJob(parent.name, job, finish, close)
  } catch (error) {
    close()
    throw error
  }
}

/** The file itself, and the link that led to it. */
function removeImage(path: string): void {
  rmSync(realpathSync(path))
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false
  if (isLink) rmSync(path)
}

function parentOf(child: BackingFile): string {
  const parent = formatOf(child) === 'vhdx' ? readVhdxInfo(child).parent : null
  if (parent === null) throw new ImageError(child.name, '', 'has no parent')
  return parentPath(parent, child.name)
}
