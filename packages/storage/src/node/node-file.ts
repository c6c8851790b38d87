// HOT: a file of this host as a disk image sees it. Reads and writes go straight between the page cache and the given bytes.

import { closeSync, fdatasync, fdatasyncSync, fstatSync, ftruncateSync } from 'node:fs'
import { openSync, readSync, statSync, writeSync } from 'node:fs'

import { FileStatus } from '../backends/backing-file.ts'
import type { BackingFile } from '../backends/backing-file.ts'
import { ImageError } from '../backends/image.ts'
import { asImageError, errorCode, errorText } from './host-error.ts'

export interface FileOptions {
  /** False when left out. */
  readonly readOnly?: boolean
  /**
   * `async` (when left out): a sync runs in a thread of the platform's pool and is PENDING meanwhile. `sync`: it is done when it has
   * begun, which blocks the thread; virtual time needs it.
   */
  readonly flush?: 'async' | 'sync'
  /** Called from the event loop when a sync has ended: whoever polls the disk shall look again. */
  readonly wake?: () => void
}

/** Opens a regular file. Throws an ImageError when that can't be. It is not locked: `openImage` is who does that. */
export function openBackingFile(path: string, options: FileOptions = {}): BackingFile {
  return openWith(path, options, nobody)
}

/** The same; `closed` is called when the file is closed. */
export function openWith(path: string, options: FileOptions, closed: () => void): BackingFile {
  try {
    // Before it is opened: a pipe would wait for its other end.
    const status = statSync(path)
    if (status.isFile()) {
      const fd = openSync(path, options.readOnly === true ? 'r' : 'r+')
      return new NodeFile(path, fd, fstatSync(fd).size, options, closed)
    }
    throw new ImageError(path, '', status.isDirectory() ? 'is a folder' : 'is not a regular file')
  } catch (error) {
    throw asImageError(path, error)
  }
}

/** Makes a new, empty file, open for reading and writing. Throws an ImageError; also when there is one of that name. */
export function createBackingFile(path: string, options: FileOptions = {}): BackingFile {
  return createNamed(path, path, options)
}

/** The same; messages call it `name`, and `mode` says who may open it. */
export function createNamed(
  path: string,
  name: string,
  options: FileOptions,
  mode = 0o644,
): BackingFile {
  try {
    const fd = openSync(path, 'wx+', mode)
    return new NodeFile(name, fd, 0, { ...options, readOnly: false }, nobody)
  } catch (error) {
    throw asImageError(name, error)
  }
}

class NodeFile implements BackingFile {
  readonly name: string
  readonly readOnly: boolean
  sizeBytes: number
  lastError = ''
  readonly #fd: number
  readonly #isSync: boolean
  readonly #wake: () => void
  readonly #closed: () => void
  /** The latest sync that was asked for, that has begun, that has ended. */
  #wanted = 0
  #begun = 0
  #ended = 0
  /** The first sync that failed, and all after it: the host may have dropped what it could not write. */
  #failedFrom = Infinity
  #closing = false

  constructor(
    name: string,
    fd: number,
    sizeBytes: number,
    options: FileOptions,
    closed: () => void,
  ) {
    this.#closed = closed
    this.name = name
    this.readOnly = options.readOnly ?? false
    this.sizeBytes = sizeBytes
    this.#fd = fd
    this.#isSync = options.flush === 'sync'
    this.#wake = options.wake ?? nobody
  }

  read(position: number, bytes: Uint8Array, at: number, lengthBytes: number): FileStatus {
    try {
      while (lengthBytes > 0) {
        const got = readSync(this.#fd, bytes, at, lengthBytes, position)
        if (got === 0) return FileStatus.BEYOND_END
        position += got
        at += got
        lengthBytes -= got
      }
      return FileStatus.OK
    } catch (error) {
      return this.#statusOf(error)
    }
  }

  write(position: number, bytes: Uint8Array, at: number, lengthBytes: number): FileStatus {
    if (this.readOnly) return FileStatus.READ_ONLY
    try {
      while (lengthBytes > 0) {
        const done = writeSync(this.#fd, bytes, at, lengthBytes, position)
        position += done
        at += done
        lengthBytes -= done
        if (position > this.sizeBytes) this.sizeBytes = position
      }
      return FileStatus.OK
    } catch (error) {
      return this.#statusOf(error)
    }
  }

  resize(sizeBytes: number): FileStatus {
    if (this.readOnly) return FileStatus.READ_ONLY
    try {
      ftruncateSync(this.#fd, sizeBytes)
      this.sizeBytes = sizeBytes
      return FileStatus.OK
    } catch (error) {
      return this.#statusOf(error)
    }
  }

  sync(): number {
    this.#wanted = this.#begun + 1
    if (this.#begun === this.#ended) this.#beginSync()
    return this.#wanted
  }

  syncStatus(ticket: number): FileStatus {
    if (ticket > this.#ended) return FileStatus.PENDING
    return ticket >= this.#failedFrom ? FileStatus.IO_ERROR : FileStatus.OK
  }

  close(): void {
    if (this.#closing) return
    this.#closing = true
    // A sync under way has the descriptor: it may not become another file's meanwhile.
    if (this.#begun === this.#ended) this.#release()
  }

  #beginSync(): void {
    this.#begun = this.#wanted
    if (!this.#isSync) {
      fdatasync(this.#fd, this.#syncEnded)
      return
    }
    try {
      fdatasyncSync(this.#fd)
      this.#noteSync(null)
    } catch (error) {
      this.#noteSync(error)
    }
  }

  readonly #syncEnded = (error: unknown): void => {
    this.#noteSync(error)
    if (this.#closing) {
      this.#release()
      return
    }
    if (this.#wanted > this.#begun) this.#beginSync()
    this.#wake()
  }

  #release(): void {
    closeSync(this.#fd)
    this.#closed()
  }

  #noteSync(error: unknown): void {
    this.#ended = this.#begun
    if (error === null) return
    this.lastError = errorText(error)
    this.#failedFrom = Math.min(this.#failedFrom, this.#ended)
  }

  #statusOf(error: unknown): FileStatus {
    this.lastError = errorText(error)
    const code = errorCode(error)
    const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
    return isFull ? FileStatus.NO_SPACE : FileStatus.IO_ERROR
  }
}

function nobody(): void {}
