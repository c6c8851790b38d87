// A file for tests of images that are mostly holes: pages in a map, cheap to copy, and a record of every change, from which the
// power can be cut at any of them.

import { FileStatus, type BackingFile } from '@guestyard/storage'

const PAGE = 4096
/** What the host writes back or tears. */
const SECTOR = 512

/** Bytes of which most are zeros. A copy shares pages until one of the two writes to them. */
export class SparseBytes {
  size: number
  readonly #pages: Map<number, Uint8Array>
  #own = new Set<number>()

  constructor(size = 0, pages = new Map<number, Uint8Array>()) {
    this.size = size
    this.#pages = pages
  }

  static of(bytes: Uint8Array): SparseBytes {
    const sparse = new SparseBytes(bytes.length)
    for (let at = 0; at < bytes.length; at += PAGE) {
      const page = bytes.subarray(at, at + PAGE)
      if (page.some((byte) => byte !== 0)) sparse.write(at, page, 0, page.length)
    }
    return sparse
  }

  copy(): SparseBytes {
    this.#own = new Set()
    return new SparseBytes(this.size, new Map(this.#pages))
  }

  read(position: number, into: Uint8Array, at: number, length: number): void {
    for (let done = 0; done < length;) {
      const number = Math.floor((position + done) / PAGE)
      const inPage = (position + done) % PAGE
      const count = Math.min(PAGE - inPage, length - done)
      const page = this.#pages.get(number)
      if (page === undefined) into.fill(0, at + done, at + done + count)
      else into.set(page.subarray(inPage, inPage + count), at + done)
      done += count
    }
  }

  write(position: number, bytes: Uint8Array, at: number, length: number): void {
    for (let done = 0; done < length;) {
      const number = Math.floor((position + done) / PAGE)
      const inPage = (position + done) % PAGE
      const count = Math.min(PAGE - inPage, length - done)
      this.#writable(number).set(bytes.subarray(at + done, at + done + count), inPage)
      done += count
    }
    this.size = Math.max(this.size, position + length)
  }

  resize(size: number): void {
    if (size < this.size) {
      for (const number of this.#pages.keys()) {
        if ((number + 1) * PAGE <= size) continue
        if (number * PAGE >= size) this.#pages.delete(number)
        else this.#writable(number).fill(0, size % PAGE)
      }
    }
    this.size = size
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.size)
    this.read(0, bytes, 0, this.size)
    return bytes
  }

  /** File offsets and bytes of the pages that are not holes. */
  *stored(): Generator<[number, Uint8Array]> {
    for (const [number, page] of this.#pages) yield [number * PAGE, page]
  }

  #writable(number: number): Uint8Array {
    const page = this.#pages.get(number)
    if (page !== undefined && this.#own.has(number)) return page
    const own = page === undefined ? new Uint8Array(PAGE) : page.slice()
    this.#pages.set(number, own)
    this.#own.add(number)
    return own
  }
}

export type Change =
  | { readonly is: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly is: 'resize'; readonly size: number }
  | { readonly is: 'sync begins'; readonly ticket: number }
  | { readonly is: 'sync ends'; readonly ticket: number }

export interface SparseFileOptions {
  readonly bytes?: SparseBytes
  readonly readOnly?: boolean
  readonly name?: string
  /** Syncs stay PENDING until `endSyncs`. */
  readonly slowSyncs?: boolean
  /** Keep `changes`. */
  readonly record?: boolean
}

export class SparseFile implements BackingFile {
  readonly name: string
  readonly readOnly: boolean
  lastError = ''
  closed = false
  readonly bytes: SparseBytes
  readonly changes: Change[] = []
  writeCount = 0
  /** Writes that would take more pages than this get NO_SPACE, and so do longer sizes than `roomBytes`. */
  roomBytes = Infinity
  /** Asked before each write: a status that is not OK is the write's. */
  onWrite: (position: number, length: number) => FileStatus = () => FileStatus.OK
  /** What syncs from now on end with. */
  syncsEndWith: FileStatus = FileStatus.OK
  readonly #slow: boolean
  readonly #record: boolean
  #begun = 0
  #ended = 0
  #failedFrom = Infinity

  constructor(options: SparseFileOptions = {}) {
    this.name = options.name ?? 'sparse'
    this.readOnly = options.readOnly ?? false
    this.bytes = options.bytes ?? new SparseBytes()
    this.#slow = options.slowSyncs ?? false
    this.#record = options.record ?? false
  }

  get sizeBytes(): number {
    return this.bytes.size
  }

  read(position: number, bytes: Uint8Array, at: number, lengthBytes: number): FileStatus {
    if (position + lengthBytes > this.bytes.size) return FileStatus.BEYOND_END
    this.bytes.read(position, bytes, at, lengthBytes)
    return FileStatus.OK
  }

  write(position: number, bytes: Uint8Array, at: number, lengthBytes: number): FileStatus {
    if (this.readOnly) return FileStatus.READ_ONLY
    this.writeCount += 1
    if (position + lengthBytes > this.roomBytes) return FileStatus.NO_SPACE
    const status = this.onWrite(position, lengthBytes)
    if (status !== FileStatus.OK) return status
    if (this.#record) {
      this.changes.push({ is: 'write', position, bytes: bytes.slice(at, at + lengthBytes) })
    }
    this.bytes.write(position, bytes, at, lengthBytes)
    return FileStatus.OK
  }

  resize(size: number): FileStatus {
    if (this.readOnly) return FileStatus.READ_ONLY
    if (size > Math.max(this.roomBytes, this.bytes.size)) return FileStatus.NO_SPACE
    if (this.#record) this.changes.push({ is: 'resize', size })
    this.bytes.resize(size)
    return FileStatus.OK
  }

  sync(): number {
    this.#begun += 1
    if (this.syncsEndWith !== FileStatus.OK) {
      this.#failedFrom = Math.min(this.#failedFrom, this.#begun)
    }
    if (this.#record) this.changes.push({ is: 'sync begins', ticket: this.#begun })
    if (!this.#slow) this.endSyncs()
    return this.#begun
  }

  syncStatus(ticket: number): FileStatus {
    if (ticket > this.#ended) return FileStatus.PENDING
    return ticket >= this.#failedFrom ? FileStatus.IO_ERROR : FileStatus.OK
  }

  /** Ends what has begun. */
  endSyncs(): void {
    if (this.#record && this.#begun > this.#ended) {
      this.changes.push({ is: 'sync ends', ticket: this.#begun })
    }
    this.#ended = this.#begun
  }

  close(): void {
    this.closed = true
  }
}

/**
 * Walks through a record: `step` takes the next change, `cut` is what a restart may find if the power goes now. Durable is what was
 * there before a sync began that has ended; of the rest any sectors of 512 bytes may be there, in order, and any of the sizes.
 */
export class PowerCord {
  readonly #durable: SparseBytes
  readonly #changes: readonly Change[]
  #next = 0
  #loose: Change[] = []
  /** How many of the loose changes each sync under way covers. */
  readonly #covered = new Map<number, number>()

  constructor(start: SparseBytes, changes: readonly Change[]) {
    this.#durable = start.copy()
    this.#changes = changes
  }

  /** False: there is none left. */
  step(): boolean {
    const change = this.#changes[this.#next]
    if (change === undefined) return false
    this.#next += 1
    if (change.is === 'sync begins') this.#covered.set(change.ticket, this.#loose.length)
    else if (change.is === 'sync ends') this.#settle(change.ticket)
    else this.#loose.push(change)
    return true
  }

  cut(chance: () => number): SparseBytes {
    const found = this.#durable.copy()
    let size = found.size
    const kept = chance()
    const sizes = Math.floor(chance() * (this.#loose.length + 1))
    for (const [index, change] of this.#loose.entries()) {
      if (index < sizes) size = sizeAfter(size, change)
      if (change.is === 'resize') found.resize(change.size)
      if (change.is !== 'write') continue
      const { position, bytes } = change
      for (let at = 0; at < bytes.length;) {
        const length = Math.min(bytes.length - at, SECTOR - ((position + at) % SECTOR))
        if (chance() < kept) found.write(position + at, bytes, at, length)
        at += length
      }
    }
    found.resize(size)
    return found
  }

  #settle(ticket: number): void {
    const count = this.#covered.get(ticket) ?? 0
    for (const change of this.#loose.slice(0, count)) {
      if (change.is === 'write') {
        this.#durable.write(change.position, change.bytes, 0, change.bytes.length)
      }
      if (change.is === 'resize') this.#durable.resize(change.size)
    }
    this.#loose = this.#loose.slice(count)
    for (const [other, covered] of this.#covered) {
      this.#covered.set(other, Math.max(0, covered - count))
    }
  }
}

function sizeAfter(size: number, change: Change): number {
  if (change.is === 'resize') return change.size
  return change.is === 'write' ? Math.max(size, change.position + change.bytes.length) : size
}
