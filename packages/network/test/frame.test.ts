// A frame in pieces of one guest's RAM arrives in another's as it was.

import { GuestMemory } from '@guestyard/guestmem'
import { Frame, GuestCopies } from '@guestyard/network'
import fc from 'fast-check'
import { expect, test } from 'vitest'

test('pieces of one memory are copied into any pieces of another, or of the same', () => {
  const from = GuestMemory.create({ sizeBytes: 128 * 1024 })
  const other = GuestMemory.create({ sizeBytes: 128 * 1024 })
  for (let index = 0; index < from.sizeBytes; index += 1) from.u8[index] = index * 7 + (index >> 8)
  const piece = fc.tuple(fc.nat(60_000), fc.integer({ min: 1, max: 900 }))
  const cuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 })
  const frame = new Frame()
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 8 }),
      cuts,
      fc.boolean(),
      fc.nat(200),
      (pieces, sizes, isSame, deepenAt) => {
        const to = isSame ? from : other
        const copies = new GuestCopies(to)
        frame.clear(from)
        const expected: number[] = []
        for (const [at, length] of pieces) {
          expect(frame.addGuest(from, at, length)).toBe(true)
          expected.push(...from.u8.subarray(at, at + length))
        }
        expect(frame.lengthBytes).toBe(expected.length)
        const bytes = new Uint8Array(expected.length)
        expect(frame.copyBytes(bytes)).toBe(expected.length)
        frame.rewind()
        let at = 70_000
        for (let done = 0, index = 0; done < expected.length; index += 1) {
          const length = Math.min(sizes[index % sizes.length]!, expected.length - done)
          frame.copyNext(to, copies, at, length)
          at += length
          done += length
          // Heads are read between receivers.
          if (done <= deepenAt && index === 0) {
            frame.deepen()
            expect(frame.headerBytes).toBe(Math.min(192, expected.length))
            frame.rewind()
            at = 70_000
            done = 0
          }
        }
        expect([...to.u8.subarray(70_000, at)]).toEqual(expected)
        expect([...bytes]).toEqual(expected)
      },
    ),
    { numRuns: 60 },
  )
})

test('a frame of too many pieces is refused', () => {
  const memory = GuestMemory.create({ sizeBytes: 1024 * 1024 })
  const frame = new Frame()
  frame.clear(memory)
  const added = Array.from({ length: 70 }, (_, index) => frame.addGuest(memory, index * 8192, 300))
  expect(added.indexOf(false)).toBe(64)
})
