// The calendar of a virtual run: dates are real ones, only the present is another, and local time is UTC whatever the host's zone.

import type { Patches } from './patches.ts'

const ZONE = 'UTC'
/** Text that names its zone, or has an offset behind its time. */
const ZONED =
  /(?:Z|(?:UTC?|GMT)(?:\s*[+-]\d+:?\d*)?|[ECMP][SD]T|:\d\d[\d:.]*\s*[+-]\d+:?\d*)\s*(?:\(.*\))?\s*$/i
/** ISO 8601: with a time it is local unless it says otherwise, without one it is UTC. */
const ISO_TIME = /^\s*(?:\d{4}|[+-]\d{6})-\d{2}-\d{2}T/
const ISO_DAY = /^\s*(?:\d{4}|[+-]\d{6})(?:-\d{2}){0,2}\s*$/

const TEXTS = [
  ['toDateString', 'day'],
  ['toTimeString', 'time'],
  ['toString', 'both'],
] as const

type Method = (this: Date, ...args: unknown[]) => unknown

export function patchDates(patches: Patches, nowMs: () => number): void {
  patchDate(patches, nowMs)
  patchFormat(patches, nowMs)
  patchTemporal(patches, nowMs)
}

function patchDate(patches: Patches, nowMs: () => number): void {
  const RealDate = Date
  const parse = (text: unknown): number => RealDate.parse(inUtc(String(text)))
  const utc = (parts: readonly unknown[]): number =>
    Reflect.apply(RealDate.UTC, RealDate, parts) as number
  const argumentsOf = (args: readonly unknown[]): unknown[] => {
    if (args.length === 0) return [nowMs()]
    if (args.length > 1) return [utc(args)]
    const only = args[0]
    // As the language has it: another date gives its time, any other object becomes a primitive first.
    if (only instanceof RealDate) return [only.getTime()]
    const plain = typeof only === 'object' && only !== null ? primitiveOf(only) : only
    return [typeof plain === 'string' ? parse(plain) : plain]
  }
  const virtual: DateConstructor = new Proxy(RealDate, {
    apply: () => new RealDate(nowMs()).toString(),
    construct: (target, args, newTarget) =>
      Reflect.construct(
        target,
        argumentsOf(args),
        newTarget === virtual ? target : newTarget,
      ) as Date,
    get: (target, key) => {
      if (key === 'now') return nowMs
      return key === 'parse' ? parse : (Reflect.get(target, key) as unknown)
    },
  })
  patches.value(globalThis, 'Date', virtual)
  const prototype = RealDate.prototype as unknown as Record<string, unknown>
  patches.value(prototype, 'constructor', virtual)
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const match = /^([gs]et)UTC(.+)$/.exec(name)
    if (match !== null) patches.value(prototype, `${match[1]}${match[2]}`, prototype[name])
  }
  const utcText = (date: Date): string => RealDate.prototype.toUTCString.call(date)
  for (const [name, part] of TEXTS) {
    patches.value(prototype, name, function toText(this: Date) {
      return textOf(utcText(this), part)
    })
  }
  for (const name of ['toLocaleString', 'toLocaleDateString', 'toLocaleTimeString']) {
    const real = prototype[name] as Method
    patches.value(prototype, name, function toLocaleText(this: Date, locale: unknown, how: object) {
      return real.call(this, locale, { timeZone: ZONE, ...how })
    })
  }
  patches.value(prototype, 'getTimezoneOffset', function offset(this: Date) {
    return Number.isNaN(this.getTime()) ? Number.NaN : 0
  })
}

function primitiveOf(value: object): unknown {
  const convert = Reflect.get(value, Symbol.toPrimitive) as unknown
  if (typeof convert === 'function') return Reflect.apply(convert, value, ['default']) as unknown
  const plain = value.valueOf() as unknown
  return typeof plain === 'object' ? (Reflect.apply(String, undefined, [value]) as unknown) : plain
}

/** The text, with its zone said if it left it to the host's. */
function inUtc(text: string): string {
  if (ISO_DAY.test(text) || ZONED.test(text)) return text
  return ISO_TIME.test(text) ? `${text.trimEnd()}Z` : `${text} UTC`
}

/** `Fri, 02 Jan 2026 01:02:03 GMT` in the order of local dates. */
function textOf(utc: string, part: 'day' | 'time' | 'both'): string {
  const match = /^(\w+), (\d+) (\w+) (-?\d+) (\S+) GMT$/.exec(utc)
  if (match === null) return utc
  const [, weekday, day, month, year, time] = match
  const date = `${weekday} ${month} ${day} ${year}`
  const clock = `${time} GMT+0000 (Coordinated Universal Time)`
  if (part === 'both') return `${date} ${clock}`
  return part === 'day' ? date : clock
}

function patchFormat(patches: Patches, nowMs: () => number): void {
  const Real = Intl.DateTimeFormat
  const inZone = ([locales, options]: readonly unknown[]): unknown[] => [
    locales,
    { timeZone: ZONE, ...(options as object | undefined) },
  ]
  const virtual: Intl.DateTimeFormatConstructor = new Proxy(Real, {
    apply: (_target, _this, args) => Reflect.construct(Real, inZone(args)) as object,
    construct: (target, args, newTarget) =>
      Reflect.construct(target, inZone(args), newTarget === virtual ? target : newTarget) as object,
  })
  patches.value(Intl, 'DateTimeFormat', virtual)
  const prototype = Real.prototype as unknown as Record<string, unknown>
  patches.value(prototype, 'constructor', virtual)
  const format = Object.getOwnPropertyDescriptor(prototype, 'format')!
  patches.getter(prototype, 'format', function formatter(this: Intl.DateTimeFormat) {
    const real = format.get!.call(this) as (date: unknown) => string
    return (date?: unknown) => real(date ?? nowMs())
  })
  const parts = prototype['formatToParts'] as (this: unknown, at: unknown) => unknown
  patches.value(
    prototype,
    'formatToParts',
    function toParts(this: Intl.DateTimeFormat, at?: unknown) {
      return parts.call(this, at ?? nowMs())
    },
  )
}

interface TemporalInstant {
  toZonedDateTimeISO(zone: unknown): Record<string, () => unknown>
}

/** Not in every Node. */
function patchTemporal(patches: Patches, nowMs: () => number): void {
  const temporal = Reflect.get(globalThis, 'Temporal') as Record<string, unknown> | undefined
  if (temporal === undefined) return
  const Instant = temporal['Instant'] as { fromEpochMilliseconds(ms: number): TemporalInstant }
  const now = temporal['Now'] as object
  const instant = (): TemporalInstant => Instant.fromEpochMilliseconds(nowMs())
  const zoned = (zone: unknown = ZONE) => instant().toZonedDateTimeISO(zone)
  patches.value(now, 'instant', instant)
  patches.value(now, 'timeZoneId', () => ZONE)
  patches.value(now, 'zonedDateTimeISO', zoned)
  for (const name of ['PlainDateTime', 'PlainDate', 'PlainTime']) {
    const key = `${name[0]!.toLowerCase()}${name.slice(1)}ISO`
    patches.value(now, key, (zone?: unknown) => zoned(zone)[`to${name}`]!())
  }
}
