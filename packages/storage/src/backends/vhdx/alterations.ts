// Ordering changes of an image's structure, for jobs.

import { DiskStatus } from '../disk.ts'
import { ImageError } from '../image.ts'
import type { Alteration, AlterationState } from './alteration.ts'
import type { VhdxDisk } from './disk.ts'

/** Orders alterations of a disk one after the other, and polls until each is done. */
export class Alterations {
  readonly #disk: VhdxDisk
  #state: AlterationState | null = null

  constructor(disk: VhdxDisk) {
    this.#disk = disk
  }

  order(alteration: Alteration): void {
    this.#state = this.#disk.alter(alteration)
  }

  /** True when what was ordered is done. Throws an `ImageError` when it failed. */
  poll(): boolean {
    if (this.#state === null) return true
    this.#disk.advance(1)
    const { status, alteration } = this.#state
    if (status === DiskStatus.PENDING) return false
    this.#state = null
    if (status === DiskStatus.OK) return true
    throw new ImageError(this.#disk.file.name, alteration.field, problemOf(this.#disk, status))
  }
}

/** What a status is for people. */
export function problemOf(disk: VhdxDisk, status: DiskStatus): string {
  switch (status) {
    case DiskStatus.NO_SPACE:
      return 'no space left for it on the host'
    case DiskStatus.ABORTED:
      return 'the disk was closed'
    case DiskStatus.READ_ONLY:
      return 'the file is only read'
    case DiskStatus.OK:
    case DiskStatus.PENDING:
    case DiskStatus.OUT_OF_RANGE:
    case DiskStatus.UNSUPPORTED:
    case DiskStatus.READ_ERROR:
    case DiskStatus.WRITE_ERROR:
      return disk.file.lastError === '' ? 'the host failed' : disk.file.lastError
  }
}
