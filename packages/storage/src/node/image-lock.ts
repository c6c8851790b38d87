// Who has an image: one that writes, or any number that only read.
//
// Node has no file locks of its own, and the packages that add them are compiled at installation. SQLite is in every Node, and
// locks a database file with the system's own locks, between processes and between threads of one process: so the lock of
// `disk.vhdx` is SQLite's on the empty file `disk.vhdx.lock` beside it. The system drops it when its owner dies, whatever is left
// of the file. Other programs (qemu) know nothing of it.
//
// The last owner removes the file. Somebody may have opened it just then and lock a file that is no longer there; so whoever has the
// lock looks whether the name still leads to the file that was opened, and else begins again.

import { realpathSync, statSync, unlinkSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'

import { ImageError } from '../backends/image.ts'
import { asImageError, errorText } from './host-error.ts'

/** A lock that is held. */
export interface ImageLock {
  release(): void
}

const SQLITE_READONLY = 8
const SQLITE_BUSY = 5
const SQLITE_CANTOPEN = 14
/** So often a file that was removed under our hands is met. */
const TRIES_MAX = 16

/**
 * Locks an image that exists. Throws an ImageError when somebody has it: at once, nobody waits. Where no file can be made beside it
 * (a folder or a medium that is only read), reading needs no lock, and writing is refused.
 */
export function lockImage(path: string, use: 'read' | 'write'): ImageLock {
  const lockPath = `${realPath(path)}.lock`
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const before = fileId(lockPath)
    const database = openLockFile(path, lockPath, use)
    if (database === undefined) return NO_LOCK
    try {
      begin(path, database, use)
    } catch (error) {
      database.close()
      throw error
    }
    if (before !== undefined && before === fileId(lockPath)) {
      return new HeldLock(database, lockPath, before)
    }
    database.close()
  }
  throw new ImageError(path, '', `${lockPath} is made and removed again and again`)
}

/** A database that nobody refers to is closed by the garbage collector, and its lock gone. */
const held = new Set<HeldLock>()

class HeldLock implements ImageLock {
  readonly #lockPath: string
  readonly #fileId: string
  #database: DatabaseSync | null

  constructor(database: DatabaseSync, lockPath: string, id: string) {
    this.#database = database
    this.#lockPath = lockPath
    this.#fileId = id
    held.add(this)
  }

  release(): void {
    const database = this.#database
    if (database === null) return
    this.#database = null
    held.delete(this)
    try {
      // Alone with the file? Then nobody misses it. Nothing is committed: that would write a page, and wait until it is durable.
      database.exec('ROLLBACK; BEGIN EXCLUSIVE')
      // In between it may have been another's, who removed it: by that name there is somebody else's then.
      if (fileId(this.#lockPath) === this.#fileId) unlinkSync(this.#lockPath)
    } catch {
      // Others have it, or the system keeps open files: it stays, and locks nobody out.
    }
    database.close()
  }
}

const NO_LOCK: ImageLock = { release: () => undefined }

function openLockFile(
  path: string,
  lockPath: string,
  use: 'read' | 'write',
): DatabaseSync | undefined {
  try {
    const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
    return new DatabaseSync(lockPath)
  } catch (error) {
    if (codeOf(error) === SQLITE_CANTOPEN && use === 'read') return undefined
    if (codeOf(error) === SQLITE_CANTOPEN) {
      throw new ImageError(path, '', `can't be locked for writing: ${lockPath} can't be made`)
    }
    throw new ImageError(path, '', `can't be locked: ${lockPath}: ${errorText(error)}`)
  }
}

function begin(path: string, database: DatabaseSync, use: 'read' | 'write'): void {
  try {
    // Nothing is ever written: a journal beside the lock would only be litter.
    database.exec('PRAGMA journal_mode = MEMORY')
    // A transaction locks nothing before its first read.
    database.exec(use === 'write' ? 'BEGIN EXCLUSIVE' : 'BEGIN; SELECT count(*) FROM sqlite_schema')
  } catch (error) {
    const code = codeOf(error)
    if (code === SQLITE_BUSY) {
      const problem = use === 'write' ? 'is in use already' : 'is being written by somebody else'
      throw new ImageError(path, '', problem)
    }
    if (code === SQLITE_READONLY) {
      throw new ImageError(path, '', "can't be locked for writing: its lock file is only read")
    }
    throw new ImageError(path, '', `can't be locked: ${errorText(error)}`)
  }
}

/** SQLite's own, without what it says in the upper bytes. */
function codeOf(error: unknown): number {
  const { errcode } = Object(error) as { errcode?: unknown }
  return typeof errcode === 'number' ? errcode & 0xff : 0
}

/** With the time it was made at: the number of a file that was removed is soon another file's. */
function fileId(path: string): string | undefined {
  const status = statSync(path, { throwIfNoEntry: false, bigint: true })
  if (status === undefined) return undefined
  return `${status.dev}:${status.ino}:${status.birthtimeNs}`
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    throw asImageError(path, error)
  }
}
