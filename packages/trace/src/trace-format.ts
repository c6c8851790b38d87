// The file: msgpack values one after the other. First a header (a map), then arrays: a record is eight numbers, an actor's name two
// values; at the end a footer, without which the file was cut short. No msgpackr record structures: their ids would depend on what
// else was encoded before.

export const TRACE_FORMAT = 'guestyard-trace'
export const TRACE_VERSION = 1

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

/** The first value of a file. */
export function headerValue(header: TraceHeader): object {
  return { format: TRACE_FORMAT, version: TRACE_VERSION, ...header }
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
  return { is: 'record', record: { id, timeNs, actor, kind, cause, a, b, c } }
}

function headerOf(value: unknown): TraceHeader {
  const { format, version, scenario, engine, seed } = Object(value) as Record<string, unknown>
  if (format !== TRACE_FORMAT) throw new TraceFileError('is not a trace')
  if (version !== TRACE_VERSION) {
    throw new TraceFileError(`is of version ${String(version)}; this reads ${TRACE_VERSION}`)
  }
  if (typeof scenario !== 'string' || typeof engine !== 'string' || !isCount(seed)) {
    throw new TraceFileError('has a header that makes no sense')
  }
  return { scenario, engine, seed }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
