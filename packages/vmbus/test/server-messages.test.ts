// Golden bytes of everything the host sends, written by hand from the layouts.

import { PipeMode, VmbusMessageType, VmbusVersion } from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex')
}

function bytes(...groups: string[]): string {
  return groups.join('').replaceAll(' ', '')
}

function takeHex(guest: RawGuest): string[] {
  const taken = guest.received.map(({ payload }) => hex(payload))
  guest.received = []
  return taken
}

function opened(): { guest: RawGuest; device: FakeDevice } {
  const guest = new RawGuest()
  const device = new FakeDevice()
  guest.server.offer(nth(1), device)
  guest.connect()
  guest.openFresh(1, 0xe1e10)
  return { guest, device }
}

describe('every message of the host has the documented bytes', () => {
  test('VERSION_RESPONSE of 5.3 names message connection 4', () => {
    const guest = new RawGuest()
    guest.contact(VmbusVersion.IRON)
    expect(takeHex(guest)).toEqual([bytes('0f000000 00000000', '01 00 0000 04000000')])
  })

  test('VERSION_RESPONSE before 5.0 echoes the version', () => {
    const guest = new RawGuest()
    guest.contact(VmbusVersion.WIN10_RS3)
    expect(takeHex(guest)).toEqual([bytes('0f000000 00000000', '01 00 0000 01000400')])
  })

  test('VERSION_RESPONSE to a version that is not spoken is zero', () => {
    const guest = new RawGuest()
    guest.contact(VmbusVersion.COPPER)
    expect(takeHex(guest)).toEqual([bytes('0f000000 00000000', '00 00 0000 00000000')])
  })

  test('VERSION_RESPONSE to half a pair of monitor pages reports an unknown failure', () => {
    const guest = new RawGuest()
    guest.contact(VmbusVersion.IRON, { parentToChildMonitorGpa: 0x1000n })
    expect(takeHex(guest)).toEqual([bytes('0f000000 00000000', '01 02 0000 04000000')])
  })

  test('OFFERCHANNEL of a raw device', () => {
    const guest = new RawGuest()
    guest.server.offer(
      {
        classId: 'f912ad6d-2b17-48ea-bd65-f927a61c7684',
        instanceId: 'd34b2567-b9b6-42b9-8778-0a4ec0b955bf',
      },
      new FakeDevice(),
    )
    guest.contact()
    guest.received = []
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    expect(takeHex(guest)).toEqual([
      bytes(
        '01000000 00000000',
        '6dad12f9 172b ea48 bd65f927a61c7684',
        '67254bd3 b6b9 b942 87780a4ec0b955bf',
        '00'.repeat(16),
        '0100 0000',
        '00'.repeat(120),
        '0000 0000 01000000',
        'ff 00 0100',
        '01200000',
      ),
      bytes('04000000 00000000'),
    ])
  })

  test('OFFERCHANNEL of a message pipe with MMIO space', () => {
    const guest = new RawGuest()
    guest.connect()
    guest.server.offer(
      {
        classId: 'da0a7802-e377-4aac-8e77-0558eb1073f8',
        instanceId: '5620e0c7-8062-4dce-aeb7-520c7ef76171',
        pipeMode: PipeMode.MESSAGE,
        mmioMegabytes: 8,
      },
      new FakeDevice(),
    )
    const [offer = ''] = takeHex(guest)
    expect(offer.slice(56 * 2, 64 * 2)).toBe(bytes('1100 0800 04000000'))
  })

  test('RESCIND_CHANNELOFFER', () => {
    const guest = new RawGuest()
    const offer = guest.server.offer(nth(1), new FakeDevice())
    guest.connect()
    offer.revoke()
    expect(takeHex(guest)).toEqual([bytes('02000000 00000000 01000000')])
  })

  test('GPADL_CREATED and OPENCHANNEL_RESULT', () => {
    const guest = new RawGuest()
    guest.server.offer(nth(1), new FakeDevice())
    guest.connect()
    guest.gpadl(1, 0xe1e10, [16, 17, 18, 19])
    guest.open(1, 0xe1e10, { openId: 0x55 })
    expect(takeHex(guest)).toEqual([
      bytes('0a000000 00000000 01000000 101e0e00 00000000'),
      bytes('06000000 00000000 01000000 55000000 00000000'),
    ])
  })

  test('GPADL_CREATED and OPENCHANNEL_RESULT of what cannot be', () => {
    const guest = new RawGuest()
    guest.server.offer(nth(1), new FakeDevice())
    guest.connect()
    guest.gpadl(1, 7, [0xff_ffff])
    guest.open(1, 7)
    expect(takeHex(guest)).toEqual([
      bytes('0a000000 00000000 01000000 07000000 ffff0080'),
      bytes('06000000 00000000 01000000 01000000 ffff0080'),
    ])
  })

  test('GPADL_TORNDOWN', () => {
    const { guest } = opened()
    guest.close(1)
    guest.teardown(1, 0xe1e10)
    expect(takeHex(guest)).toEqual([bytes('0c000000 00000000 101e0e00')])
  })

  test('MODIFYCHANNEL_RESPONSE', () => {
    const { guest } = opened()
    guest.modify(1, 1)
    guest.modify(1, 0xffff_ffff)
    expect(takeHex(guest)).toEqual([
      bytes('18000000 00000000 01000000 00000000'),
      bytes('18000000 00000000 01000000 ffff0080'),
    ])
  })

  test('TL_CONNECT_RESULT refuses the connection', () => {
    const guest = new RawGuest()
    guest.connect()
    const ids = bytes('000102030405060708090a0b0c0d0e0f', '101112131415161718191a1b1c1d1e1f')
    guest.post(Buffer.from(bytes('15000000 00000000', ids), 'hex'))
    expect(takeHex(guest)).toEqual([bytes('17000000 00000000', ids, '360200c0')])
  })

  test('UNLOAD_RESPONSE', () => {
    const guest = new RawGuest()
    guest.connect()
    guest.plain(VmbusMessageType.UNLOAD)
    expect(takeHex(guest)).toEqual([bytes('11000000 00000000')])
  })
})
