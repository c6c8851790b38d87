import { TRACE_KINDS } from './kinds.ts'
import type { TraceRecord } from './trace-format.ts'

/** A record with names in place of numbers. */
export interface DescribedRecord {
  readonly id: number
  readonly timeNs: number
  readonly actor: string
  readonly kind: string
  readonly cause: number
  readonly fields: Readonly<Record<string, number>>
}

/** Kinds that this version does not know keep their number and their three fields. */
export function describeRecord(
  record: TraceRecord,
  actors: ReadonlyMap<number, string>,
): DescribedRecord {
  const { id, timeNs, actor, kind, cause, a, b, c } = record
  const row = TRACE_KINDS[kind] ?? { name: `kind-${kind}`, fields: ['a', 'b', 'c'] }
  const values = [a, b, c]
  const fields = Object.fromEntries(row.fields.map((name, index) => [name, values[index] ?? 0]))
  return { id, timeNs, actor: actors.get(actor) ?? `#${actor}`, kind: row.name, cause, fields }
}

/** One line for people: time in µs, who, what, the numbers, and what led to it. */
export function recordLine(record: DescribedRecord): string {
  const { id, timeNs, actor, kind, cause, fields } = record
  const time = (timeNs / 1000).toFixed(3).padStart(14)
  const numbers = Object.entries(fields).map(([name, value]) => `${name}=${number(name, value)}`)
  const because = cause === 0 ? '' : `  ← ${cause}`
  return `${String(id).padStart(8)} ${time} µs  ${printable(actor).padEnd(12)} ${kind.padEnd(18)} ${numbers.join(' ')}${because}`.trimEnd()
}

/** A text from a file as what a terminal only shows: control and formatting characters as `\u001b`. JSON stays the same JSON. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')
  })
}

function number(name: string, value: number): string {
  const isCode = name === 'code' || name === 'connection' || name === 'vector'
  return isCode ? `0x${value.toString(16)}` : String(value)
}
