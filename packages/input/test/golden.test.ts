// Every message as bytes, written by hand from the layouts of openvmm's uidevices and Linux's drivers.

import { expect, test } from 'vitest'
import {
  HID_DESCRIPTOR_BYTES,
  KeyFlags,
  KeyboardEvent,
  KeyboardHeader,
  KeyboardLedIndicators,
  KeyboardProtocolRequest,
  KeyboardProtocolResponse,
  MOUSE_REPORT_BYTES,
  MOUSE_REPORT_DESCRIPTOR,
  MouseDeviceInfo,
  MouseDeviceInfoAck,
  MouseHeader,
  MouseInputReport,
  MouseProtocolRequest,
  MouseProtocolResponse,
} from '@guestyard/input/protocol'

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

test('keyboard messages are laid out as hosts and guests expect them', () => {
  expect(hex(KeyboardHeader.pack({ messageType: 3 }))).toBe('03 00 00 00')
  expect(hex(KeyboardProtocolRequest.pack({ messageType: 1, version: 0x10000 }))).toBe(
    '01 00 00 00 00 00 01 00',
  )
  expect(hex(KeyboardProtocolResponse.pack({ messageType: 2, accepted: 1 }))).toBe(
    '02 00 00 00 01 00 00 00',
  )
  expect(
    hex(
      KeyboardEvent.pack({ messageType: 3, makeCode: 0x1d, flags: KeyFlags.E0 | KeyFlags.BREAK }),
    ),
  ).toBe('03 00 00 00 1d 00 00 00 06 00 00 00')
  expect(hex(KeyboardLedIndicators.pack({ messageType: 4, ledFlags: 5 }))).toBe(
    '04 00 00 00 05 00 00 00',
  )
})

test('mouse messages are laid out as hosts and guests expect them', () => {
  expect(hex(MouseHeader.pack({ messageType: 4, size: 7 }))).toBe('04 00 00 00 07 00 00 00')
  expect(hex(MouseProtocolRequest.pack({ messageType: 0, size: 4, version: 0x20000 }))).toBe(
    '00 00 00 00 04 00 00 00 00 00 02 00',
  )
  expect(
    hex(MouseProtocolResponse.pack({ messageType: 1, size: 5, version: 0x20000, accepted: 1 })),
  ).toBe('01 00 00 00 05 00 00 00 00 00 02 00 01')
  expect(hex(MouseDeviceInfoAck.pack({ messageType: 3, size: 1, reserved: 0 }))).toBe(
    '03 00 00 00 01 00 00 00 00',
  )
  expect(
    hex(
      MouseInputReport.pack({
        messageType: 4,
        size: 7,
        buttons: 5,
        x: 0x1234,
        y: 0x7fff,
        wheel: -1,
      }),
    ),
  ).toBe('04 00 00 00 07 00 00 00 05 34 12 ff 7f ff ff')
})

test('the device info carries 32 bytes of attributes and a HID descriptor of 9', () => {
  const packed = MouseDeviceInfo.pack({
    messageType: 2,
    size: 41 + MOUSE_REPORT_DESCRIPTOR.length,
    attributesSize: 32,
    vendorId: 0x045e,
    productId: 0x0621,
    versionNumber: 1,
    descriptorLength: HID_DESCRIPTOR_BYTES,
    descriptorType: 0x21,
    hidVersion: 0x0111,
    countryCode: 0,
    descriptorCount: 1,
    reportDescriptorType: 0x22,
    reportLength: MOUSE_REPORT_DESCRIPTOR.length,
  })
  expect(hex(packed)).toBe(
    '02 00 00 00 6a 00 00 00 ' +
      '20 00 00 00 5e 04 21 06 01 00 ' +
      '00 '.repeat(22) +
      '09 21 11 01 00 01 22 41 00',
  )
})

test('the report descriptor is 65 bytes, describes 7-byte reports, and is not one that Linux rewrites', () => {
  expect(MOUSE_REPORT_DESCRIPTOR.length).toBe(65)
  expect(MOUSE_REPORT_DESCRIPTOR[14]).toBe(0x29)
  expect(MOUSE_REPORT_BYTES).toBe(7)
  expect(hex(MOUSE_REPORT_DESCRIPTOR.slice(0, 16))).toBe(
    '05 01 09 02 a1 01 09 01 a1 00 05 09 19 01 29 03',
  )
})
