// The file: a preamble that says what it is and its version, then chunks. A chunk is a checksum, the length of what follows it, and
// whole msgpack values: first a header (a map), then arrays: a record is eight numbers, an actor's name two values; at the end a
// footer, without which the file was cut short. No msgpackr record structures: their ids would depend on what else was encoded before.

/** The preamble: these characters, then a byte with the version. */
export const TRACE_FORMAT = 'guestyard-trace'
export const TRACE_VERSION = 2
export const PREAMBLE_BYTES: number = TRACE_FORMAT.length + 1

/** CRC-32 over length and values (u32), length of the values (u32); both little-endian. */
export const CHUNK_HEAD_BYTES = 8
/** Of them the checksum's, which it does not cover. */
export const CHUNK_SUM_BYTES = 4
/** With its head. Neither side ever keeps more of a trace than two of them. */
export const CHUNK_BYTES_MAX: number = 64 * 1024

/** What a trace is of. Plain data that says nothing of the machine it was taken on. */
export interface TraceHeader {
  readonly scenario: string
  readonly engine: string
  readonly seed: number
}

/** One record, as it was written. */
export interface TraceRecord {
  readonly id: number
  readonly timeNs: number
  readonly actor: number
  readonly kind: number
  /** Id of the record that led to this one; 0: none. */
  readonly cause: number
  readonly a: number
  readonly b: number
  readonly c: number
}

export type TraceEntry =
  | { readonly is: 'header'; readonly header: TraceHeader }
  | { readonly is: 'actor'; readonly actor: number; readonly name: string }
  | { readonly is: 'record'; readonly record: TraceRecord }
  | { readonly is: 'end'; readonly records: number }

/** The file is not a trace, or not a whole one. */
export class TraceFileError extends Error {
  override readonly name = 'TraceFileError'
}

/** The first bytes of a file. */
export function preamble(): Uint8Array {
  return Uint8Array.of(...new TextEncoder().encode(TRACE_FORMAT), TRACE_VERSION)
}

/** Throws a TraceFileError for bytes that begin no trace, or one of another version. */
export function checkPreamble(bytes: Uint8Array): void {
  const version = bytes[PREAMBLE_BYTES - 1]
  const format = new TextDecoder().decode(bytes.subarray(0, PREAMBLE_BYTES - 1))
  if (version === undefined || format !== TRACE_FORMAT) throw new TraceFileError('is not a trace')
  if (version === TRACE_VERSION) return
  throw new TraceFileError(`is of version ${version}; this reads ${TRACE_VERSION}`)
}

/** The first value of a file. */
export function headerValue({ scenario, engine, seed }: TraceHeader): object {
  return { scenario, engine, seed }
}

/** A decoded value as an entry. Throws a TraceFileError that says what is wrong with it. */
export function entryOf(value: unknown, isFirst: boolean): TraceEntry {
  if (isFirst) return { is: 'header', header: headerOf(value) }
  if (!Array.isArray(value)) throw new TraceFileError('holds something that is no record')
  const items = value as readonly unknown[]
  if (items.length === 2 && isCount(items[0]) && typeof items[1] === 'string') {
    return { is: 'actor', actor: items[0], name: items[1] }
  }
  if (items.length === 1 && isCount(items[0])) return { is: 'end', records: items[0] }
  if (items.length !== 8 || !items.every(Number.isFinite)) {
    throw new TraceFileError('holds something that is no record')
  }
  const [id, timeNs, actor, kind, cause, a, b, c] = items as readonly [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const areCounts = [id, timeNs, actor, kind, cause].every(isCount)
  if (!areCounts || cause >= id) throw new TraceFileError('holds a record that makes no sense')
  return { is: 'record', record: { id, timeNs, actor, kind, cause, a, b, c } }
}

function headerOf(value: unknown): TraceHeader {
  const { scenario, engine, seed } = Object(value) as Record<string, unknown>
  if (typeof scenario !== 'string' || typeof engine !== 'string' || !isCount(seed)) {
    throw new TraceFileError('has a header that makes no sense')
  }
  return { scenario, engine, seed }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
