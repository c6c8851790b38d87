import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  PacketDescriptor,
  array,
  bytes,
  guid,
  i16,
  i32,
  i64,
  nested,
  struct,
  u16,
  u32,
  u64,
  u8,
} from '../src/index.ts'
import type { Guid, ValuesOf } from '../src/index.ts'

describe('a declaration', () => {
  test('throws when fields leave a gap', () => {
    expect(() => struct('GAPPED', 8, { a: u8(0), b: u32(4) })).toThrow(
      'GAPPED leaves a gap from 1 to b at 4',
    )
  })

  test('throws when the first field does not start at 0', () => {
    expect(() => struct('LATE', 8, { a: u32(4) })).toThrow('LATE leaves a gap from 0 to a at 4')
  })

  test('throws when fields overlap', () => {
    expect(() => struct('OVERLAPPED', 6, { a: u32(0), b: u32(2) })).toThrow(
      'OVERLAPPED.b at 2 overlaps the field that ends at 4',
    )
  })

  test('throws when fields are out of order', () => {
    expect(() => struct('SWAPPED', 8, { b: u32(4), a: u32(0) })).toThrow('SWAPPED')
  })

  test('throws when the fields fall short of the size', () => {
    expect(() => struct('SHORT', 8, { a: u32(0) })).toThrow(
      'SHORT is declared 8 bytes, its fields take 4',
    )
  })

  test('throws when the fields go past the size', () => {
    expect(() => struct('LONG', 4, { a: u64(0) })).toThrow('LONG is declared 4 bytes')
  })

  test('throws when a field has no size', () => {
    expect(() => struct('EMPTY', 4, { a: bytes(0, 0), b: u32(0) })).toThrow('EMPTY.a has no size')
  })

  test('gives the offset of every field', () => {
    expect(PacketDescriptor.at).toEqual({
      type: 0,
      offset8: 2,
      length8: 4,
      flags: 6,
      transactionId: 8,
    })
  })

  test('gives exact types to its values', () => {
    type Values = ValuesOf<typeof PacketDescriptor>
    expectTypeOf<Values['transactionId']>().toEqualTypeOf<bigint>()
    expectTypeOf<Values['flags']>().toEqualTypeOf<number>()
    const ids = struct('IDS', 16, { id: guid(0) })
    expectTypeOf<ValuesOf<typeof ids>['id']>().toEqualTypeOf<Guid>()
    // @ts-expect-error a field that is not reserved may not be left out
    expect(() => PacketDescriptor.pack({ type: 6 })).toThrow(
      'VMPACKET_DESCRIPTOR.offset8 is missing',
    )
    // @ts-expect-error offsets exist for declared fields only
    expect(PacketDescriptor.at.nothing).toBeUndefined()
  })
})

const Everything = struct('EVERYTHING', 76, {
  a: u8(0),
  reserved: u8(1),
  b: u16(2),
  c: u32(4),
  d: u64(8),
  e: i16(16),
  padding: u16(18),
  f: i32(20),
  g: i64(24),
  h: guid(32),
  i: bytes(48, 4),
  j: array(u16, 52, 4),
  k: nested(PacketDescriptor, 60),
})

const values: ValuesOf<typeof Everything> = {
  a: 1,
  reserved: 0,
  b: 0x203,
  c: 0x4050_6070,
  d: 0x8000_0000_0000_0001n,
  e: -2,
  padding: 0,
  f: -3,
  g: -4n,
  h: 'f912ad6d-2b17-48ea-bd65-f927a61c7684',
  i: Uint8Array.of(1, 2, 3, 4),
  j: [1, 2, 3, 0xffff],
  k: { type: 6, offset8: 2, length8: 3, flags: 1, transactionId: 7n },
}

describe('a struct of every field kind', () => {
  test('round-trips at an odd offset within a view within a buffer', () => {
    const buffer = new SharedArrayBuffer(256)
    const view = new DataView(buffer, 3, 200)
    Everything.encode(view, 11, values)
    expect(Everything.decode(view, 11)).toEqual(values)
    expect(Array.from(new Uint8Array(buffer).subarray(0, 14))).toEqual(Array(14).fill(0))
    expect(new Uint8Array(buffer)[3 + 11 + 76]).toBe(0)
  })

  test('overwrites reserved bytes that are not given with zeros', () => {
    const dirty = new Uint8Array(Everything.size).fill(0xff)
    const { reserved: _reserved, padding: _padding, ...given } = values
    Everything.encode(new DataView(dirty.buffer), 0, given)
    expect(dirty[1]).toBe(0)
    expect([dirty[18], dirty[19]]).toEqual([0, 0])
  })

  test('decodes bytes to a copy that later writes do not reach', () => {
    const packed = Everything.pack(values)
    const decoded = Everything.decode(new DataView(packed.buffer))
    packed.fill(0)
    expect(decoded.i).toEqual(Uint8Array.of(1, 2, 3, 4))
  })

  test.each<readonly [string, Partial<ValuesOf<typeof Everything>>]>([
    ['a u8 above 255', { a: 256 }],
    ['a negative u16', { b: -1 }],
    ['a fraction', { c: 1.5 }],
    ['a number that is none', { c: Number.NaN }],
    ['a u64 below 0', { d: -1n }],
    ['a u64 of 65 bits', { d: 1n << 64n }],
    ['an i16 below its range', { e: -0x8001 }],
    ['an i32 above its range', { f: 0x8000_0000 }],
    ['an i64 above its range', { g: 1n << 63n }],
    ['too many bytes', { i: new Uint8Array(5) }],
    ['too few elements', { j: [1, 2, 3] }],
    ['a GUID that is none', { h: 'a-b-c-d-e' }],
  ])('refuses %s', (_what, wrong) => {
    expect(() => Everything.pack({ ...values, ...wrong })).toThrow(RangeError)
  })
})
