// Contact, versions, unload, and the answers that wait while the guest does not read.

import {
  HvStatus,
  TlConnectRequestMessage,
  VmbusMessageType,
  VmbusVersion,
  vmbusVersionName,
} from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'
import { DEFAULT_VERSIONS } from '@guestyard/vmbus'
import { DEFAULT_LIMITS, queuedMessagesBound } from '@guestyard/vmbus/server'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'

function connection(guest: RawGuest): [string, number] {
  const { connection: state, version } = guest.server.inspect()
  return [state, version]
}

describe('contact', () => {
  test.each(DEFAULT_VERSIONS.map((version) => [vmbusVersionName(version), version] as const))(
    'is made with version %s',
    (_, version) => {
      const guest = new RawGuest()
      guest.server.offer(nth(1), new FakeDevice())
      guest.contact(version)
      expect(connection(guest)).toEqual(['connected', version])
      const [response] = guest.take()
      expect(response?.fields).toMatchObject({
        versionSupported: 1,
        connectionState: 0,
        messageConnectionId: version >= VmbusVersion.WIN10_V5 ? 4 : version,
      })
      guest.plain(VmbusMessageType.REQUESTOFFERS)
      expect(guest.takeNames()).toEqual(['OFFERCHANNEL 1', 'ALLOFFERS_DELIVERED'])
      guest.openFresh(1, 7)
      expect(guest.stateOf(1)).toBe('open')
    },
  )

  test.each([0, VmbusVersion.WS2008, VmbusVersion.WIN7, 0x0005_0004, VmbusVersion.COPPER])(
    'with version %i is answered and refused, and another may follow',
    (version) => {
      const guest = new RawGuest()
      guest.contact(version)
      expect(guest.take()[0]?.fields).toMatchObject({ versionSupported: 0 })
      expect(connection(guest)).toEqual(['disconnected', 0])
      guest.contact(VmbusVersion.IRON)
      expect(connection(guest)).toEqual(['connected', VmbusVersion.IRON])
    },
  )

  test('speaks exactly the versions it was given', () => {
    const guest = new RawGuest({ versions: [VmbusVersion.WIN10] })
    guest.contact(VmbusVersion.WIN10_RS3)
    guest.contact(VmbusVersion.WIN10)
    expect(guest.take().map(({ fields }) => fields['versionSupported'])).toEqual([0, 1])
  })

  test.each([
    ['a VP that does not exist', { targetVp: 2 }],
    ['another SINT', { targetSint: 3 }],
    ['another VTL', { targetVtl: 2 }],
    ['half a pair of monitor pages', { childToParentMonitorGpa: 0x2000n }],
  ])('for %s is answered with a failure', (_, overrides) => {
    const guest = new RawGuest()
    guest.contact(VmbusVersion.IRON, overrides)
    const [answer] = guest.received
    expect(answer?.vp).toBe(0)
    expect(guest.take()[0]?.fields).toMatchObject({ versionSupported: 1, connectionState: 2 })
    expect(connection(guest)).toEqual(['disconnected', 0])
  })

  test('before 5.0 says nothing about SINT and VTL, and 5.0 nothing about VTL', () => {
    const guest = new RawGuest()
    guest.contact(VmbusVersion.WIN10_RS3, { targetSint: 9, targetVtl: 9 })
    guest.contact(VmbusVersion.WIN10_V5, { targetVtl: 1 })
    expect(guest.take().map(({ fields }) => fields['connectionState'])).toEqual([0, 0])
  })

  test('chooses the VP that gets messages from 3.0 on', () => {
    const guest = new RawGuest()
    guest.contact(VmbusVersion.WIN8_1, { targetVp: 1 })
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    expect(guest.received.map(({ vp }) => vp)).toEqual([1, 1])
    guest.received = []
    guest.contact(VmbusVersion.WIN8, { targetVp: 77 })
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    expect(guest.received.map(({ vp }) => vp)).toEqual([0, 0])
  })

  test('again, ends the connection before: nothing of it is left', () => {
    const guest = new RawGuest()
    const device = new FakeDevice()
    guest.server.offer(nth(1), device)
    guest.connect()
    guest.openFresh(1, 7)
    guest.contact(VmbusVersion.WIN10)
    expect(device.program.closed).toBe(true)
    expect(guest.takeNames()).toEqual(['VERSION_RESPONSE'])
    expect(guest.server.inspect()).toMatchObject({
      connection: 'connected',
      version: VmbusVersion.WIN10,
      relidsInUse: 0,
      devicesInUse: 0,
      gpadls: { accepted: 0, listBytes: 0 },
    })
    expect(guest.connected.size).toBe(0)
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    expect(guest.takeNames()).toEqual(['OFFERCHANNEL 1', 'ALLOFFERS_DELIVERED'])
  })

  test('again, is answered when the devices have stopped, and only the last one is', () => {
    const guest = new RawGuest()
    const device = new FakeDevice()
    device.closesLater = true
    guest.server.offer(nth(1), device)
    guest.connect()
    guest.openFresh(1, 7)
    guest.contact(VmbusVersion.WIN10)
    guest.contact(VmbusVersion.WIN8_1)
    guest.plain(VmbusMessageType.UNLOAD)
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    guest.gpadl(1, 8, [20])
    expect(guest.take()).toEqual([])
    expect(connection(guest)[0]).toBe('disconnecting')
    device.finishClose()
    guest.server.poll(16)
    expect(guest.takeNames()).toEqual(['VERSION_RESPONSE'])
    expect(connection(guest)).toEqual(['connected', VmbusVersion.WIN8_1])
  })

  test('again, drops what the old connection had not read', () => {
    const guest = new RawGuest()
    guest.server.offer(nth(1), new FakeDevice())
    guest.connect()
    guest.room = 0
    guest.gpadl(1, 7, [16, 17, 18, 19])
    guest.contact()
    guest.room = 100
    guest.server.poll(16)
    expect(guest.takeNames()).toEqual(['VERSION_RESPONSE'])
  })

  test('stands only when its response has been taken', () => {
    const guest = new RawGuest()
    guest.room = 0
    guest.contact()
    expect(connection(guest)[0]).toBe('connecting')
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    expect(guest.server.inspect().errors['not-connected']).toBe(1)
    guest.room = 1
    expect(guest.server.arm()).toBe(true)
    expect(connection(guest)[0]).toBe('connected')
  })
})

describe('offers', () => {
  test('come sorted, whatever the order they were made in', () => {
    const guest = new RawGuest()
    for (const n of [3, 1, 2]) guest.server.offer(nth(n), new FakeDevice())
    guest.contact()
    guest.take()
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    expect(guest.take().map(({ fields }) => [fields['channelId'], fields['instanceId']])).toEqual([
      [1, nth(1).instanceId],
      [2, nth(2).instanceId],
      [3, nth(3).instanceId],
      [undefined, undefined],
    ])
  })

  test('are delivered once a connection', () => {
    const guest = new RawGuest()
    guest.connect()
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    expect(guest.take()).toEqual([])
    expect(guest.server.inspect().errors['wrong-state']).toBe(1)
  })

  test('made later come alone, and not before the guest has asked', () => {
    const guest = new RawGuest()
    guest.contact()
    guest.take()
    const offer = guest.server.offer(nth(1), new FakeDevice())
    expect(guest.take()).toEqual([])
    expect(offer.relid).toBe(0)
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    guest.take()
    guest.server.offer(nth(2), new FakeDevice())
    expect(guest.takeNames()).toEqual(['OFFERCHANNEL 2'])
  })

  test('beyond the ids wait for one', () => {
    const guest = new RawGuest({ limits: { channels: 2 } })
    guest.connect()
    for (const n of [1, 2, 3, 4]) guest.server.offer(nth(n), new FakeDevice())
    expect(guest.takeNames()).toEqual(['OFFERCHANNEL 1', 'OFFERCHANNEL 2'])
    guest.release(1)
    expect(guest.takeNames()).toEqual(['OFFERCHANNEL 1'])
    expect(guest.server.inspect().relidsInUse).toBe(2)
  })

  test('of the same class and instance are our own mistake', () => {
    const guest = new RawGuest()
    guest.server.offer(nth(1), new FakeDevice())
    expect(() => guest.server.offer(nth(1), new FakeDevice())).toThrow(/unique/)
  })
})

describe('unload', () => {
  test('releases everything, then answers', () => {
    const guest = new RawGuest()
    const device = new FakeDevice()
    guest.server.offer(nth(1), device)
    guest.connect()
    guest.openFresh(1, 7)
    guest.plain(VmbusMessageType.UNLOAD)
    expect(device.program.closed).toBe(true)
    expect(guest.takeNames()).toEqual(['UNLOAD_RESPONSE'])
    expect(guest.server.inspect()).toMatchObject({ relidsInUse: 0, gpadls: { accepted: 0 } })
    guest.plain(VmbusMessageType.UNLOAD)
    expect(guest.takeNames()).toEqual([])
  })

  test('is answered when the last device has stopped', () => {
    const guest = new RawGuest()
    const device = new FakeDevice()
    device.closesLater = true
    guest.server.offer(nth(1), device)
    guest.connect()
    guest.openFresh(1, 7)
    guest.teardown(1, 7)
    guest.plain(VmbusMessageType.UNLOAD)
    expect(guest.takeNames()).toEqual([])
    device.finishClose()
    guest.server.poll(16)
    expect(guest.takeNames()).toEqual(['UNLOAD_RESPONSE'])
  })

  test('a reset says nothing, and leaves nothing', () => {
    const guest = new RawGuest()
    const device = new FakeDevice()
    guest.server.offer(nth(1), device)
    guest.connect()
    guest.openFresh(1, 7)
    guest.server.reset()
    expect(device.program.closed).toBe(true)
    expect(guest.take()).toEqual([])
    expect(guest.server.devicesInUse).toBe(0)
    expect(guest.events.at(-1)).toEqual({ is: 'disconnected' })
  })
})

describe('a guest that does not read its messages', () => {
  test('is not read either, and loses nothing', () => {
    const guest = new RawGuest({ limits: { queuedMessages: 4 } })
    guest.server.offer(nth(1), new FakeDevice())
    guest.connect()
    guest.room = 0
    let posted = 0
    for (let id = 1; id <= 10; id += 1) {
      if (!guest.server.acceptsMessages) break
      guest.gpadl(1, id, [16])
      posted += 1
    }
    expect(posted).toBe(4)
    expect(guest.server.acceptsMessages).toBe(false)
    const header = new Uint8Array(40)
    expect(guest.post(header)).toBe(false)
    expect(guest.server.inspect().receivedMessages).toBe(2 + 4)
    guest.room = 2
    expect(guest.server.poll(16)).toBe(2)
    expect(guest.server.acceptsMessages).toBe(true)
    guest.room = 10
    guest.server.poll(16)
    expect(guest.takeNames()).toEqual([1, 2, 3, 4].map((id) => `GPADL_CREATED ${id}`))
  })

  test('gets in order what the host owed it meanwhile', () => {
    const guest = new RawGuest({ limits: { queuedMessages: 1 } })
    const device = new FakeDevice()
    device.answer = 'pending'
    const offer = guest.server.offer(nth(1), device)
    guest.connect()
    guest.gpadl(1, 7, [16, 17, 18, 19])
    guest.open(1, 7)
    guest.take()
    guest.room = 0
    device.finishOpen()
    offer.revoke()
    guest.server.offer(nth(2), new FakeDevice())
    expect(guest.server.arm()).toBe(false)
    guest.room = 10
    expect(guest.server.arm()).toBe(true)
    expect(guest.takeNames()).toEqual([
      'OPENCHANNEL_RESULT 1',
      'RESCIND_CHANNELOFFER 1',
      'OFFERCHANNEL 2',
    ])
  })

  test('cannot make the host owe more than the computed bound', () => {
    const limits = { ...DEFAULT_LIMITS, channels: 8, gpadls: 4, queuedMessages: 2 }
    const guest = new RawGuest({ limits })
    const device = new FakeDevice()
    device.answer = 'pending'
    const offers = Array.from({ length: 8 }, (_, n) => guest.server.offer(nth(n), device))
    guest.contact()
    guest.take()
    guest.room = 0
    guest.plain(VmbusMessageType.REQUESTOFFERS)
    for (const offer of offers) offer.revoke()
    for (let n = 8; n < 30; n += 1) guest.server.offer(nth(n), device).revoke()
    expect(guest.server.inspect().queuedMessages).toBeLessThanOrEqual(queuedMessagesBound(limits))
  })

  test('and whose slots can never take one is told nothing more, at no cost', () => {
    const guest = new RawGuest()
    guest.postStatus = HvStatus.INVALID_SYNIC_STATE
    guest.contact()
    expect(guest.server.inspect()).toMatchObject({ queuedMessages: 0, undeliverableMessages: 1 })
  })
})

describe('messages that nobody should send', () => {
  test.each([
    VmbusMessageType.OFFERCHANNEL,
    VmbusMessageType.RESCIND_CHANNELOFFER,
    VmbusMessageType.ALLOFFERS_DELIVERED,
    VmbusMessageType.OPENCHANNEL_RESULT,
    VmbusMessageType.GPADL_CREATED,
    VmbusMessageType.GPADL_TORNDOWN,
    VmbusMessageType.VERSION_RESPONSE,
    VmbusMessageType.UNLOAD_RESPONSE,
    VmbusMessageType.CLOSE_RESERVED_RESPONSE,
    VmbusMessageType.TL_CONNECT_RESULT,
    VmbusMessageType.MODIFYCHANNEL_RESPONSE,
    VmbusMessageType.MODIFY_CONNECTION_RESPONSE,
    VmbusMessageType.PAUSE_RESPONSE,
  ])('type %i is a host’s and is dropped', (type) => {
    const guest = new RawGuest()
    guest.connect()
    const message = new Uint8Array(240)
    new DataView(message.buffer).setUint32(0, type, true)
    guest.post(message)
    expect(guest.take()).toEqual([])
    expect(guest.server.inspect().errors['host-only']).toBe(1)
  })

  test.each([0, 30, 99, 0xffff_ffff])('type %i is unknown and is dropped', (type) => {
    const guest = new RawGuest()
    guest.connect()
    guest.plain(type)
    expect(guest.server.inspect().errors.malformed).toBe(1)
  })

  test('everything but contact is ignored without a connection', () => {
    const guest = new RawGuest()
    guest.server.offer(nth(1), new FakeDevice())
    for (const type of [3, 5, 7, 8, 9, 11, 13, 16, 18, 21, 22]) {
      const message = new Uint8Array(240)
      new DataView(message.buffer).setUint32(0, type, true)
      guest.post(message)
    }
    expect(guest.take()).toEqual([])
    expect(guest.server.inspect().errors['not-connected']).toBe(11)
  })

  test('a message that is too short, too long, or longer than its bytes is dropped', () => {
    const guest = new RawGuest()
    guest.connect()
    const sizes = { 5: 147, 7: 11, 8: 19, 9: 15, 11: 15, 13: 11, 14: 39, 21: 39, 22: 15 }
    for (const [type, length] of Object.entries(sizes)) {
      const message = new Uint8Array(length)
      new DataView(message.buffer).setUint32(0, Number(type), true)
      guest.post(message)
    }
    guest.server.receiveMessage(new Uint8Array(241), 241)
    guest.server.receiveMessage(new Uint8Array(7), 7)
    guest.server.receiveMessage(new Uint8Array(8), 16)
    expect(guest.take()).toEqual([])
    expect(guest.server.inspect().errors.malformed).toBe(12)
    expect(guest.server.inspect().connection).toBe('connected')
  })

  test('a message longer than its fields is taken, as firmware posts all 240 bytes', () => {
    const guest = new RawGuest()
    guest.contact()
    const message = new Uint8Array(240)
    new DataView(message.buffer).setUint32(0, VmbusMessageType.REQUESTOFFERS, true)
    guest.post(message)
    expect(guest.takeNames()).toEqual(['VERSION_RESPONSE', 'ALLOFFERS_DELIVERED'])
  })

  test('hv_sock connects are refused from 4.1 on, and unanswered in 4.0', () => {
    const request = TlConnectRequestMessage.pack({
      messageType: VmbusMessageType.TL_CONNECT_REQUEST,
      endpointId: nth(1).instanceId,
      serviceId: nth(2).instanceId,
    })
    const guest = new RawGuest()
    guest.connect(VmbusVersion.WIN10)
    guest.post(request)
    expect(guest.take()).toEqual([])
    guest.connect(VmbusVersion.WIN10_RS3)
    guest.post(request)
    expect(guest.take()[0]?.fields).toMatchObject({
      endpointId: nth(1).instanceId,
      status: 0xc000_0236,
    })
  })
})

test('signals for channels that are not open are counted and do nothing', () => {
  const guest = new RawGuest()
  guest.server.offer(nth(1), new FakeDevice())
  guest.connect()
  for (const relid of [0, 1, 2, 2047, 2048, -1, 1e9, Number.NaN]) guest.server.receiveSignal(relid)
  expect(guest.server.inspect()).toMatchObject({ strayInterrupts: 8, activeChannels: 0 })
})
