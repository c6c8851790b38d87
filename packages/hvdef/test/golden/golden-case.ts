// A golden case: values, and the bytes they must become, written by hand from the spec's offsets.

import type { Encodable, Fields, Struct } from '../../src/index.ts'

/** Bytes at their offsets, in hexadecimal; every byte not named is zero. */
export type Image = Readonly<Record<number, string>>

export interface GoldenCase {
  readonly name: string
  readonly size: number
  readonly struct: object
  readonly image: Image
  readonly pack: () => Uint8Array
  /** Decodes the image and packs the result again. */
  readonly repack: (bytes: Uint8Array) => Uint8Array
  readonly decode: (bytes: Uint8Array) => unknown
  readonly values: unknown
}

export function golden<F extends Fields>(
  struct: Struct<F>,
  size: number,
  values: Encodable<F>,
  image: Image,
): GoldenCase {
  const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return {
    name: struct.name,
    size,
    struct,
    image,
    values,
    pack: () => struct.pack(values),
    decode: (bytes) => struct.decode(viewOf(bytes)),
    repack: (bytes) => struct.pack(struct.decode(viewOf(bytes))),
  }
}

/** The image as bytes. */
export function imageBytes(size: number, image: Image): Uint8Array {
  const bytes = new Uint8Array(size)
  for (const [at, text] of Object.entries(image)) bytes.set(hex(text), Number(at))
  return bytes
}

/** Bytes of a hexadecimal text; spaces and line ends are for the reader. */
export function hex(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, '')
  if (digits.length % 2 !== 0) throw new Error(`"${text}" has half a byte`)
  return Uint8Array.from({ length: digits.length / 2 }, (_, index) =>
    Number.parseInt(digits.slice(index * 2, index * 2 + 2), 16),
  )
}

/** `length` bytes that count up from `first`. */
export function counting(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (first + index) & 0xff)
}
