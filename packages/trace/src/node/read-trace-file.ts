import { createReadStream } from 'node:fs'

import { Unpackr } from 'msgpackr'

import { crc32 } from '../crc32.ts'
import {
  CHUNK_BYTES_MAX,
  CHUNK_HEAD_BYTES,
  CHUNK_SUM_BYTES,
  PREAMBLE_BYTES,
  TraceFileError,
  checkPreamble,
  entryOf,
  type TraceEntry,
} from '../trace-format.ts'

/**
 * The entries of a trace file in order, read a chunk at a time: none of a chunk is handed on before its checksum has been found right.
 * Throws a TraceFileError that says what is wrong, and after which record, for a file that is no trace, damaged or cut short; and what
 * the file system throws.
 */
export async function* readTraceFile(path: string): AsyncGenerator<TraceEntry> {
  const reader = new ChunkReader()
  let rest: Uint8Array = new Uint8Array(0)
  let isBegun = false
  for await (const piece of createReadStream(path) as AsyncIterable<Uint8Array>) {
    rest = joined(rest, piece)
    if (!isBegun) {
      if (rest.length < PREAMBLE_BYTES) continue
      checkPreamble(rest)
      isBegun = true
      rest = rest.subarray(PREAMBLE_BYTES)
    }
    let chunkBytes = reader.chunkBytes(rest)
    while (chunkBytes > 0) {
      yield* reader.read(rest.subarray(0, chunkBytes))
      rest = rest.subarray(chunkBytes)
      chunkBytes = reader.chunkBytes(rest)
    }
  }
  if (!isBegun) throw new TraceFileError('is not a trace')
  reader.checkEnd()
}

/** Whole chunks as entries, each checked against those before it. */
class ChunkReader {
  readonly #unpackr: Unpackr = new Unpackr({ useRecords: false })
  #values = 0
  #lastId = 0
  #lastNs = 0
  #isOver = false

  /** How long the chunk is that bytes begin with; 0: not all of it is there. */
  chunkBytes(bytes: Uint8Array): number {
    if (this.#isOver && bytes.length > 0) {
      throw new TraceFileError(`goes on after its end (record ${this.#lastId})`)
    }
    if (bytes.length < CHUNK_HEAD_BYTES) return 0
    const length = CHUNK_HEAD_BYTES + u32(bytes, CHUNK_SUM_BYTES)
    if (length === CHUNK_HEAD_BYTES || length > CHUNK_BYTES_MAX) throw this.#damaged()
    return bytes.length < length ? 0 : length
  }

  *read(chunk: Uint8Array): Generator<TraceEntry> {
    if (crc32(chunk, CHUNK_SUM_BYTES, chunk.length) !== u32(chunk, 0)) throw this.#damaged()
    for (const value of this.#decode(chunk.subarray(CHUNK_HEAD_BYTES))) {
      if (this.#isOver) throw new TraceFileError(`goes on after its end (record ${this.#lastId})`)
      const entry = entryOf(value, this.#values === 0)
      if (entry.is === 'record') this.#follow(entry.record.id, entry.record.timeNs)
      if (entry.is === 'end') this.#isOver = this.#checkCount(entry.records)
      this.#values += 1
      yield entry
    }
  }

  checkEnd(): void {
    if (!this.#isOver) throw new TraceFileError(`is cut short after record ${this.#lastId}`)
  }

  #decode(bytes: Uint8Array): readonly unknown[] {
    const decoded: unknown[] = []
    try {
      this.#unpackr.unpackMultiple(bytes, (value: unknown) => void decoded.push(value))
    } catch {
      throw this.#damaged()
    }
    return decoded
  }

  /** Ids count up and time does not go back: whatever does otherwise was written by nobody's trace. */
  #follow(id: number, timeNs: number): void {
    if (id !== this.#lastId + 1 || timeNs < this.#lastNs) throw this.#damaged()
    this.#lastId = id
    this.#lastNs = timeNs
  }

  #checkCount(records: number): true {
    if (records !== this.#lastId) throw this.#damaged()
    return true
  }

  #damaged(): TraceFileError {
    return new TraceFileError(`is damaged after record ${this.#lastId}`)
  }
}

function u32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true)
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
