// Commands that a disk needs several requests for: UNMAP with its list of ranges, WRITE SAME with its one block of data. Each step is
// the same request slot again.

import { DiskOperation, type DiskRequest } from '../backends/disk.ts'

/** What remains of a command. */
export interface BlockJob {
  readonly hasNext: boolean
  /** Sets `io` up for the next step, which there is. */
  next(io: DiskRequest): void
  /** The command has ended: the job may serve another. */
  end(): void
}

/** Gives up ranges of blocks, one a step. */
export class UnmapJob implements BlockJob {
  readonly #blocks: Float64Array
  readonly #counts: Float64Array
  readonly #pool: UnmapJob[]
  #count = 0
  #at = 0

  /** Room for so many ranges. `pool` is where the job goes when it has ended. */
  constructor(maxRanges: number, pool: UnmapJob[]) {
    this.#pool = pool
    this.#blocks = new Float64Array(maxRanges)
    this.#counts = new Float64Array(maxRanges)
  }

  begin(): void {
    this.#count = 0
    this.#at = 0
  }

  /** The caller counts. */
  add(block: number, blockCount: number): void {
    this.#blocks[this.#count] = block
    this.#counts[this.#count] = blockCount
    this.#count += 1
  }

  get hasNext(): boolean {
    return this.#at < this.#count
  }

  next(io: DiskRequest): void {
    io.operation = DiskOperation.UNMAP
    io.block = this.#blocks[this.#at]!
    io.blockCount = this.#counts[this.#at]!
    io.durable = false
    this.#at += 1
  }

  end(): void {
    this.#pool.push(this)
  }
}

/** Bytes that a step of a `PatternJob` writes at most. */
const PATTERN_BYTES = 65536

/** Writes the same block over a range, as many at a time as fit a buffer. */
export class PatternJob implements BlockJob {
  readonly #bytes: Uint8Array = new Uint8Array(PATTERN_BYTES)
  readonly #pool: PatternJob[]
  #blockBytes = 0
  #block = 0
  #left = 0
  #durable = false

  constructor(pool: PatternJob[]) {
    this.#pool = pool
  }

  /** Where the block of data goes before `begin`. */
  get pattern(): Uint8Array {
    return this.#bytes
  }

  /** The block of data has no bit set. */
  isZero(blockBytes: number): boolean {
    for (let at = 0; at < blockBytes; at++) if (this.#bytes[at] !== 0) return false
    return true
  }

  begin(block: number, blockCount: number, blockBytes: number, durable: boolean): void {
    this.#blockBytes = blockBytes
    this.#block = block
    this.#left = blockCount
    this.#durable = durable
    const filled = Math.min(PATTERN_BYTES, blockCount * blockBytes)
    for (let at = blockBytes; at < filled; at += at) {
      this.#bytes.copyWithin(at, 0, Math.min(at, filled - at))
    }
  }

  get hasNext(): boolean {
    return this.#left > 0
  }

  next(io: DiskRequest): void {
    const blocks = Math.min(this.#left, PATTERN_BYTES / this.#blockBytes)
    io.operation = DiskOperation.WRITE
    io.block = this.#block
    io.blockCount = blocks
    io.durable = this.#durable
    io.data.beginBytes(this.#bytes)
    io.data.add(0, blocks * this.#blockBytes)
    this.#block += blocks
    this.#left -= blocks
  }

  end(): void {
    this.#pool.push(this)
  }
}
