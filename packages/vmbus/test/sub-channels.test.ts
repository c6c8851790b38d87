// Sub-channels: offered when the device asks, gone with their primary.

import { describe, expect, test } from 'vitest'
import { RESCIND, RING, offered, type Subject } from './support/channel-subject.ts'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'

describe('sub-channels', () => {
  function withSubs(count: number): Subject {
    const subject = offered()
    subject.device.answer = 'program'
    subject.device.closesLater = false
    subject.guest.open(1, RING)
    subject.guest.take()
    expect(subject.device.channel.offerSubChannels(count)).toBe(count)
    return subject
  }

  test('are offered when the device asks, with an index and an id of their own', () => {
    const { guest } = withSubs(2)
    guest.server.poll(16)
    const offers = guest.take()
    expect(offers.map(({ fields }) => [fields['channelId'], fields['subChannelIndex']])).toEqual([
      [2, 1],
      [3, 2],
    ])
  })

  test('go with their primary', () => {
    const subject = withSubs(2)
    subject.guest.server.poll(16)
    subject.guest.gpadl(2, 50, [40, 41, 42, 43])
    subject.guest.open(2, 50)
    subject.guest.take()
    const [, sub] = subject.device.programs
    subject.guest.close(1)
    expect(sub?.closed).toBe(true)
    expect(subject.guest.takeNames()).toEqual(['RESCIND_CHANNELOFFER 2', 'RESCIND_CHANNELOFFER 3'])
    subject.guest.release(2)
    subject.guest.release(3)
    expect(subject.guest.server.inspect()).toMatchObject({
      relidsInUse: 1,
      devicesInUse: 0,
      gpadls: { accepted: 2 },
    })
  })

  test('are rescinded before their primary', () => {
    const subject = withSubs(1)
    subject.guest.server.poll(16)
    subject.guest.take()
    subject.offer.revoke()
    expect(subject.guest.takeNames()).toEqual(['RESCIND_CHANNELOFFER 2', RESCIND])
  })

  test('return under their old id when the guest releases it after the primary was opened again', () => {
    const subject = withSubs(1)
    subject.guest.close(1)
    subject.guest.open(1, RING)
    subject.guest.take()
    expect(subject.device.channel.offerSubChannels(1)).toBe(1)
    expect(subject.guest.takeNames()).toEqual([])
    subject.guest.release(2)
    expect(subject.guest.takeNames()).toEqual(['OFFERCHANNEL 2'])
  })

  test('are counted from the moment the device asks until they are taken back', () => {
    const subject = withSubs(2)
    const first = subject.device.channel
    expect(first.subChannelCount).toBe(2)
    subject.guest.close(1)
    expect(first.subChannelCount).toBe(0)
    subject.guest.open(1, RING)
    // Revoked, and not released yet: the guest has none to use.
    expect(subject.device.channel.subChannelCount).toBe(0)
    expect(subject.device.channel.offerSubChannels(1)).toBe(1)
    expect(subject.device.channel.subChannelCount).toBe(1)
  })

  test('that the guest closes and releases are forgotten', () => {
    const subject = withSubs(1)
    subject.guest.server.poll(16)
    subject.guest.release(2)
    expect(subject.device.channel.subChannelCount).toBe(0)
    expect(subject.guest.server.inspect().channels).toHaveLength(1)
  })

  test('are limited', () => {
    const guest = new RawGuest({ limits: { subChannels: 3, channels: 3 } })
    const device = new FakeDevice()
    guest.server.offer(nth(1), device)
    guest.connect()
    guest.openFresh(1, RING)
    expect(device.channel.offerSubChannels(10)).toBe(2)
    expect(device.channel.offerSubChannels(10)).toBe(0)
    guest.server.poll(1)
    guest.gpadl(2, 50, [40, 41, 42, 43])
    guest.open(2, 50)
    expect(device.channel.subChannelIndex).toBe(1)
    expect(device.channel.offerSubChannels(1)).toBe(0)
  })
})
