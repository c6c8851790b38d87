import { createReadStream } from 'node:fs'

import { Unpackr } from 'msgpackr'

import { TraceFileError, entryOf, type TraceEntry } from '../trace-format.ts'

/** Longer than any value of a trace: what is not a whole value by then is none. */
const VALUE_BYTES_MAX = 64 * 1024

/**
 * The entries of a trace file in order, read a piece at a time. Throws a TraceFileError that says what is wrong, and after which record,
 * for a file that is no trace, damaged or cut short; and what the file system throws.
 */
export async function* readTraceFile(path: string): AsyncGenerator<TraceEntry> {
  const unpackr = new Unpackr({ useRecords: false })
  let rest: Uint8Array = new Uint8Array(0)
  let values = 0
  let lastId = 0
  let isOver = false
  for await (const piece of createReadStream(path) as AsyncIterable<Uint8Array>) {
    const bytes = joined(rest, piece)
    const { decoded, used } = decode(unpackr, bytes, lastId)
    for (const value of decoded) {
      if (isOver) throw new TraceFileError(`goes on after its end (record ${lastId})`)
      const entry = entryFrom(value, values === 0, lastId)
      if (entry.is === 'record') lastId = entry.record.id
      if (entry.is === 'end') isOver = checkedEnd(entry.records, lastId)
      values += 1
      yield entry
    }
    rest = bytes.subarray(used)
  }
  if (values === 0) throw new TraceFileError('is not a trace')
  if (!isOver || rest.length > 0) throw new TraceFileError(`is cut short after record ${lastId}`)
}

function decode(
  unpackr: Unpackr,
  bytes: Uint8Array,
  lastId: number,
): { readonly decoded: readonly unknown[]; readonly used: number } {
  const decoded: unknown[] = []
  let used = 0
  try {
    unpackr.unpackMultiple(bytes, (value: unknown, _start?: number, end?: number) => {
      decoded.push(value)
      used = end ?? used
    })
    return { decoded, used: bytes.length }
  } catch (error) {
    const { incomplete } = Object(error) as { incomplete?: unknown }
    if (incomplete === true && bytes.length - used < VALUE_BYTES_MAX) return { decoded, used }
    throw damaged(lastId)
  }
}

/** Ids count up: a gap is damage that decoding did not notice. */
function entryFrom(value: unknown, isFirst: boolean, lastId: number): TraceEntry {
  const entry = entryOf(value, isFirst)
  if (entry.is === 'record' && entry.record.id !== lastId + 1) throw damaged(lastId)
  return entry
}

function checkedEnd(records: number, lastId: number): true {
  if (records !== lastId) throw damaged(lastId)
  return true
}

function damaged(lastId: number): TraceFileError {
  return new TraceFileError(`is damaged after record ${lastId}`)
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
