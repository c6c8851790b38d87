import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as hvdef from '../src/index.ts'
import { hypercallCases } from './golden/hypercall.ts'
import { imageBytes } from './golden/golden-case.ts'
import { interceptCases } from './golden/intercepts.ts'
import { ringCases } from './golden/ring.ts'
import { synicCases } from './golden/synic.ts'
import { vmbusCases } from './golden/vmbus.ts'

const cases = [...ringCases, ...synicCases, ...interceptCases, ...hypercallCases, ...vmbusCases]

function isStruct(value: unknown): value is hvdef.Struct {
  return typeof value === 'object' && value !== null && 'fields' in value && 'pack' in value
}

describe.each(cases)('$name', (golden) => {
  const image = imageBytes(golden.size, golden.image)

  test('packs to the bytes of the spec', () => {
    expect(golden.pack()).toEqual(image)
  })

  test('decodes the bytes of the spec to the values', () => {
    expect(golden.decode(image)).toMatchObject(padShortBytes(golden.values, golden.decode(image)))
  })

  test('any bytes decode to values that pack to the same bytes', () => {
    const runs = golden.size > 1024 ? 20 : 100
    fc.assert(
      fc.property(fc.uint8Array({ minLength: golden.size, maxLength: golden.size }), (bytes) =>
        sameBytes(golden.repack(bytes), bytes),
      ),
      { numRuns: runs },
    )
  })
})

test('every struct that the door exports has golden bytes', () => {
  const covered = new Set<object>(cases.map((golden) => golden.struct))
  const missing = Object.entries(hvdef)
    .filter(([, value]) => isStruct(value) && !covered.has(value))
    .map(([name]) => name)
  expect(missing).toEqual([])
  expect(covered.size).toBe(cases.length)
})

test('the test vector of one in-band packet is 32 bytes in this order', () => {
  const packet = new Uint8Array(32)
  const view = new DataView(packet.buffer)
  hvdef.PacketDescriptor.encode(view, 0, {
    type: hvdef.PacketType.DATA_INBAND,
    offset8: 2,
    length8: 3,
    flags: hvdef.PACKET_FLAG_COMPLETION_REQUESTED,
    transactionId: 0x1122_3344_5566_7788n,
  })
  packet.set([1, 2, 3, 4], 16)
  hvdef.PacketTrailer.encode(view, 24, { packetStart: 0 })
  expect(packet).toEqual(
    imageBytes(32, {
      0: '06 00 02 00 03 00 01 00  88 77 66 55 44 33 22 11',
      16: '01 02 03 04 00 00 00 00  00 00 00 00 00 00 00 00',
    }),
  )
})

// A value of bytes may be shorter than its field; it decodes with the zeros that fill it.
function padShortBytes(values: unknown, decoded: unknown): object {
  const given = Object.entries(values as object)
  const fields = decoded as Readonly<Record<string, unknown>>
  return Object.fromEntries(
    given.map(([key, value]: [string, unknown]) => {
      const field = fields[key]
      if (!(value instanceof Uint8Array) || !(field instanceof Uint8Array)) return [key, value]
      const whole = new Uint8Array(field.length)
      whole.set(value)
      return [key, whole]
    }),
  )
}

// Element by element: `toEqual` is far too slow for a page in a property.
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
