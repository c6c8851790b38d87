import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GUID_SIZE, NIL_GUID, isGuid, parseGuid, readGuid, writeGuid } from '../src/index.ts'
import type { Guid } from '../src/index.ts'
import { counting, hex } from './golden/golden-case.ts'

test('the first three groups are little-endian on the wire, the last two as written', () => {
  const wire = new Uint8Array(GUID_SIZE + 1)
  writeGuid(new DataView(wire.buffer), 1, '00112233-4455-6677-8899-aabbccddeeff')
  expect(wire.subarray(1)).toEqual(hex('33 22 11 00 55 44 77 66 88 99 aa bb cc dd ee ff'))
})

test('wire bytes read as canonical text', () => {
  expect(readGuid(new DataView(counting(16).buffer as ArrayBuffer), 0)).toBe(
    '03020100-0504-0706-0809-0a0b0c0d0e0f',
  )
  expect(readGuid(new DataView(new ArrayBuffer(16)), 0)).toBe(NIL_GUID)
})

test('any 16 bytes read as a GUID that writes the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (wire) => {
      const text = readGuid(new DataView(wire.buffer, wire.byteOffset), 0)
      const back = new Uint8Array(16)
      writeGuid(new DataView(back.buffer), 0, text)
      return isGuid(text) && back.every((byte, index) => byte === wire[index])
    }),
  )
})

test('upper case and braces are accepted from a person, and made canonical', () => {
  const canonical = 'f912ad6d-2b17-48ea-bd65-f927a61c7684'
  expect(parseGuid('{F912AD6D-2B17-48EA-BD65-F927A61C7684}')).toBe(canonical)
  expect(parseGuid(canonical)).toBe(canonical)
})

test.each([
  '',
  'f912ad6d',
  'f912ad6d2b1748eabd65f927a61c7684',
  '{f912ad6d-2b17-48ea-bd65-f927a61c7684',
  'f912ad6d-2b17-48ea-bd65-f927a61c7684}',
  'g912ad6d-2b17-48ea-bd65-f927a61c7684',
  'f912ad6d-2b17-48ea-bd65-f927a61c76845',
])('"%s" is refused and quoted', (text) => {
  expect(() => parseGuid(text)).toThrow(`"${text}" is not a GUID`)
  expect(isGuid(text)).toBe(false)
  expect(() => writeGuid(new DataView(new ArrayBuffer(16)), 0, text as Guid)).toThrow(RangeError)
})
