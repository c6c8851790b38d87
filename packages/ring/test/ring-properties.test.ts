import { PAGE_SIZE } from '@guestyard/hvdef'
import { packetBytes } from '@guestyard/ring'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  KINDS,
  RAM_BYTES,
  type RingFixture,
  makeRing,
  patternBytes,
  payloadOf,
} from './ring-fixture.ts'

const INBAND = 6

/** Control page and 1 to 4 data pages, each anywhere. */
const scatteredPfns = fc.uniqueArray(fc.nat({ max: RAM_BYTES / PAGE_SIZE - 1 }), {
  minLength: 2,
  maxLength: 5,
})

/** Writes one packet in one of the ways there are. False when the ring is full. */
function writeOne(fixture: RingFixture, way: number, sequence: number, length: number): boolean {
  const { outgoing, memory } = fixture
  const payload = patternBytes(sequence, length)
  outgoing.staging.set(payload, 8)
  switch (way) {
    case 0:
      return outgoing.write(8, length, INBAND, 0, sequence, ~sequence) === 0
    case 1:
      return outgoing.writeEach(8, length, 1, length, INBAND, 0, sequence, ~sequence) === 1
    case 2: {
      const at = outgoing.append(length, INBAND, 0, sequence, ~sequence)
      if (at < 0) return false
      outgoing.batch.set(payload, at)
      const written = outgoing.writeBatch() === 1
      outgoing.clearBatch()
      return written
    }
    default: {
      if (outgoing.reserve(length, INBAND, 0, sequence, ~sequence) !== 0) return false
      let done = 0
      while (outgoing.nextSpan()) {
        memory.u8.set(payload.subarray(done, done + outgoing.spanLength), outgoing.spanAt)
        done += outgoing.spanLength
      }
      return done === length
    }
  }
}

function expectPacket(fixture: RingFixture, i: number, sequence: number, length: number): void {
  const { incoming } = fixture
  const padded = new Uint8Array((length + 7) & -8)
  padded.set(patternBytes(sequence, length))
  expect(incoming.tidLow(i)).toBe(sequence)
  expect(incoming.tidHigh(i)).toBe(~sequence)
  expect(Buffer.compare(payloadOf(incoming, i), padded)).toBe(0)
}

describe.each(KINDS)('round trips, %s kernel', (kind) => {
  test('every packet arrives whole from every wrap position, over contiguous and scattered pages', () => {
    for (const pfns of [
      [0, 1],
      [9, 4],
      [3, 7, 5],
    ]) {
      for (const length of [0, 5, 8, 13, 31, 100, 700]) {
        const fixture = makeRing({ kind, pfns })
        const size = fixture.outgoing.sizeBytes
        // 40 bytes of ring for each filler: 5 and size / 8 have no common factor, so that every
        // position is met.
        for (let sequence = 0; sequence < size / 8; sequence += 1) {
          expect(fixture.outgoing.write(0, 16, INBAND, 0, 0, 0)).toBe(0)
          expect(writeOne(fixture, sequence & 3, sequence, length)).toBe(true)
          fixture.outgoing.commit()
          expect(fixture.incoming.drain(4)).toBe(2)
          expectPacket(fixture, 1, sequence, length)
          fixture.incoming.commit()
        }
      }
    }
  })

  test('any packets, drained in any batches, arrive in order and give their space back', () => {
    fc.assert(
      fc.property(
        scatteredPfns,
        fc.nat(),
        fc.array(fc.record({ way: fc.nat(3), length: fc.nat(900), drain: fc.nat(5) }), {
          minLength: 1,
          maxLength: 60,
        }),
        (pfns, start, steps) => {
          const size = (pfns.length - 1) * PAGE_SIZE
          const fixture = makeRing({ kind, pfns, startAt: (start * 8) % size })
          const { outgoing, incoming } = fixture
          const sent: number[] = []
          let received = 0
          const drain = (max: number): void => {
            const count = incoming.drain(max)
            for (let i = 0; i < count; i += 1, received += 1) {
              expectPacket(fixture, i, received, sent[received]!)
            }
            if ((received & 1) === 0) incoming.commit()
            else incoming.commitLazily()
          }
          for (const { way, length, drain: max } of steps) {
            if (writeOne(fixture, way, sent.length, length)) sent.push(length)
            else expect(packetBytes(length)).toBeGreaterThan(outgoing.writableBytes())
            if ((length & 3) !== 0) outgoing.commit()
            if (max > 0) drain(max)
          }
          outgoing.commit()
          for (let before = -1; before !== received;) {
            before = received
            drain(1000)
          }
          incoming.commit()
          expect(received).toBe(sent.length)
          expect(outgoing.writableBytes()).toBe(size - 8)
          expect(outgoing.bytes).toBe(incoming.bytes)
        },
      ),
    )
  })
})
