// Files for tests: in memory, with as much room as a test says, and with a power cord to pull.

import { FileStatus } from '../backends/backing-file.ts'
import type { BackingFile } from '../backends/backing-file.ts'

/** What the host may write back by itself, and tear. */
const SECTOR_BYTES = 512

export interface MemoryFileOptions {
  readonly name?: string
  readonly readOnly?: boolean
  /** What is in it at first, and durable. Copied. */
  readonly bytes?: Uint8Array
  /** Syncs stay PENDING until `endSyncs`. False when left out: they are done when they have begun. */
  readonly slowSyncs?: boolean
}

interface Change {
  readonly position: number
  /** Null: the file's size becomes `position`. */
  readonly bytes: Uint8Array | null
}

/**
 * A file that knows what of it is durable. `roomBytes` is how long it may get (NO_SPACE beyond); `changesLeft` how many more
 * changes (writes, resizes, syncs) it takes before the power goes: from then on everything is an IO_ERROR. `afterPowerLoss` is what
 * may be found then.
 */
export class MemoryFile implements BackingFile {
  readonly name: string
  readonly readOnly: boolean
  sizeBytes: number
  lastError = ''
  roomBytes = Infinity
  changesLeft = Infinity
  /** How many changes there were, those included that failed for want of power. */
  changeCount = 0
  closed = false
  readonly #slowSyncs: boolean
  #bytes: Uint8Array
  #durable: Uint8Array
  #durableSize: number
  /** Since the last sync that ended, in order. */
  readonly #changes: Change[] = []
  #begunSync = 0
  #endedSync = 0
  /** How many of `#changes` the latest sync covers. */
  #covered = 0

  constructor(options: MemoryFileOptions = {}) {
    this.name = options.name ?? 'memory'
    this.readOnly = options.readOnly ?? false
    this.#slowSyncs = options.slowSyncs ?? false
    const bytes = options.bytes ?? new Uint8Array(0)
    this.sizeBytes = bytes.length
    this.#bytes = bytes.slice()
    this.#durable = bytes.slice()
    this.#durableSize = bytes.length
  }

  /** A copy of what is in it now. */
  contents(): Uint8Array {
    return this.#bytes.slice(0, this.sizeBytes)
  }

  read(position: number, bytes: Uint8Array, at: number, lengthBytes: number): FileStatus {
    if (this.changesLeft <= 0) return this.#fail('no power')
    if (lengthBytes > this.sizeBytes - position) return FileStatus.BEYOND_END
    bytes.set(this.#bytes.subarray(position, position + lengthBytes), at)
    return FileStatus.OK
  }

  write(position: number, bytes: Uint8Array, at: number, lengthBytes: number): FileStatus {
    if (this.readOnly) return FileStatus.READ_ONLY
    if (!this.#spend()) return this.#fail('no power')
    const end = position + lengthBytes
    if (end > Math.max(this.roomBytes, this.sizeBytes)) return this.#noSpace()
    this.#change({ position, bytes: bytes.slice(at, at + lengthBytes) })
    return FileStatus.OK
  }

  resize(sizeBytes: number): FileStatus {
    if (this.readOnly) return FileStatus.READ_ONLY
    if (!this.#spend()) return this.#fail('no power')
    if (sizeBytes > Math.max(this.roomBytes, this.sizeBytes)) return this.#noSpace()
    this.#change({ position: sizeBytes, bytes: null })
    return FileStatus.OK
  }

  sync(): number {
    this.#begunSync += 1
    this.#covered = this.#changes.length
    if (!this.#slowSyncs && this.#spend()) this.endSyncs()
    return this.#begunSync
  }

  syncStatus(ticket: number): FileStatus {
    if (ticket <= this.#endedSync) return FileStatus.OK
    return this.changesLeft <= 0 ? FileStatus.IO_ERROR : FileStatus.PENDING
  }

  /** Ends what syncs have begun. */
  endSyncs(): void {
    for (const change of this.#changes.splice(0, this.#covered)) {
      this.#durable = applied(this.#durable, change)
      this.#durableSize = sizeAfter(this.#durableSize, change)
    }
    this.#covered = 0
    this.#endedSync = this.#begunSync
  }

  close(): void {
    this.closed = true
  }

  /**
   * What a restart may find: what is durable, and of the later changes any sectors, in order, and any of the sizes that the file had.
   * `chance` draws from 0 up to 1.
   */
  afterPowerLoss(chance: () => number): Uint8Array {
    let bytes: Uint8Array = this.#durable.slice()
    let size = this.#durableSize
    const sizesKept = Math.floor(extreme(chance) * (this.#changes.length + 1))
    for (const [index, change] of this.#changes.entries()) {
      if (index < sizesKept) size = sizeAfter(size, change)
      const kept = extreme(chance)
      for (const part of sectorsOf(change)) {
        if (part.bytes === null || chance() < kept) bytes = applied(bytes, part)
      }
    }
    const found = new Uint8Array(size)
    found.set(bytes.subarray(0, size))
    return found
  }

  #spend(): boolean {
    this.changeCount += 1
    if (this.changesLeft <= 0) return false
    this.changesLeft -= 1
    return true
  }

  #change(change: Change): void {
    this.#changes.push(change)
    this.#bytes = applied(this.#bytes, change)
    this.sizeBytes = sizeAfter(this.sizeBytes, change)
  }

  #fail(error: string): FileStatus {
    this.lastError = error
    return FileStatus.IO_ERROR
  }

  #noSpace(): FileStatus {
    this.lastError = 'ENOSPC: no space left on device, write'
    return FileStatus.NO_SPACE
  }
}

/** Nothing, nearly all, or anything between: what is torn in the middle is only one of the ways to lose. */
function extreme(chance: () => number): number {
  const draw = chance()
  if (draw < 1 / 3) return 0
  return draw < 2 / 3 ? 1 - Number.EPSILON : chance()
}

function sizeAfter(sizeBytes: number, change: Change): number {
  if (change.bytes === null) return change.position
  return Math.max(sizeBytes, change.position + change.bytes.length)
}

/** The same array where there is room in it. Bytes beyond the file's size are zeros. */
function applied(bytes: Uint8Array, change: Change): Uint8Array {
  const end = change.position + (change.bytes?.length ?? 0)
  if (end > bytes.length) {
    const longer = new Uint8Array(Math.max(end, bytes.length * 2))
    longer.set(bytes)
    bytes = longer
  }
  if (change.bytes === null) bytes.fill(0, change.position)
  else bytes.set(change.bytes, change.position)
  return bytes
}

function* sectorsOf(change: Change): Generator<Change> {
  if (change.bytes === null) {
    yield change
    return
  }
  const { bytes, position } = change
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES))
    yield { position: position + at, bytes: bytes.subarray(at, end) }
    at = end
  }
}
