// Records as bytes, chunk by chunk: memory is bounded however long the trace.

import { Packr } from 'msgpackr'

import type { TraceKind } from './kinds.ts'
import type { TraceSink } from './trace.ts'
import { crc32 } from './crc32.ts'
import {
  CHUNK_BYTES_MAX,
  CHUNK_HEAD_BYTES,
  CHUNK_SUM_BYTES,
  headerValue,
  preamble,
  type TraceHeader,
} from './trace-format.ts'

/** Characters that are kept of a name, so that every value fits in a chunk. */
const NAME_MAX = 128

/** Encodes a trace and hands it on in chunks, each valid during the call only. */
export class TraceEncoder implements TraceSink {
  readonly #write: (chunk: Uint8Array) => void
  readonly #packr: Packr = new Packr({ useRecords: false, variableMapSize: true })
  readonly #chunk: Uint8Array = new Uint8Array(CHUNK_BYTES_MAX)
  readonly #head: DataView = new DataView(this.#chunk.buffer)
  /** Reused: a record is copied into the chunk at once. */
  readonly #numbers: number[] = [0, 0, 0, 0, 0, 0, 0, 0]
  #used: number = CHUNK_HEAD_BYTES
  #records = 0

  constructor(header: TraceHeader, write: (chunk: Uint8Array) => void) {
    this.#write = write
    write(preamble())
    const { scenario, engine, seed } = header
    const names = { scenario: scenario.slice(0, NAME_MAX), engine: engine.slice(0, NAME_MAX) }
    this.#put(headerValue({ ...names, seed }))
  }

  get records(): number {
    return this.#records
  }

  record(
    id: number,
    timeNs: number,
    actor: number,
    kind: TraceKind,
    cause: number,
    a: number,
    b: number,
    c: number,
  ): void {
    const numbers = this.#numbers
    numbers[0] = id
    numbers[1] = timeNs
    numbers[2] = actor
    numbers[3] = kind
    numbers[4] = cause
    numbers[5] = a
    numbers[6] = b
    numbers[7] = c
    this.#records += 1
    this.#put(numbers)
  }

  actor(actor: number, name: string): void {
    this.#put([actor, name.slice(0, NAME_MAX)])
  }

  /** Writes the footer and what is left. Nothing may follow. */
  end(): void {
    this.#put([this.#records])
    this.#flush()
  }

  #put(value: unknown): void {
    const bytes = this.#packr.pack(value)
    if (this.#used + bytes.length > CHUNK_BYTES_MAX) this.#flush()
    this.#chunk.set(bytes, this.#used)
    this.#used += bytes.length
  }

  #flush(): void {
    if (this.#used === CHUNK_HEAD_BYTES) return
    this.#head.setUint32(CHUNK_SUM_BYTES, this.#used - CHUNK_HEAD_BYTES, true)
    this.#head.setUint32(0, crc32(this.#chunk, CHUNK_SUM_BYTES, this.#used), true)
    this.#write(this.#chunk.subarray(0, this.#used))
    this.#used = CHUNK_HEAD_BYTES
  }
}
