import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { expect, test } from 'vitest'
import { NOT_PLAIN, PlainEncoder } from '../../src/messages/plain-encoder.ts'

const BYTES = 65536

function decoder(): Packr {
  return new Packr({ sequential: true, maxOwnStructures: 64, moreTypes: true, copyBuffers: true })
}

/** Keys msgpackr would rename, and numbers JSON cannot say, are left out. */
const plain = fc
  .letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.string({ unit: 'binary' }),
      fc.string({ minLength: 60, maxLength: 300 }),
      fc.integer(),
      fc.constantFrom(
        0,
        31,
        32,
        63,
        64,
        127,
        128,
        255,
        256,
        65535,
        65536,
        2 ** 32 - 1,
        2 ** 32,
        -0,
      ),
      fc.constantFrom(-1, -32, -33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1),
      fc.double(),
      fc.boolean(),
      fc.constantFrom(null, undefined),
      fc.array(tie('value'), { maxLength: 20 }),
      fc.dictionary(fc.string({ maxLength: 8 }), tie('value'), {
        maxKeys: 8,
        noNullPrototype: true,
      }),
      // Few keys, so that objects stand inside others of their own shape.
      fc.dictionary(fc.constantFrom('a', 'b'), tie('value'), {
        maxKeys: 2,
        noNullPrototype: true,
      }),
    ),
  }))
  .value.filter((value) => !containsKey(value, '__proto__'))

function containsKey(value: unknown, wanted: string): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([key, inner]) => key === wanted || containsKey(inner, wanted))
}

test('an object inside another of the same shape arrives, the first time and later', () => {
  const encoder = new PlainEncoder()
  const unpackr = decoder()
  const bytes = Buffer.alloc(BYTES)
  const tree = { left: { left: { left: 1, right: 2 }, right: 3 }, right: { left: 4, right: 5 } }
  const list = { next: { next: { next: null } } }
  for (const value of [tree, list, [tree, list], tree]) {
    const length = encoder.encode(value, bytes)
    expect(unpackr.unpack(bytes.subarray(0, length))).toEqual(value)
  }
})

test('msgpackr decodes any plain values, in a row, as they were', () => {
  fc.assert(
    fc.property(fc.array(plain, { minLength: 1, maxLength: 10 }), (values) => {
      const encoder = new PlainEncoder()
      const unpackr = decoder()
      const bytes = Buffer.alloc(BYTES)
      for (const value of values) {
        const length = encoder.encode(value, bytes)
        if (length === NOT_PLAIN) continue // more than 64 shapes
        const decoded: unknown = unpackr.unpack(bytes, { start: 0, end: length })
        expect(decoded).toEqual(value)
      }
    }),
    { numRuns: 400 },
  )
})

test('lone surrogates arrive as the replacement character, as in UTF-8', () => {
  const bytes = Buffer.alloc(BYTES)
  const length = new PlainEncoder().encode('a\ud800b', bytes)
  expect(decoder().unpack(bytes, { start: 0, end: length })).toBe('a\ufffdb')
})

function hexOf(encoder: PlainEncoder, value: unknown): string {
  const bytes = Buffer.alloc(BYTES)
  return bytes.toString('hex', 0, encoder.encode(value, bytes))
}

test('the bytes are msgpackr records: a definition once, then the id', () => {
  const encoder = new PlainEncoder()
  expect(hexOf(encoder, { a: 1, b: 'x' })).toBe('d4724092a161a16201a178')
  expect(hexOf(encoder, { a: 2, b: 'y' })).toBe('4002a179')
  expect(hexOf(encoder, { b: 'y', a: 2 })).toBe('d4724192a162a161a17902')
})

test('what is not plain, too deep or too long is left to msgpackr, and shapes are told again', () => {
  const encoder = new PlainEncoder()
  const unpackr = decoder()
  const bytes = Buffer.alloc(BYTES)
  let deep: unknown = 1
  for (let i = 0; i < 100; i++) deep = [deep]
  const others = [
    new Map(),
    new Date(),
    1n,
    () => 1,
    Symbol('s'),
    new URL('file:///x'),
    Object.create(null),
  ]
  for (const other of [
    ...others,
    deep,
    'x'.repeat(BYTES),
    Array.from({ length: 70_000 }, () => 1),
  ]) {
    expect(encoder.encode({ fresh: 1, other }, bytes)).toBe(NOT_PLAIN)
    for (const value of [{ fresh: 2 }, { nested: { fresh: 3 } }]) {
      const end = encoder.encode(value, bytes)
      expect(unpackr.unpack(bytes, { start: 0, end })).toEqual(value)
    }
    expect(encoder.encode({ brandNew: { fresh: 1 }, other }, bytes)).toBe(NOT_PLAIN)
  }
})

test('more shapes than ids, and more keys than are remembered, still decode', () => {
  const encoder = new PlainEncoder()
  const unpackr = decoder()
  const bytes = Buffer.alloc(BYTES)
  for (let i = 0; i < 12_000; i++) {
    const value = { [`key${i % 9000}`]: i, [`other${i % 90}`]: { [`inner${i % 70}`]: 'x' } }
    const length = encoder.encode(value, bytes)
    expect(unpackr.unpack(bytes, { start: 0, end: length })).toEqual(value)
  }
})

test('an object filled to any length fits whole or not at all', () => {
  for (let length = 65_000; length < 65_600; length += 7) {
    const bytes = Buffer.alloc(BYTES)
    const value = { text: ['z'.repeat(21_000), 'y'.repeat(length - 44_000)], n: 1 }
    const encoder = new PlainEncoder()
    const used = encoder.encode(value, bytes)
    if (used === NOT_PLAIN) continue
    expect(decoder().unpack(bytes, { start: 0, end: used })).toEqual(value)
  }
})
