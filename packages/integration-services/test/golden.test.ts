// Every message as bytes, written by hand from the layouts of openvmm's hyperv_ic_protocol and Linux's hyperv.h.

import { expect, test } from 'vitest'
import {
  HeartbeatBody,
  IcFlags,
  IcHeader,
  IcNegotiate,
  ShutdownBody,
  TimeSyncBody,
  TimeSyncReferenceBody,
  UNIX_EPOCH_100NS,
  icVersion,
  majorOf,
  minorOf,
} from '@guestyard/integration-services/protocol'

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

test('the IC header is 20 bytes, with the message version unaligned', () => {
  const packed = IcHeader.pack({
    frameworkMajor: 3,
    frameworkMinor: 1,
    messageType: 4,
    messageMajor: 0x1122,
    messageMinor: 0x3344,
    messageSize: 0x5566,
    status: 0x8000_4005,
    transactionId: 0x77,
    flags: IcFlags.TRANSACTION | IcFlags.REQUEST,
  })
  expect(hex(packed)).toBe('03 00 01 00 04 00 22 11 44 33 66 55 05 40 00 80 77 03 00 00')
})

test('a negotiation counts its versions', () => {
  expect(hex(IcNegotiate.pack({ frameworkCount: 2, messageCount: 0x0403 }))).toBe(
    '02 00 03 04 00 00 00 00',
  )
})

test('a heartbeat carries a number and the state of applications', () => {
  const packed = HeartbeatBody.pack({ sequence: 0x0102_0304_0506_0708n, applicationState: 2 })
  expect(hex(packed)).toBe(`08 07 06 05 04 03 02 01 02 00 00 00${' 00'.repeat(28)}`)
})

test('a shutdown is 2060 bytes, the text for people included', () => {
  const packed = ShutdownBody.pack({ reason: 0x8000_0000, timeoutSeconds: 90, flags: 3 })
  expect(hex(packed)).toBe(`00 00 00 80 5a 00 00 00 03 00 00 00${' 00'.repeat(2048)}`)
})

test('a time is 28 bytes before 4.0 and 24 from then on', () => {
  expect(
    hex(TimeSyncBody.pack({ parentTime: 1n, childTime: 2n, roundTripTime: 3n, flags: 1 })),
  ).toBe(`01${' 00'.repeat(7)} 02${' 00'.repeat(7)} 03${' 00'.repeat(7)} 01 00 00 00`)
  const reference = TimeSyncReferenceBody.pack({
    parentTime: UNIX_EPOCH_100NS,
    referenceTime: 5n,
    flags: 2,
    leapFlags: 3,
    stratum: 4,
  })
  expect(hex(reference)).toBe(
    `00 80 3e d5 de b1 9d 01 05${' 00'.repeat(7)} 02 03 04${' 00'.repeat(5)}`,
  )
})

test('the epoch of Unix is where Windows says it is', () => {
  const days = Date.UTC(1970, 0, 1) - Date.UTC(1601, 0, 1)
  expect(UNIX_EPOCH_100NS).toBe(BigInt(days) * 10_000n)
})

test('versions compare as numbers', () => {
  expect([majorOf(icVersion(3, 2)), minorOf(icVersion(3, 2))]).toEqual([3, 2])
  expect(icVersion(3, 0)).toBeGreaterThan(icVersion(1, 0xffff))
})
