// Opens that can not be, what an open costs a poll, and channels whose interrupts move.

import { describe, expect, test } from 'vitest'
import { CHANNEL_TABLE } from '@guestyard/vmbus/server'
import type { ChannelStateName } from '@guestyard/vmbus/server'
import { NOT_OPENED, OPENED, RING, offered, reach } from './support/channel-subject.ts'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'

const states = Object.keys(CHANNEL_TABLE) as ChannelStateName[]

test('an open takes more of a poll than another message, and most when private memory is made for it', () => {
  const { guest, device } = offered()
  const units = (act: () => void): number => {
    act()
    return guest.server.messageUnits
  }
  expect(units(() => guest.open(1, RING))).toBe(1 + 8 + 16)
  device.finishOpen()
  expect(units(() => guest.close(1))).toBe(1)
  device.finishClose()
  expect(units(() => guest.open(1, RING))).toBe(1 + 8)
})

describe('an open that cannot be is refused with a status', () => {
  const cases: [string, (guest: RawGuest) => void][] = [
    ['a GPADL that does not exist', (guest) => guest.open(1, 99)],
    ['a GPADL of another channel', (guest) => guest.open(1, 20)],
    ['no page for the first ring', (guest) => guest.open(1, RING, { downstreamPageOffset: 0 })],
    ['no data page for the second', (guest) => guest.open(1, RING, { downstreamPageOffset: 3 })],
    ['an offset outside', (guest) => guest.open(1, RING, { downstreamPageOffset: 0xffff_ffff })],
    ['a VP that does not exist', (guest) => guest.open(1, RING, { targetVp: 2 })],
    [
      'a VP that was deleted since the bus began',
      (guest) => {
        guest.vps.delete(1)
        guest.open(1, RING, { targetVp: 1 })
      },
    ],
  ]
  test.each(cases)('%s', (_, open) => {
    const { guest, device } = offered()
    guest.server.offer(nth(2), device)
    guest.gpadl(2, 20, [30, 31, 32, 33])
    guest.take()
    open(guest)
    expect(guest.takeNames()).toEqual([NOT_OPENED])
    expect(guest.stateOf(1)).toBe('closed')
    expect(guest.server.inspect().gpadls.uses).toBe(0)
    expect(guest.server.inspect().errors['bad-open']).toBe(1)
  })

  test('rings of more pages than a channel may have', () => {
    const { guest } = offered({ ringPages: 3 })
    guest.open(1, RING)
    expect(guest.takeNames()).toEqual([NOT_OPENED])
    expect(guest.server.messageUnits).toBe(1)
  })

  test('a device that refuses with zero is not taken for one that accepts', () => {
    const { guest, device } = offered()
    device.answer = 0
    guest.open(1, RING)
    expect(guest.takeNames()).toEqual([NOT_OPENED])
  })

  test('interrupts may be off, and nothing is then signalled', () => {
    const { guest, device } = offered()
    device.answer = 'program'
    guest.open(1, RING, { targetVp: 0xffff_ffff })
    expect(guest.takeNames()).toEqual([OPENED])
    device.channel.signal()
    expect(guest.signals).toEqual([])
    guest.modify(1, 0)
    expect(guest.takeNames()).toEqual(['MODIFYCHANNEL_RESPONSE 1 failed'])
  })
})

describe('MODIFYCHANNEL', () => {
  test('to a VP that was deleted since fails, and the interrupts stay where they are', () => {
    const subject = reach.open()
    subject.guest.vps.delete(1)
    subject.guest.modify(1, 1)
    expect(subject.guest.takeNames()).toEqual(['MODIFYCHANNEL_RESPONSE 1 failed'])
    expect(subject.guest.server.inspect().channels[0]?.targetVp).toBe(0)
  })

  test('moves the interrupts of an open channel', () => {
    const subject = reach.open()
    subject.guest.modify(1, 1)
    subject.device.channel.signal()
    expect(subject.guest.signals).toEqual([{ vp: 1, relid: 1 }])
  })

  test.each(states.filter((state) => state !== 'open'))('fails on a %s channel', (state) => {
    const subject = reach[state]()
    subject.guest.modify(1, 1)
    // While the connection is being left, nothing is served.
    const answer = state === 'opening-client-release' ? [] : ['MODIFYCHANNEL_RESPONSE 1 failed']
    expect(subject.guest.takeNames()).toEqual(answer)
  })

  test('has no response before 5.3', () => {
    const guest = new RawGuest()
    guest.server.offer(nth(1), new FakeDevice())
    guest.connect(0x0005_0002)
    guest.openFresh(1, RING)
    guest.modify(1, 1)
    guest.modify(9, 1)
    expect(guest.takeNames()).toEqual([])
    expect(guest.server.inspect().channels[0]?.targetVp).toBe(1)
  })

  test('does not exist before 4.1', () => {
    const guest = new RawGuest()
    guest.server.offer(nth(1), new FakeDevice())
    guest.connect(0x0004_0000)
    guest.openFresh(1, RING)
    guest.modify(1, 1)
    expect(guest.server.inspect().errors['wrong-version']).toBe(1)
    expect(guest.server.inspect().channels[0]?.targetVp).toBe(0)
  })
})
