import { FileStatus } from './backing-file.ts'
import type { BackingFile } from './backing-file.ts'
import { DiskStatus } from './disk.ts'

/** How a disk leaves its file: one more sync, then the file is closed. */
export class FileEnd {
  /** No more requests are taken. */
  closing = false
  closed = false
  closeStatus: DiskStatus = DiskStatus.OK
  readonly #file: BackingFile
  #ticket = 0

  constructor(file: BackingFile) {
    this.#file = file
  }

  /** Everything must have been written. Once. */
  begin(): void {
    if (this.closing) return
    this.closing = true
    if (!this.#file.readOnly) this.#ticket = this.#file.sync()
    this.poll()
  }

  poll(): void {
    if (this.closed) return
    if (!this.#file.readOnly) {
      const status = this.#file.syncStatus(this.#ticket)
      if (status === FileStatus.PENDING) return
      if (status !== FileStatus.OK) this.closeStatus = DiskStatus.WRITE_ERROR
    }
    this.#file.close()
    this.closed = true
  }
}
