// Wire structs: one declaration gives the type, the offsets, a decoder and an encoder.
//
// A declaration lists every byte in the spec's order, reserved bytes included. `struct()` runs when the
// module loads and throws if two fields overlap, if bytes are left between them, or if they miss the
// stated size. A struct with a variable tail declares its fixed part.
//
// Hot code reads `view.getUint32(at + X.at.field, true)`, with the offset lifted to module scope.
// `decode` and `encode` allocate: they are for control messages, tests, traces and inspection.

import { readGuid, writeGuid } from './guid.ts'
import type { Guid } from './guid.ts'

/** One field: where it lies, how many bytes it takes, how to read and write it. */
export interface Field<T> {
  /** Name of the wire type, such as `u32` or `bytes`. */
  readonly kind: string
  /** Offset in bytes from the start of the struct. */
  readonly at: number
  /** Size in bytes, at least 1. */
  readonly size: number
  /** Reads the field of a struct that starts at `base`. */
  read(view: DataView, base: number): T
  /** Writes the field of a struct that starts at `base`. Throws when the value does not fit. */
  write(view: DataView, base: number, value: T): void
}

/** Fields by name, in the spec's order. */
export type Fields = Readonly<Record<string, Field<unknown>>>

type FieldValue<F> = F extends Field<infer T> ? T : never
type ReservedName = `reserved${string}` | `padding${string}`

/** What `decode` returns: every field by name. */
export type Decoded<F extends Fields> = { [K in keyof F]: FieldValue<F[K]> }

/** What `encode` takes: every field, except that `reserved…` and `padding…` may be left out (zero). */
export type Encodable<F extends Fields> = {
  [K in Exclude<keyof F, ReservedName>]: FieldValue<F[K]>
} & { [K in Extract<keyof F, ReservedName>]?: FieldValue<F[K]> }

/** A declared wire struct. */
export interface Struct<F extends Fields = Fields> {
  /** The name in the spec, for messages and traces. */
  readonly name: string
  /** Bytes of the fixed part. */
  readonly size: number
  /** Offset of each field, in bytes. */
  readonly at: { readonly [K in keyof F]: number }
  readonly fields: F
  /** Reads every field of the struct at `at`. The caller has checked that the view holds `size` bytes. */
  decode(view: DataView, at?: number): Decoded<F>
  /** Writes every byte of the struct at `at`. Throws a RangeError for a value that does not fit. */
  encode(view: DataView, at: number, values: Encodable<F>): void
  /** `encode` into a new array of exactly `size` bytes. */
  pack(values: Encodable<F>): Uint8Array<ArrayBuffer>
}

/** The values of a struct, as `decode` returns them: `ValuesOf<typeof PacketDescriptor>`. */
export type ValuesOf<S> = S extends Struct<infer F> ? Decoded<F> : never

/** Declares a struct. Throws when the fields leave a gap, overlap, or miss `size`. */
export function struct<const F extends Fields>(name: string, size: number, fields: F): Struct<F> {
  checkLayout(name, size, fields)
  const entries = Object.entries(fields)
  const at = Object.fromEntries(entries.map(([key, field]) => [key, field.at]))

  const decode = (view: DataView, base = 0): Decoded<F> => {
    const values: Record<string, unknown> = {}
    for (const [key, field] of entries) values[key] = field.read(view, base)
    return values as Decoded<F>
  }
  const encode = (view: DataView, base: number, values: Encodable<F>): void => {
    const given = values as Readonly<Record<string, unknown>>
    for (const [key, field] of entries) {
      const value = given[key]
      if (value !== undefined) field.write(view, base, value)
      else if (isReserved(key)) zero(view, base + field.at, field.size)
      else throw new RangeError(`${name}.${key} is missing`)
    }
  }
  const pack = (values: Encodable<F>): Uint8Array<ArrayBuffer> => {
    const packed = new Uint8Array(size)
    encode(new DataView(packed.buffer), 0, values)
    return packed
  }
  return { name, size, at: at as Struct<F>['at'], fields, decode, encode, pack }
}

/** Unsigned 8-bit integer at offset `at`. */
export function u8(at: number): Field<number> {
  return integer('u8', at, 1, 0, 0xff, 'getUint8', 'setUint8')
}

/** Unsigned 16-bit integer, little-endian. */
export function u16(at: number): Field<number> {
  return integer('u16', at, 2, 0, 0xffff, 'getUint16', 'setUint16')
}

/** Unsigned 32-bit integer, little-endian. */
export function u32(at: number): Field<number> {
  return integer('u32', at, 4, 0, 0xffff_ffff, 'getUint32', 'setUint32')
}

/** Signed 16-bit integer, little-endian. */
export function i16(at: number): Field<number> {
  return integer('i16', at, 2, -0x8000, 0x7fff, 'getInt16', 'setInt16')
}

/** Signed 32-bit integer, little-endian. */
export function i32(at: number): Field<number> {
  return integer('i32', at, 4, -0x8000_0000, 0x7fff_ffff, 'getInt32', 'setInt32')
}

/** Unsigned 64-bit integer as a bigint: cold code only. Hot code reads two u32 halves at `at` and `at + 4`. */
export function u64(at: number): Field<bigint> {
  return {
    kind: 'u64',
    at,
    size: 8,
    read: (view, base) => view.getBigUint64(base + at, true),
    write: (view, base, value) => {
      if (BigInt.asUintN(64, value) !== value) throw new RangeError(`${value} does not fit u64`)
      view.setBigUint64(base + at, value, true)
    },
  }
}

/** Signed 64-bit integer as a bigint: cold code only. */
export function i64(at: number): Field<bigint> {
  return {
    kind: 'i64',
    at,
    size: 8,
    read: (view, base) => view.getBigInt64(base + at, true),
    write: (view, base, value) => {
      if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} does not fit i64`)
      view.setBigInt64(base + at, value, true)
    },
  }
}

/** GUID in its mixed-endian wire form; decodes to canonical text. */
export function guid(at: number): Field<Guid> {
  return {
    kind: 'guid',
    at,
    size: 16,
    read: (view, base) => readGuid(view, base + at),
    write: (view, base, value) => writeGuid(view, base + at, value),
  }
}

/** `length` raw bytes. Decodes to a private copy; a shorter value is zero-filled to the end. */
export function bytes(at: number, length: number): Field<Uint8Array> {
  return {
    kind: 'bytes',
    at,
    size: length,
    read: (view, base) =>
      new Uint8Array(new Uint8Array(view.buffer, view.byteOffset + base + at, length)),
    write: (view, base, value) => {
      if (value.length > length) {
        throw new RangeError(`${value.length} bytes do not fit a field of ${length}`)
      }
      const target = new Uint8Array(view.buffer, view.byteOffset + base + at, length)
      target.fill(0)
      target.set(value)
    },
  }
}

/** `count` elements in a row, each made by `element` (a maker such as `u32`, or `(at) => bytes(at, 6)`). */
export function array<T>(
  element: (at: number) => Field<T>,
  at: number,
  count: number,
): Field<readonly T[]> {
  const first = element(0)
  return {
    kind: `${first.kind}[${count}]`,
    at,
    size: first.size * count,
    read: (view, base) =>
      Array.from({ length: count }, (_, index) => first.read(view, base + at + index * first.size)),
    write: (view, base, values) => {
      if (values.length !== count) {
        throw new RangeError(`${values.length} elements where ${count} are declared`)
      }
      for (const [index, value] of values.entries()) {
        first.write(view, base + at + index * first.size, value)
      }
    },
  }
}

/** Another struct, whole, inside this one. */
export function nested<F extends Fields>(inner: Struct<F>, at: number): Field<Decoded<F>> {
  return {
    kind: inner.name,
    at,
    size: inner.size,
    read: (view, base) => inner.decode(view, base + at),
    write: (view, base, value) => inner.encode(view, base + at, value),
  }
}

type Getter = 'getUint8' | 'getUint16' | 'getUint32' | 'getInt16' | 'getInt32'
type Setter = 'setUint8' | 'setUint16' | 'setUint32' | 'setInt16' | 'setInt32'

function integer(
  kind: string,
  at: number,
  size: number,
  min: number,
  max: number,
  getter: Getter,
  setter: Setter,
): Field<number> {
  return {
    kind,
    at,
    size,
    read: (view, base) => view[getter](base + at, true),
    write: (view, base, value) => {
      if (!Number.isInteger(value) || value < min || value > max) {
        throw new RangeError(`${value} does not fit ${kind}`)
      }
      view[setter](base + at, value, true)
    },
  }
}

function checkLayout(name: string, size: number, fields: Fields): void {
  let end = 0
  for (const [key, field] of Object.entries(fields)) {
    if (!Number.isInteger(field.size) || field.size < 1) {
      throw new RangeError(`${name}.${key} has no size`)
    }
    if (field.at < end) {
      throw new RangeError(`${name}.${key} at ${field.at} overlaps the field that ends at ${end}`)
    }
    if (field.at !== end) {
      throw new RangeError(`${name} leaves a gap from ${end} to ${key} at ${field.at}`)
    }
    end += field.size
  }
  if (end !== size) {
    throw new RangeError(`${name} is declared ${size} bytes, its fields take ${end}`)
  }
}

function isReserved(key: string): boolean {
  return key.startsWith('reserved') || key.startsWith('padding')
}

function zero(view: DataView, at: number, size: number): void {
  new Uint8Array(view.buffer, view.byteOffset + at, size).fill(0)
}
