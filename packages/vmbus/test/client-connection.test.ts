// The guest's end alone, against a host of bytes: its messages, contact, posts, offers, and leaving.

import { HvStatus, VmbusMessageType, VmbusVersion } from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'
import { Heard, OPTIONS, RING, connected, opened, opening } from './support/client-host.ts'
import { RawHost } from './support/raw-host.ts'

function bytes(...groups: string[]): string {
  return groups.join('').replaceAll(' ', '')
}

describe('every message of the guest has the documented bytes', () => {
  test('INITIATE_CONTACT of 5.3, on connection 4', () => {
    const host = new RawHost()
    host.client.connect()
    expect(host.posted[0]?.connectionId).toBe(4)
    expect(host.takeHex()).toEqual([
      bytes('0e000000 00000000 03000500 00000000 02 00 0000 00000000', '00'.repeat(16)),
    ])
  })

  test('INITIATE_CONTACT of 4.1, on connection 1', () => {
    const host = new RawHost([VmbusVersion.WIN10_RS3])
    host.client.connect()
    expect(host.posted[0]?.connectionId).toBe(1)
    expect(host.takeHex()).toEqual([bytes('0e000000 00000000 01000400 00000000', '00'.repeat(24))])
  })

  test('REQUESTOFFERS, on the connection of the response', () => {
    const host = new RawHost()
    host.client.connect()
    host.take()
    host.respond(1, 0, 0x1234)
    expect(host.posted[0]?.connectionId).toBe(0x1234)
    expect(host.takeHex()).toEqual([bytes('03000000 00000000')])
  })

  test('REQUESTOFFERS before 5.0, on connection 1 whatever the response holds', () => {
    const host = new RawHost([VmbusVersion.WIN8])
    host.client.connect()
    host.respond(1, 0, VmbusVersion.WIN8)
    expect(host.posted.map(({ connectionId }) => connectionId)).toEqual([1, 1])
  })

  test('GPADL_HEADER, OPENCHANNEL, CLOSECHANNEL and GPADL_TEARDOWN', () => {
    const host = connected()
    const heard = new Heard()
    const userDefined = Uint8Array.from([1, 2, 3])
    const offer = host.offer(1)
    const channel = host.client.open(offer, { ...OPTIONS, targetVp: 3, userDefined }, heard)
    const range = bytes(
      '00400000 00000000',
      [1, 2, 3, 4].map((n) => `0${n}${'00'.repeat(7)}`).join(''),
    )
    expect(host.takeHex()).toEqual([bytes('08000000 00000000 01000000 101e0e00 2800 0100', range)])
    host.created(1, RING)
    expect(host.takeHex()).toEqual([
      bytes(
        '05000000 00000000 01000000 01000000 101e0e00 03000000 02000000 010203',
        '00'.repeat(117),
      ),
    ])
    host.openResult(1)
    if (channel !== undefined) host.client.close(channel)
    expect(host.takeHex()).toEqual([
      bytes('07000000 00000000 01000000'),
      bytes('0b000000 00000000 01000000 101e0e00'),
    ])
  })

  test('GPADL_BODY for what the header does not hold', () => {
    const host = connected()
    const offer = host.offer(1)
    host.client.open(offer, { sendBytes: 26 * 4096, receiveBytes: 28 * 4096 }, new Heard())
    const messages = host.takeHex()
    // 56 pages: 26 in the header, 28 in the first body, 2 in the second.
    expect(messages.map((message) => message.length / 2)).toEqual([236, 240, 32])
    expect(messages[1]?.slice(0, 48)).toBe(
      bytes('09000000 00000000 00000000 101e0e00 1b00000000000000'),
    )
    expect(messages[2]).toBe(
      bytes('09000000 00000000 01000000 101e0e00 3700000000000000 3800000000000000'),
    )
  })

  test('MODIFYCHANNEL, RELID_RELEASED and UNLOAD', () => {
    const { host, channel } = opened()
    host.client.modifyChannel(channel, 5)
    host.offer(2)
    host.rescind(2)
    expect(host.takeHex()).toEqual([
      bytes('16000000 00000000 01000000 05000000'),
      bytes('0d000000 00000000 02000000'),
    ])
    host.client.close(channel)
    host.tornDown(RING)
    host.take()
    host.client.unload()
    expect(host.takeHex()).toEqual([bytes('10000000 00000000')])
  })
})

describe('contact', () => {
  test('goes through the versions from newest to oldest until one is spoken', () => {
    const host = new RawHost()
    host.client.connect()
    const asked: unknown[] = []
    for (;;) {
      const [contact] = host.take()
      if (contact === undefined) break
      asked.push(contact.fields['version'])
      host.respond(0)
    }
    expect(asked).toEqual([0x50003, 0x50002, 0x50001, 0x50000, 0x40001, 0x40000, 0x30000, 0x20004])
    expect(host.events.at(-1)).toEqual({ is: 'connect-failed', reason: 'no-common-version' })
    expect(host.client.state).toBe('disconnected')
  })

  test('takes a connection that is not there for a version that is not spoken', () => {
    const host = new RawHost()
    host.statuses = [0x12, 0x12, 0x12, 0x12]
    host.client.connect()
    expect(host.posted.map(({ connectionId }) => connectionId)).toEqual([1])
    expect(host.take()[0]?.fields['version']).toBe(VmbusVersion.WIN10_RS3)
  })

  test('fails when the host cannot connect, or the message cannot be posted', () => {
    const host = new RawHost()
    host.client.connect()
    host.respond(1, 2)
    host.statuses = [HvStatus.ACCESS_DENIED]
    host.client.connect()
    expect(host.events).toEqual([
      { is: 'connect-failed', reason: 'host-failure' },
      { is: 'connect-failed', reason: 'post-failed' },
    ])
  })
})

describe('a host without room for a message', () => {
  test('is asked again with doubling delay, in order', () => {
    const host = new RawHost()
    host.statuses = Array.from({ length: 5 }, () => HvStatus.INSUFFICIENT_BUFFERS)
    host.client.connect()
    const due: number[] = []
    while (host.client.nextDeadlineMs < Infinity) {
      due.push(host.client.nextDeadlineMs)
      host.nowMs = host.client.nextDeadlineMs - 0.5
      expect(host.client.arm()).toBe(false)
      expect(host.client.poll(1)).toBe(0)
      host.nowMs += 0.5
      host.client.poll(1)
    }
    expect(due).toEqual([1, 3, 7, 15, 31])
    expect(host.posted).toHaveLength(1)
    expect(host.client.arm()).toBe(false)
  })

  test('is given up after a hundred attempts, not before', () => {
    const host = new RawHost()
    host.statuses = Array.from({ length: 100 }, () => HvStatus.INSUFFICIENT_MEMORY)
    host.client.connect()
    let attempts = 1
    while (host.client.nextDeadlineMs < Infinity) {
      host.nowMs = host.client.nextDeadlineMs
      host.client.poll(1)
      attempts += 1
    }
    expect(attempts).toBe(100)
    expect(host.nowMs).toBeGreaterThan(20_000)
    expect(host.events).toEqual([{ is: 'connect-failed', reason: 'post-failed' }])
  })

  test('and a message lost for good ends its channel, with its pages', () => {
    const host = connected()
    host.offer(1)
    const pages = host.freePages.length
    host.statuses = [HvStatus.ACCESS_DENIED]
    const { heard } = opening(host)
    expect(heard.said).toEqual(['failed post-failed'])
    expect(host.events.at(-1)).toMatchObject({ is: 'post-failed', messageType: 8, status: 6 })
    expect(host.freePages).toHaveLength(pages)
    opened(host)
  })
})

describe('offers', () => {
  test('are reported as they come, then all of them', () => {
    const host = connected()
    host.offer(1)
    host.plain(VmbusMessageType.ALLOFFERS_DELIVERED)
    host.plain(VmbusMessageType.ALLOFFERS_DELIVERED)
    expect(host.events.map(({ is }) => is)).toEqual(['connected', 'offer', 'offers-delivered'])
    expect(host.client.inspect().droppedMessages).toBe(1)
  })

  test('of an id or a device that is there already are dropped', () => {
    const host = connected()
    host.offer(1, 1)
    host.offer(1, 2)
    expect(() => host.offer(2, 1)).toThrow('did not take')
    expect(() => host.offer(0, 3)).toThrow('did not take')
    expect(() => host.offer(2048, 3)).toThrow('did not take')
    host.offer(2, 1, 1)
    expect(host.client.offers()).toHaveLength(2)
    expect(host.client.inspect().droppedMessages).toBe(4)
  })
})

describe('unload', () => {
  test('closes every channel, then leaves, then waits for the response', () => {
    const { host, heard, channel } = opened()
    host.client.unload()
    host.client.unload()
    expect(host.client.state).toBe('leaving')
    expect(host.takeNames()).toEqual(['CLOSECHANNEL 1', 'GPADL_TEARDOWN 1'])
    host.tornDown(channel.ringGpadlId)
    expect(host.takeNames()).toEqual(['UNLOAD'])
    expect(host.client.state).toBe('unloading')
    host.plain(VmbusMessageType.UNLOAD_RESPONSE)
    expect(host.client.state).toBe('disconnected')
    expect(heard.said).toEqual(['opened', 'closed closed'])
    expect(host.events.at(-1)).toEqual({ is: 'unloaded' })
    host.connect()
    expect(host.client.state).toBe('connected')
  })

  test('before 3.0 has no response to wait for', () => {
    const host = new RawHost([VmbusVersion.WIN8])
    host.connect()
    host.client.unload()
    expect(host.client.state).toBe('disconnected')
    expect(host.takeNames()).toEqual(['UNLOAD'])
  })

  test('while contact is made ends it', () => {
    const host = new RawHost()
    host.client.connect()
    host.client.unload()
    host.respond()
    expect(host.client.state).toBe('disconnected')
    expect(host.client.inspect().droppedMessages).toBe(1)
  })
})

test('what no host sends is dropped and counted', () => {
  const { host } = opened()
  const messages = [
    new Uint8Array(7),
    new Uint8Array(241),
    Uint8Array.from([99, 0, 0, 0, 0, 0, 0, 0]),
    Uint8Array.from([5, 0, 0, 0, 0, 0, 0, 0]),
    Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0]),
    Uint8Array.from([17, 0, 0, 0, 0, 0, 0, 0]),
    Uint8Array.from([28, 0, 0, 0, 0, 0, 0, 0]),
  ]
  for (const message of messages) host.send(message)
  host.client.receiveMessage(new Uint8Array(8), 12)
  host.respond()
  expect(host.client.inspect().droppedMessages).toBe(messages.length + 2)
  expect(host.client.state).toBe('connected')
})
