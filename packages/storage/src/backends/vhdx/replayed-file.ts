// A file as it will be when its log is replayed, without a write to it: what an image is read and checked through before anything
// is written, and all that a read-only open of a dirty file ever uses.

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { SECTOR } from './format.ts'
import type { Replay } from './log-replay.ts'

export class ReplayedFile implements BackingFile {
  readonly readOnly = true
  readonly sizeBytes: number
  readonly #file: BackingFile
  readonly #replay: Replay

  constructor(file: BackingFile, replay: Replay) {
    this.#file = file
    this.#replay = replay
    this.sizeBytes = replay.sizeBytes
  }

  get name(): string {
    return this.#file.name
  }

  get lastError(): string {
    return this.#file.lastError
  }

  read(position: number, bytes: Uint8Array, at: number, lengthBytes: number): FileStatus {
    if (position + lengthBytes > this.sizeBytes) return FileStatus.BEYOND_END
    const inFile = Math.max(0, Math.min(lengthBytes, this.#file.sizeBytes - position))
    if (inFile > 0) {
      const status = this.#file.read(position, bytes, at, inFile)
      if (status !== FileStatus.OK) return status
    }
    bytes.fill(0, at + inFile, at + lengthBytes)
    const end = position + lengthBytes
    for (let page = position - (position % SECTOR); page < end; page += SECTOR) {
      const logged = this.#replay.pages.get(page)
      if (logged === undefined) continue
      const from = Math.max(page, position)
      const to = Math.min(page + SECTOR, end)
      if (logged === null) bytes.fill(0, at + from - position, at + to - position)
      else bytes.set(logged.subarray(from - page, to - page), at + from - position)
    }
    return FileStatus.OK
  }

  write(): FileStatus {
    return FileStatus.READ_ONLY
  }

  resize(): FileStatus {
    return FileStatus.READ_ONLY
  }

  sync(): number {
    return 0
  }

  syncStatus(): FileStatus {
    return FileStatus.OK
  }

  close(): void {
    this.#file.close()
  }
}

/** Writes what a log says to the file itself. The caller syncs. */
export function writeReplay(file: BackingFile, replay: Replay): FileStatus {
  if (replay.sizeBytes > file.sizeBytes) {
    const status = file.resize(replay.sizeBytes)
    if (status !== FileStatus.OK) return status
  }
  for (const [offset, page] of replay.pages) {
    const status = file.write(offset, page ?? ZERO_PAGE, 0, SECTOR)
    if (status !== FileStatus.OK) return status
  }
  return FileStatus.OK
}

const ZERO_PAGE = new Uint8Array(SECTOR)
