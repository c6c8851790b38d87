// One disk copied to another. What is zero stays unwritten, so that a sparse image stays one.

import { DiskOperation, DiskRequest, DiskStatus, diskBytes } from './disk.ts'
import type { Disk } from './disk.ts'
import { ImageError } from './image.ts'
import type { ImageJob } from './image.ts'
import { isSparse } from './sparse-disk.ts'

const STEP_BYTES = 1 << 20
/** So much is looked at whether it is zero. */
const PART_BYTES = 1 << 16
/** Polls before a disk counts as stuck: its syncs are done when they have begun. */
const POLLS_MAX = 1_000_000

export interface NamedDisk {
  readonly disk: Disk
  /** What messages call it: its path. */
  readonly name: string
}

/** Copies all of `from` to `to`, which is zeros and at least as long. Both stay open; `to` is flushed at the end. */
export class CopyDisk implements ImageJob {
  doneBytes = 0
  readonly totalBytes: number
  readonly #from: NamedDisk
  readonly #to: NamedDisk
  readonly #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(STEP_BYTES)
  readonly #words = new Uint32Array(this.#bytes.buffer)
  readonly #request = new DiskRequest(1)

  /** Throws an ImageError when it can't fit. */
  constructor(from: NamedDisk, to: NamedDisk) {
    this.#from = from
    this.#to = to
    this.totalBytes = diskBytes(from.disk)
    const { logicalBlockBytes } = to.disk.geometry
    if (this.totalBytes > diskBytes(to.disk)) {
      throw new ImageError(
        to.name,
        'size',
        `${from.name} does not fit: it has ${this.totalBytes} bytes`,
      )
    }
    if (this.totalBytes % logicalBlockBytes !== 0) {
      const problem = `${this.totalBytes} bytes are no whole number of ${logicalBlockBytes}-byte blocks`
      throw new ImageError(to.name, 'size', problem)
    }
  }

  step(): boolean {
    this.#skipHoles()
    const lengthBytes = Math.min(STEP_BYTES, this.totalBytes - this.doneBytes)
    if (lengthBytes === 0) {
      this.#run(this.#to, DiskOperation.FLUSH, 0, 0)
      return true
    }
    this.#run(this.#from, DiskOperation.READ, 0, lengthBytes)
    this.#bytes.fill(0, lengthBytes)
    for (let at = 0; at < lengthBytes;) {
      const begin = at
      while (at < lengthBytes && !this.#isZero(at)) at += PART_BYTES
      const end = Math.min(at, lengthBytes)
      if (end > begin) this.#run(this.#to, DiskOperation.WRITE, begin, end - begin)
      else at += PART_BYTES
    }
    this.doneBytes += lengthBytes
    return false
  }

  #skipHoles(): void {
    const { disk } = this.#from
    if (!isSparse(disk)) return
    const { logicalBlockBytes } = disk.geometry
    const next = disk.nextData(Math.floor(this.doneBytes / logicalBlockBytes)) * logicalBlockBytes
    const begin = Math.min(next - (next % PART_BYTES), this.totalBytes)
    this.doneBytes = Math.max(this.doneBytes, begin)
  }

  #isZero(at: number): boolean {
    for (let index = at / 4; index < (at + PART_BYTES) / 4; index++) {
      if (this.#words[index] !== 0) return false
    }
    return true
  }

  /** Moves bytes between the disk, from where the copy is, and `#bytes`. */
  #run(named: NamedDisk, operation: DiskOperation, at: number, lengthBytes: number): void {
    const request = this.#request
    const { disk, name } = named
    const { logicalBlockBytes } = disk.geometry
    request.operation = operation
    request.block = (this.doneBytes + at) / logicalBlockBytes
    request.blockCount = lengthBytes / logicalBlockBytes
    request.data.beginBytes(this.#bytes)
    if (lengthBytes > 0) request.data.add(at, lengthBytes)
    disk.submit(request)
    for (let poll = 0; request.status === DiskStatus.PENDING && poll < POLLS_MAX; poll++) {
      disk.poll(64)
    }
    if (request.status !== DiskStatus.OK) throw new ImageError(name, '', problemOf(request.status))
  }
}

function problemOf(status: DiskStatus): string {
  if (status === DiskStatus.NO_SPACE) return 'no space left on the host'
  if (status === DiskStatus.READ_ERROR) return "can't be read"
  return status === DiskStatus.READ_ONLY ? 'is only read' : "can't be written"
}
