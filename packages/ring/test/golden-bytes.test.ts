import { encodePageRange } from '@guestyard/guestmem'
import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'
import { KINDS, dataOf, hex, makeRing } from './ring-fixture.ts'

describe.each(KINDS)('bytes in the ring, %s kernel', (kind) => {
  test('an in-band packet with four payload bytes is the reference packet', () => {
    const fixture = makeRing({ kind })
    const { outgoing, control } = fixture
    outgoing.staging.set([1, 2, 3, 4, 0xaa, 0xbb, 0xcc, 0xdd])
    expect(outgoing.send(0, 4, PACKET_TYPE_DATA_INBAND, 1, 0x55667788, 0x11223344)).toBe(0)
    expect(control[0]).toBe(32)
    expect(hex(dataOf(fixture).subarray(0, 32))).toBe(
      '06 00 02 00 03 00 01 00 88 77 66 55 44 33 22 11 01 02 03 04 00 00 00 00 00 00 00 00 00 00 00 00',
    )
  })

  test('a trailer states where its own packet begins', () => {
    const fixture = makeRing({ kind, startAt: 0x120 })
    fixture.outgoing.send(0, 8, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
    expect(hex(dataOf(fixture).subarray(0x120 + 24, 0x120 + 32))).toBe('00 00 00 00 20 01 00 00')
  })

  test('appended, uniform and reserved packets are byte for byte those of write', () => {
    const images = [0, 1, 2, 3].map((way) => {
      const fixture = makeRing({ kind, startAt: 4096 - 48 })
      const { outgoing } = fixture
      outgoing.staging.fill(0xff)
      outgoing.batch.fill(0xff)
      fixture.memory.u8.fill(0xee, 4096, 8192)
      const payload = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 11, 12, 13]
      outgoing.staging.set(payload)
      outgoing.staging.set(payload, 16)
      if (way === 0) {
        outgoing.write(0, 13, 6, 1, 77, -5)
        outgoing.write(16, 13, 6, 1, 77, -5)
      } else if (way === 1) {
        for (let i = 0; i < 2; i += 1) {
          outgoing.batch.set(payload, outgoing.append(13, 6, 1, 77, -5))
        }
        expect(outgoing.writeBatch()).toBe(2)
      } else if (way === 2) {
        expect(outgoing.writeEach(0, 16, 2, 13, 6, 1, 77, -5)).toBe(2)
      } else {
        for (let i = 0; i < 2; i += 1) {
          expect(outgoing.reserve(13, 6, 1, 77, -5)).toBe(0)
          let done = 0
          while (outgoing.nextSpan()) {
            fixture.memory.u8.set(payload.slice(done, done + outgoing.spanLength), outgoing.spanAt)
            done += outgoing.spanLength
          }
          expect(done).toBe(13)
        }
      }
      outgoing.commit()
      return hex(dataOf(fixture))
    })
    expect(new Set(images).size).toBe(1)
  })

  test('a GPA-direct packet holds reserved, count, ranges, then payload', () => {
    const fixture = makeRing({ kind })
    const { outgoing } = fixture
    const rangeBytes = encodePageRange(outgoing.stagingView, 8, 0x234, 0x1000, [0x55, 0x77])
    outgoing.staging.set([1, 2, 3, 4, 5, 6, 7, 8], 8 + rangeBytes)
    expect(outgoing.writeGpaDirect(0, 1, rangeBytes, 8, 1, 3, 0)).toBe(0)
    outgoing.commit()
    expect(hex(dataOf(fixture).subarray(0, 64))).toBe(
      '09 00 06 00 07 00 01 00 03 00 00 00 00 00 00 00 ' +
        '00 00 00 00 01 00 00 00 00 10 00 00 34 02 00 00 ' +
        '55 00 00 00 00 00 00 00 77 00 00 00 00 00 00 00 ' +
        '01 02 03 04 05 06 07 08 00 00 00 00 00 00 00 00',
    )
  })

  test('a transfer-page packet holds set, count, and ranges with the byte count first', () => {
    const fixture = makeRing({ kind })
    const { outgoing } = fixture
    outgoing.stagingWords.set([0x40, 0x1000, 0x20, 0x2000], 2)
    expect(outgoing.writeTransferPages(0, 0xcafe, 2, 0, 1, 1, 2)).toBe(0)
    outgoing.commit()
    expect(hex(dataOf(fixture).subarray(0, 48))).toBe(
      '07 00 05 00 05 00 01 00 01 00 00 00 02 00 00 00 ' +
        'fe ca 00 00 02 00 00 00 40 00 00 00 00 10 00 00 ' +
        '20 00 00 00 00 20 00 00 00 00 00 00 00 00 00 00',
    )
  })

  test('an initialised ring is empty and its sender announces flow control', () => {
    const { control } = makeRing({ kind, incoming: { masked: true } })
    expect([...control.subarray(0, 17)]).toEqual([0, 0, 1, 0, ...Array(12).fill(0), 1])
  })
})
