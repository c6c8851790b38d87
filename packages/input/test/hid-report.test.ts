import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MOUSE_REPORT_DESCRIPTOR } from '@guestyard/input/protocol'
import { parsePointerReport, readReportField } from '../src/vsc/hid-report.ts'

test('our own descriptor is read as three buttons, two 16-bit axes and a signed wheel', () => {
  expect(parsePointerReport(MOUSE_REPORT_DESCRIPTOR)).toEqual({
    sizeBytes: 7,
    buttons: [
      { bitOffset: 0, bitSize: 1, isSigned: false },
      { bitOffset: 1, bitSize: 1, isSigned: false },
      { bitOffset: 2, bitSize: 1, isSigned: false },
    ],
    x: { bitOffset: 8, bitSize: 16, isSigned: false },
    y: { bitOffset: 24, bitSize: 16, isSigned: false },
    wheel: { bitOffset: 40, bitSize: 16, isSigned: true },
  })
})

test('another layout is read as it is described', () => {
  // Axes first, 12 bits each, then two buttons; no wheel.
  const descriptor = Uint8Array.of(
    ...[0x05, 0x01, 0x09, 0x02, 0xa1, 0x01],
    ...[0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x0f, 0x75, 0x0c, 0x95, 0x02, 0x81, 0x02],
    ...[0x05, 0x09, 0x19, 0x01, 0x29, 0x02, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x02],
    ...[0x81, 0x02, 0x75, 0x06, 0x95, 0x01, 0x81, 0x03, 0xc0],
  )
  const report = parsePointerReport(descriptor)
  expect(report?.sizeBytes).toBe(4)
  expect(report?.wheel).toBeNull()
  const view = new DataView(Uint8Array.of(0xbc, 0x3a, 0x12, 0x02).buffer)
  expect(report && readReportField(view, 0, report.x)).toBe(0xabc)
  expect(report && readReportField(view, 0, report.y)).toBe(0x123)
  expect(report?.buttons.map((button) => readReportField(view, 0, button))).toEqual([0, 1])
})

test('a descriptor of arbitrary bytes is read within its bytes and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 96 }), (bytes) => {
      const report = parsePointerReport(bytes)
      if (report === null) return
      const view = new DataView(new ArrayBuffer(report.sizeBytes))
      for (const field of [...report.buttons, report.x, report.y]) readReportField(view, 0, field)
    }),
  )
})

test('a descriptor that is cut anywhere, or changed in one byte, is read or refused', () => {
  fc.assert(
    fc.property(fc.nat(64), fc.nat(64), fc.nat(255), (cut, at, value) => {
      const changed = MOUSE_REPORT_DESCRIPTOR.slice(0, cut)
      if (at < changed.length) changed[at] = value
      expect(() => parsePointerReport(changed)).not.toThrow()
    }),
  )
})
