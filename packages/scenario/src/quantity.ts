/**
 * Sizes and durations as people write them: `'64 MiB'`, `'5 s'`.
 *
 * Parsing is strict: one number, at most one space, one known unit, nothing else. What is wrong comes
 * back as a sentence, so that the caller can put the name of the field in front of it.
 */

/** The outcome of parsing something a person wrote; `problem` completes "FIELD: …". */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string }

const BYTES_PER_UNIT = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const
const MS_PER_UNIT = { ns: 1e-6, us: 1e-3, ms: 1, s: 1e3, min: 6e4, h: 3.6e6 } as const

const QUANTITY = /^(\d{1,15}(?:\.\d{1,9})?) ?([A-Za-z]+)$/

/** Bytes, from a whole number of bytes or text such as `'64 MiB'` (units B, KiB, MiB, GiB, TiB). */
export function parseByteSize(input: unknown): Parsed<number> {
  if (typeof input === 'number') return wholeBytes(input, String(input))
  if (typeof input !== 'string') {
    return problem(`expected a size such as '64 MiB', got ${show(input)}`)
  }
  const parts = QUANTITY.exec(input)
  const unit = parts?.[2]
  if (parts === null || unit === undefined || !isKey(BYTES_PER_UNIT, unit)) {
    return problem(
      `${show(input)} is not a size: write a number and B, KiB, MiB, GiB or TiB, such as '64 MiB'`,
    )
  }
  return wholeBytes(Number(parts[1]) * BYTES_PER_UNIT[unit], show(input))
}

/** Milliseconds, possibly a fraction, from text such as `'5 s'` (units ns, us, ms, s, min, h). */
export function parseDurationMs(input: unknown): Parsed<number> {
  if (typeof input !== 'string') {
    return problem(`expected a duration such as '5 s', got ${show(input)}`)
  }
  const parts = QUANTITY.exec(input)
  const unit = parts?.[2]
  if (parts === null || unit === undefined || !isKey(MS_PER_UNIT, unit)) {
    return problem(
      `${show(input)} is not a duration: write a number and ns, us, ms, s, min or h, such as '5 s'`,
    )
  }
  return { ok: true, value: Number(parts[1]) * MS_PER_UNIT[unit] }
}

/** A fraction from 0 to 1, from a number or text such as `'25 %'`. */
export function parseFraction(input: unknown): Parsed<number> {
  const percent = typeof input === 'string' ? /^(\d{1,3}(?:\.\d{1,9})?) ?%$/.exec(input) : null
  const value = percent === null ? input : Number(percent[1]) / 100
  if (typeof value === 'number' && value >= 0 && value <= 1) return { ok: true, value }
  return problem(`expected a share such as '25 %' or a number from 0 to 1, got ${show(input)}`)
}

/** Bytes for people: the largest binary unit that keeps the figure at 1 or more, three digits. */
export function formatBytes(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB'] as const) {
    if (bytes >= BYTES_PER_UNIT[unit]) return `${threeDigits(bytes / BYTES_PER_UNIT[unit])} ${unit}`
  }
  return `${threeDigits(bytes)} B`
}

/** A time given in nanoseconds, for people: ns, µs, ms or s, three digits. */
export function formatNs(ns: number): string {
  if (ns < 1e3) return `${threeDigits(ns)} ns`
  if (ns < 1e6) return `${threeDigits(ns / 1e3)} µs`
  if (ns < 1e9) return `${threeDigits(ns / 1e6)} ms`
  return `${threeDigits(ns / 1e9)} s`
}

/** A plain figure for people: 1.23 M, 45.6 k, three digits. */
export function formatCount(value: number): string {
  if (Math.abs(value) >= 1e9) return `${threeDigits(value / 1e9)} G`
  if (Math.abs(value) >= 1e6) return `${threeDigits(value / 1e6)} M`
  if (Math.abs(value) >= 1e4) return `${threeDigits(value / 1e3)} k`
  return threeDigits(value)
}

/** What somebody wrote, quoted for an error line and cut when long. */
export function show(input: unknown): string {
  if (typeof input === 'function') return 'a function'
  if (typeof input === 'bigint') return `${input}n`
  if (typeof input === 'object' && input !== null) {
    return Array.isArray(input) ? 'a list' : 'an object'
  }
  const text = typeof input === 'string' ? `'${input.replaceAll(/\s/g, ' ')}'` : String(input)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

function threeDigits(value: number): string {
  if (value === 0) return '0'
  const magnitude = Math.abs(value)
  if (magnitude >= 100) return value.toFixed(0)
  if (magnitude >= 1 || magnitude < 0.001) return Number(value.toPrecision(3)).toString()
  return Number(value.toFixed(3)).toString()
}

function wholeBytes(bytes: number, written: string): Parsed<number> {
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    return problem(`${written} is not a whole number of bytes`)
  }
  return { ok: true, value: bytes }
}

function problem(text: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem: text }
}

function isKey<T extends object>(table: T, key: string): key is Extract<keyof T, string> {
  return Object.hasOwn(table, key)
}
