// A file that gets its name when it is whole: until then it lies beside it under another, and whoever is interrupted leaves nothing
// that could be taken for an image.

import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, closeSync, fsyncSync, linkSync, openSync } from 'node:fs'
import { realpathSync, renameSync, rmSync, statSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { basename, dirname, join } from 'node:path'

import type { BackingFile } from '../backends/backing-file.ts'
import { ImageError } from '../backends/image.ts'
import { asImageError, errorCode } from './host-error.ts'
import { lockImage } from './image-lock.ts'
import type { ImageLock } from './image-lock.ts'
import { createNamed } from './node-file.ts'

export interface NewFileOptions {
  /** A file of that name is replaced, unless somebody uses it. False when left out: it is refused. */
  readonly replace?: boolean
}

export class NewFile {
  readonly path: string
  /** Empty at first, open for reading and writing, its syncs done when they have begun. Closed by its user before `commit`. */
  readonly file: BackingFile
  readonly #temporary: string
  readonly #target: string
  readonly #replace: boolean
  /** What is replaced is nobody else's meanwhile. */
  readonly #lock: ImageLock | null

  /** Throws an ImageError when the file can't be made there. */
  constructor(path: string, options: NewFileOptions = {}) {
    this.path = path
    this.#replace = options.replace ?? false
    const there = statSync(path, { throwIfNoEntry: false })
    if (there !== undefined) {
      if (!there.isFile()) throw new ImageError(path, '', 'is there already, and is no file')
      if (!this.#replace) throw new ImageError(path, '', 'exists already')
    }
    // A link stays one: what it leads to is replaced.
    this.#target = there === undefined ? path : realpathSync(path)
    this.#temporary = join(
      dirname(this.#target),
      `.${basename(this.#target)}.${randomBytes(4).toString('hex')}.new`,
    )
    this.#lock = there === undefined ? null : lockImage(path, 'write')
    try {
      this.file = createNamed(this.#temporary, path, { flush: 'sync' }, there && OWNER_ONLY)
    } catch (error) {
      this.#lock?.release()
      throw error
    }
    if (there !== undefined) this.#beLike(there)
  }

  /** Gives the file its name. The file is durable and closed. Throws an ImageError, and the file is gone then. */
  commit(): void {
    try {
      if (this.#replace) renameSync(this.#temporary, this.#target)
      else nameNew(this.#temporary, this.#target)
      syncFolder(dirname(this.#target))
    } catch (error) {
      rmSync(this.#temporary, { force: true })
      throw asImageError(this.path, error)
    } finally {
      this.#lock?.release()
    }
  }

  /** Who may read the old file may read the new one, and nobody else. */
  #beLike(old: Stats): void {
    try {
      const { uid, gid } = statSync(this.#temporary)
      if (uid !== old.uid || gid !== old.gid) chownSync(this.#temporary, old.uid, old.gid)
      chmodSync(this.#temporary, old.mode & 0o777)
    } catch (error) {
      this.discard()
      throw asImageError(this.path, error)
    }
  }

  /** Leaves nothing. */
  discard(): void {
    this.file.close()
    rmSync(this.#temporary, { force: true })
    this.#lock?.release()
  }
}

/** Until it has the rights of the file that it replaces, nobody else may look at it. */
const OWNER_ONLY = 0o600

/** A link is refused where there is a file of that name by now; a renaming would replace it. */
function nameNew(temporary: string, path: string): void {
  try {
    linkSync(temporary, path)
    rmSync(temporary)
  } catch (error) {
    const hasNoLinks = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(errorCode(error))
    if (!hasNoLinks) throw error
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) {
      throw new ImageError(path, '', 'exists already')
    }
    renameSync(temporary, path)
  }
}

/** The name is durable then, too. Some systems open no folders: theirs have to do without. */
function syncFolder(folder: string): void {
  let fd: number
  try {
    fd = openSync(folder, 'r')
  } catch {
    return
  }
  try {
    fsyncSync(fd)
  } catch (error) {
    if (errorCode(error) !== 'EINVAL') throw error
  } finally {
    closeSync(fd)
  }
}
