// WebAssembly's binary format as far as adapting a module needs it (WebAssembly core specification, "Binary Format"): numbers,
// sections, function bodies. Cold: once for each processor.

/** Reads forward through bytes. Throws a RangeError at their end. */
export class WasmReader {
  readonly bytes: Uint8Array
  readonly end: number
  at: number

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  byte(): number {
    if (this.at >= this.end) throw new RangeError('the module ends in the middle of something')
    return this.bytes[this.at++]!
  }

  /** An unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a number of the module is longer than 32 bits')
  }

  name(): string {
    const length = this.u32()
    return new TextDecoder().decode(this.take(length))
  }

  take(length: number): Uint8Array {
    if (length > this.end - this.at) throw new RangeError('the module ends in the middle of a list')
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  get isAtEnd(): boolean {
    return this.at >= this.end
  }
}

/** An unsigned LEB128, as short as it can be. */
export function uleb(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? low | 0x80 : low)
  } while (rest > 0)
  return bytes
}

/** A signed LEB128 of an i32. */
export function sleb(value: number): number[] {
  const bytes: number[] = []
  let rest = value | 0
  for (;;) {
    const low = rest & 0x7f
    rest >>= 7
    const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
    if (isLast) return [...bytes, low]
    bytes.push(low | 0x80)
  }
}

/** An f64, little-endian. */
export function f64Bytes(value: number): number[] {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value, true)
  return [...bytes]
}

/** A vector's name: length, then UTF-8. */
export function nameBytes(name: string): number[] {
  const bytes = new TextEncoder().encode(name)
  return [...uleb(bytes.length), ...bytes]
}

export const SectionId = {
  CUSTOM: 0,
  IMPORT: 2,
  MEMORY: 5,
  EXPORT: 7,
  CODE: 10,
} as const

export interface Section {
  readonly id: number
  readonly payload: Uint8Array
}

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

/** The sections of a module, in order. Throws a RangeError for what is no module. */
export function readSections(bytes: Uint8Array): Section[] {
  if (HEADER.some((byte, at) => bytes[at] !== byte)) {
    throw new RangeError('not a WebAssembly module of version 1')
  }
  const reader = new WasmReader(bytes, HEADER.length, bytes.length)
  const sections: Section[] = []
  while (!reader.isAtEnd) {
    const id = reader.byte()
    sections.push({ id, payload: reader.take(reader.u32()) })
  }
  return sections
}

export function writeSections(sections: readonly Section[]): Uint8Array<ArrayBuffer> {
  const parts = sections.map(({ id, payload }) => [
    Uint8Array.from([id, ...uleb(payload.length)]),
    payload,
  ])
  return concatBytes([Uint8Array.from(HEADER), ...parts.flat()])
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
