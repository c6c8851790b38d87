// GUIDs: the text form that people read and the mixed-endian form that travels.
//
//   text   f912ad6d - 2b17 - 48ea - bd65 - f927a61c7684
//   wire   6d ad 12 f9 | 17 2b | ea 48 | bd 65 f9 27 a6 1c 76 84
//          Data1 LE      D2 LE   D3 LE   Data4 as written

/** A GUID as text. Canonical when it is 36 lower-case characters, which is all this package returns. */
export type Guid = `${string}-${string}-${string}-${string}-${string}`

/** Bytes of a GUID on the wire. */
export const GUID_SIZE = 16

/** The GUID of zeros: "none" wherever a message carries an optional id. */
export const NIL_GUID: Guid = '00000000-0000-0000-0000-000000000000'

const CANONICAL = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const TEXT_FORM =
  /^(?:\{([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}|([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))$/i

/** True for a canonical GUID: 36 characters, lower-case hexadecimal, dashes in place. */
export function isGuid(text: string): text is Guid {
  return CANONICAL.test(text)
}

/**
 * Canonical form of a GUID written by a person: upper or lower case, with or without braces.
 * Throws a RangeError that quotes the text when it is no GUID.
 */
export function parseGuid(text: string): Guid {
  const match = TEXT_FORM.exec(text)
  const digits = (match?.[1] ?? match?.[2] ?? '').toLowerCase()
  if (!isGuid(digits)) throw new RangeError(`"${text}" is not a GUID`)
  return digits
}

/** Reads 16 wire bytes at `at`. The caller has checked that the view holds them. */
export function readGuid(view: DataView, at: number): Guid {
  const data1 = hex(view.getUint32(at, true), 8)
  const data2 = hex(view.getUint16(at + 4, true), 4)
  const data3 = hex(view.getUint16(at + 6, true), 4)
  const data4 = hex(view.getUint16(at + 8, false), 4)
  const node = hex(view.getUint16(at + 10, false), 4) + hex(view.getUint32(at + 12, false), 8)
  return `${data1}-${data2}-${data3}-${data4}-${node}`
}

/** Writes 16 wire bytes at `at`. Throws a RangeError when `guid` is no GUID; upper case is accepted. */
export function writeGuid(view: DataView, at: number, guid: Guid): void {
  const digits = parseGuid(guid).replaceAll('-', '')
  view.setUint32(at, Number.parseInt(digits.slice(0, 8), 16), true)
  view.setUint16(at + 4, Number.parseInt(digits.slice(8, 12), 16), true)
  view.setUint16(at + 6, Number.parseInt(digits.slice(12, 16), 16), true)
  view.setUint32(at + 8, Number.parseInt(digits.slice(16, 24), 16), false)
  view.setUint32(at + 12, Number.parseInt(digits.slice(24, 32), 16), false)
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}
