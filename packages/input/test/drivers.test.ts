// What the guest's drivers make of a host that breaks the protocol.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  KeyboardEvent,
  KeyboardProtocolResponse,
  MOUSE_REPORT_DESCRIPTOR,
  MouseDeviceInfo,
  MouseProtocolResponse,
} from '@guestyard/input/protocol'
import { openDevice } from '@guestyard/input/testing'
import { KeyboardVsc, MouseVsc } from '@guestyard/input/vsc'
import { keyboardOffer, mouseOffer } from '@guestyard/input/vsp'
import { RawHost } from './raw-host.ts'

function keyboardDriver() {
  const host = new RawHost()
  const seen: string[] = []
  const driver = new KeyboardVsc({
    onKey: (makeCode, flags) => seen.push(`${makeCode}/${flags}`),
    onReady: () => seen.push('ready'),
    onFailed: (reason) => seen.push(reason),
  })
  const { loopback, channel } = openDevice(keyboardOffer, host, driver)
  return { host, driver, seen, loopback, channel }
}

function mouseDriver() {
  const host = new RawHost()
  const seen: string[] = []
  const driver = new MouseVsc({
    onMove: (x, y, buttons, wheel) => seen.push(`${x},${y} ${buttons} ${wheel}`),
    onReady: () => seen.push('ready'),
    onFailed: (reason) => seen.push(reason),
  })
  return { host, driver, seen, ...openDevice(mouseOffer, host, driver) }
}

function pipe(message: Uint8Array): Uint8Array {
  return Uint8Array.of(1, 0, 0, 0, message.length, 0, 0, 0, ...message)
}

const ACCEPT = KeyboardProtocolResponse.pack({ messageType: 2, accepted: 1 })
const KEY = KeyboardEvent.pack({ messageType: 3, makeCode: 1, flags: 0 })

test('the keyboard driver skips and counts keys before the response, short and unknown messages', () => {
  const { host, driver, seen, loopback } = keyboardDriver()
  host.send(KEY)
  host.send(new Uint8Array(0))
  host.send(Uint8Array.of(3, 0, 0, 0))
  host.send(Uint8Array.of(99, 0, 0, 0, 0, 0, 0, 0))
  host.send(ACCEPT)
  host.send(ACCEPT)
  host.send(KEY)
  loopback.pump()
  expect(seen).toEqual(['ready', '1/0'])
  expect(driver.ignored).toBe(5)
})

test('a refused keyboard says so, and stays down', () => {
  const { host, driver, seen, loopback } = keyboardDriver()
  host.send(KeyboardProtocolResponse.pack({ messageType: 2, accepted: 0 }))
  host.send(ACCEPT)
  loopback.pump()
  expect(seen).toEqual(['the host refused the keyboard protocol'])
  expect(driver.state).toBe('failed')
  expect(driver.setLeds(1)).toBe(false)
})

test('an event that asks for a completion gets one', () => {
  const { host, driver, loopback } = keyboardDriver()
  host.send(ACCEPT, 6, 1)
  loopback.pump()
  expect(driver.state).toBe('active')
})

function deviceInfo(changes: Partial<Parameters<typeof MouseDeviceInfo.pack>[0]>): Uint8Array {
  const fixed = MouseDeviceInfo.pack({
    messageType: 2,
    size: 41 + MOUSE_REPORT_DESCRIPTOR.length,
    attributesSize: 32,
    vendorId: 0x45e,
    productId: 0x621,
    versionNumber: 1,
    descriptorLength: 9,
    descriptorType: 0x21,
    hidVersion: 0x111,
    countryCode: 0,
    descriptorCount: 1,
    reportDescriptorType: 0x22,
    reportLength: MOUSE_REPORT_DESCRIPTOR.length,
    ...changes,
  })
  return Uint8Array.of(...fixed, ...MOUSE_REPORT_DESCRIPTOR)
}

test('the mouse driver refuses a device whose descriptor does not fit its message', () => {
  for (const changes of [
    { descriptorLength: 255 },
    { descriptorLength: 0 },
    { reportLength: 66 },
    { reportDescriptorType: 0x23 },
    { reportLength: 20 },
  ]) {
    const { host, driver, seen, loopback } = mouseDriver()
    host.send(
      pipe(MouseProtocolResponse.pack({ messageType: 1, size: 5, version: 0x20000, accepted: 1 })),
    )
    host.send(pipe(deviceInfo(changes)))
    loopback.pump()
    expect(seen).toEqual(['the host described a device that is no pointer'])
    expect(driver.state).toBe('failed')
  }
})

test('the mouse driver skips and counts reports that are short or early', () => {
  const { host, driver, seen, loopback } = mouseDriver()
  host.send(pipe(Uint8Array.of(4, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
  host.send(
    pipe(MouseProtocolResponse.pack({ messageType: 1, size: 5, version: 0x20000, accepted: 1 })),
  )
  host.send(pipe(deviceInfo({})))
  host.send(pipe(Uint8Array.of(4, 0, 0, 0, 7, 0, 0, 0, 1, 2)))
  host.send(pipe(Uint8Array.of(4, 0, 0, 0, 7, 0, 0, 0, 1, 2, 0, 3, 0, 255, 255)))
  host.send(Uint8Array.of(7, 7, 7))
  loopback.pump()
  expect(seen).toEqual(['ready', '2,3 1 -1'])
  expect(driver.ignored).toBe(3)
})

test('a mouse the host refuses says so', () => {
  const { host, seen, loopback } = mouseDriver()
  host.send(pipe(MouseProtocolResponse.pack({ messageType: 1, size: 5, version: 0, accepted: 0 })))
  loopback.pump()
  expect(seen).toEqual(['the host refused the mouse protocol'])
})

test('packets of arbitrary bytes from a host never throw in a driver', () => {
  const packets = fc.array(fc.tuple(fc.uint8Array({ maxLength: 160 }), fc.constantFrom(6, 7, 11)))
  fc.assert(
    fc.property(packets, fc.boolean(), (sent, isMouse) => {
      const { host, loopback } = isMouse ? mouseDriver() : keyboardDriver()
      for (const [bytes, type] of sent) host.send(bytes, type, 0)
      loopback.pump()
    }),
    { numRuns: 40 },
  )
})
