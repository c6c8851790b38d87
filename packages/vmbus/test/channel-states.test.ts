// Every cell of the channel table, against the server: the expectation is written out here, so that a slip in
// the table fails as well as one in the code.

import { VmbusMessageType } from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'
import { CHANNEL_TABLE } from '@guestyard/vmbus/server'
import type { ChannelEventName, ChannelStateName, Offer } from '@guestyard/vmbus/server'
import type { VmbusLimits } from '@guestyard/vmbus/server'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'

/** A channel under test: its device answers opens and closes only when told to. */
interface Subject {
  readonly guest: RawGuest
  readonly device: FakeDevice
  offer: Offer
}

const RING = 7
const OTHER_RING = 8

function offered(limits: Partial<VmbusLimits> = {}): Subject {
  const guest = new RawGuest({ limits })
  const device = new FakeDevice()
  device.answer = 'pending'
  device.closesLater = true
  const offer = guest.server.offer(nth(1), device)
  guest.connect()
  guest.gpadl(1, RING, [16, 17, 18, 19])
  guest.gpadl(1, OTHER_RING, [20, 21, 22, 23])
  guest.take()
  return { guest, device, offer }
}

const reach: Record<ChannelStateName, () => Subject> = {
  'client-released': () => after(offered(), ({ guest }) => guest.release(1)),
  closed: () => offered(),
  opening: () => after(offered(), ({ guest }) => guest.open(1, RING)),
  open: () => after(reach.opening(), ({ device }) => device.finishOpen()),
  closing: () => after(reach.open(), ({ guest }) => guest.close(1)),
  'closing-reopen': () => after(reach.closing(), ({ guest }) => guest.open(1, OTHER_RING)),
  revoked: () => after(offered(), ({ offer }) => offer.revoke()),
  reoffered: () =>
    after(reach.revoked(), (subject) => {
      subject.offer = subject.guest.server.offer(nth(1), subject.device)
    }),
  'closing-client-release': () => after(reach.closing(), ({ guest }) => guest.release(1)),
  'opening-client-release': () => after(reach.opening(), ({ guest }) => guest.contact()),
}

function after(subject: Subject, step: (subject: Subject) => void): Subject {
  step(subject)
  subject.guest.take()
  return subject
}

const cause: Record<ChannelEventName, (subject: Subject) => void> = {
  open: ({ guest }) => guest.open(1, RING),
  close: ({ guest }) => guest.close(1),
  release: ({ guest }) => guest.release(1),
  revoke: ({ offer }) => offer.revoke(),
  opened: ({ device }) => device.finishOpen(),
  refused: ({ device }) => device.channel.completeOpen({ refused: 5 }),
  drained: drain,
  disconnect: ({ guest }) => guest.contact(),
}

// The device stops: it ends a close, or answers an open that nobody waits for.
function drain({ guest, device }: Subject): void {
  const state = guest.server.inspect().channels[0]?.state
  if (state === 'opening-client-release') device.channel.completeOpen({ refused: 5 })
  else device.finishClose()
}

function stateOf({ guest }: Subject): string {
  return guest.server.inspect().channels[0]?.state ?? 'gone'
}

/** State after the event, and what was sent. */
type Cell = readonly [state: string, ...messages: string[]]
type Cells = Partial<Record<ChannelEventName, Cell>>

const OFFER = 'OFFERCHANNEL 1'
const RESCIND = 'RESCIND_CHANNELOFFER 1'
const VERSION = 'VERSION_RESPONSE'
const OPENED = 'OPENCHANNEL_RESULT 1'
const NOT_OPENED = 'OPENCHANNEL_RESULT 1 failed'

// A cell that is left out cannot happen: the device has nothing to answer.
const expected: Record<ChannelStateName, Cells> = {
  'client-released': {
    open: ['client-released'],
    close: ['client-released'],
    release: ['client-released'],
    revoke: ['gone'],
    disconnect: ['client-released', VERSION],
  },
  closed: {
    open: ['opening'],
    close: ['closed'],
    release: ['client-released'],
    revoke: ['revoked', RESCIND],
    disconnect: ['client-released', VERSION],
  },
  opening: {
    open: ['opening'],
    close: ['opening'],
    release: ['opening'],
    // The rescind waits for the device, which still has the memory.
    revoke: ['revoked'],
    opened: ['open', OPENED],
    refused: ['closed', NOT_OPENED],
    disconnect: ['opening-client-release'],
  },
  open: {
    open: ['open'],
    close: ['closing'],
    release: ['open'],
    revoke: ['revoked'],
    disconnect: ['closing-client-release'],
  },
  closing: {
    open: ['closing-reopen'],
    close: ['closing'],
    release: ['closing-client-release'],
    revoke: ['revoked'],
    drained: ['closed'],
    disconnect: ['closing-client-release'],
  },
  'closing-reopen': {
    open: ['closing-reopen'],
    close: ['closing-reopen'],
    release: ['closing-reopen'],
    revoke: ['revoked'],
    drained: ['opening'],
    disconnect: ['closing-client-release'],
  },
  revoked: {
    open: ['revoked'],
    close: ['revoked'],
    release: ['gone'],
    revoke: ['revoked'],
    disconnect: ['gone', VERSION],
  },
  reoffered: {
    open: ['reoffered'],
    close: ['reoffered'],
    release: ['closed', OFFER],
    revoke: ['revoked'],
    disconnect: ['client-released', VERSION],
  },
  'closing-client-release': {
    open: ['closing-client-release'],
    close: ['closing-client-release'],
    release: ['closing-client-release'],
    // Its record goes when the device has stopped.
    revoke: ['closing-client-release'],
    drained: ['client-released'],
    disconnect: ['closing-client-release'],
  },
  'opening-client-release': {
    open: ['opening-client-release'],
    close: ['opening-client-release'],
    release: ['opening-client-release'],
    revoke: ['opening-client-release'],
    drained: ['client-released', VERSION],
    disconnect: ['opening-client-release'],
  },
}

const states = Object.keys(CHANNEL_TABLE) as ChannelStateName[]
const events = Object.keys(CHANNEL_TABLE.closed) as ChannelEventName[]
const cells = states.flatMap((state) => events.map((event) => ({ state, event })))
const possible = cells.filter(({ state, event }) => expected[state][event] !== undefined)

describe('each cell of the channel table is what the server does', () => {
  test.each(possible)('$state meets $event', ({ state, event }) => {
    const subject = reach[state]()
    expect(stateOf(subject)).toBe(state)
    cause[event](subject)
    expect([stateOf(subject), ...subject.guest.takeNames()]).toEqual(expected[state][event])
  })

  test.each(possible)('the table knows what $state does on $event', ({ state, event }) => {
    const [next] = expected[state][event] ?? []
    const outcome = CHANNEL_TABLE[state][event]
    const stays = ['unknown', 'error', 'ignored', 'impossible'].includes(outcome)
    const removed = outcome === 'removed'
    const isDelayed = removed && state.endsWith('client-release')
    if (stays || isDelayed) expect(next).toBe(state)
    else expect(next).toBe(removed ? 'gone' : outcome)
  })
})

describe('a revoked channel is rescinded when its device has stopped', () => {
  test.each(['open', 'closing', 'closing-reopen'] as const)('after it was %s', (state) => {
    const subject = reach[state]()
    subject.offer.revoke()
    subject.device.finishClose()
    expect(subject.guest.takeNames()).toEqual([RESCIND])
    subject.guest.release(1)
    expect(stateOf(subject)).toBe('gone')
  })

  test('after it was opening, and the late program is closed', () => {
    const subject = reach.opening()
    subject.offer.revoke()
    expect(subject.guest.takeNames()).toEqual([])
    subject.device.finishOpen()
    expect(subject.device.program.closed).toBe(true)
    expect(subject.guest.takeNames()).toEqual([])
    subject.device.finishClose()
    expect(subject.guest.takeNames()).toEqual([RESCIND])
  })

  test('not at all when the guest had released it meanwhile', () => {
    const subject = reach.closing()
    subject.offer.revoke()
    subject.guest.release(1)
    expect(stateOf(subject)).toBe('revoked')
    subject.device.finishClose()
    expect(subject.guest.takeNames()).toEqual([])
    expect(stateOf(subject)).toBe('gone')
    expect(subject.guest.connected.size).toBe(0)
  })

  test('and its id is not given away before the guest releases it', () => {
    const { guest, offer } = offered()
    offer.revoke()
    const next = guest.server.offer(nth(2), new FakeDevice())
    expect(next.relid).toBe(2)
    guest.release(1)
    expect(guest.server.offer(nth(3), new FakeDevice()).relid).toBe(1)
  })

  test('and an open that crosses the rescind is ignored', () => {
    const subject = reach.revoked()
    subject.guest.open(1, RING)
    expect(subject.guest.server.inspect().errors.ignored).toBe(1)
    expect(subject.device.channels).toHaveLength(0)
  })
})

describe('a device that comes back while its old channel is revoked', () => {
  test('is offered under the same id once the guest has released it', () => {
    const subject = reach.reoffered()
    subject.guest.release(1)
    expect(subject.guest.takeNames()).toEqual([OFFER])
    expect(subject.guest.server.inspect().gpadls.accepted).toBe(0)
  })

  test('is not revoked by the offer it replaces', () => {
    const subject = reach.revoked()
    const old = subject.offer
    subject.guest.server.offer(nth(1), subject.device)
    old.revoke()
    expect(stateOf(subject)).toBe('reoffered')
  })

  test('is not offered when it is revoked again before the release', () => {
    const subject = reach.reoffered()
    subject.offer.revoke()
    subject.guest.release(1)
    expect(subject.guest.takeNames()).toEqual([])
    expect(stateOf(subject)).toBe('gone')
  })
})

describe('a channel whose device stops late', () => {
  test('opens again with what the guest asked for meanwhile', () => {
    const subject = reach['closing-reopen']()
    subject.device.finishClose(subject.device.channels[0])
    expect(subject.device.channels).toHaveLength(2)
    subject.device.finishOpen()
    expect(subject.guest.takeNames()).toEqual([OPENED])
    expect(stateOf(subject)).toBe('open')
  })

  test('keeps its id from others until then, though the guest has released it', () => {
    const subject = reach['closing-client-release']()
    expect(subject.guest.server.offer(nth(2), new FakeDevice()).relid).toBe(2)
    subject.device.finishClose()
    expect(subject.guest.server.offer(nth(3), new FakeDevice()).relid).toBe(1)
  })

  test('may end its close from within it', () => {
    const guest = new RawGuest()
    const device = new FakeDevice()
    device.closesLater = true
    guest.server.offer(nth(1), device)
    guest.connect()
    guest.openFresh(1, RING)
    const { program } = device
    program.close = () => {
      program.channel.completeClose()
      return 'pending'
    }
    guest.close(1)
    expect(guest.stateOf(1)).toBe('closed')
  })
})

describe('a device that fails its channel', () => {
  test('is closed, and the guest may close and open again', () => {
    const { guest, device } = offered()
    device.answer = 'program'
    device.closesLater = false
    guest.open(1, RING)
    device.channel.fail('the guest wrote nonsense')
    expect(device.program.closed).toBe(true)
    expect(guest.events).toContainEqual(
      expect.objectContaining({ is: 'channel-failed', reason: 'the guest wrote nonsense' }),
    )
    expect(guest.stateOf(1)).toBe('open')
    expect(guest.takeNames()).toEqual([OPENED])
    guest.server.receiveSignal(1)
    expect(guest.server.inspect()).toMatchObject({
      strayInterrupts: 1,
      activeChannels: 0,
      channelsFailed: 1,
    })
    guest.modify(1, 1)
    expect(guest.takeNames()).toEqual(['MODIFYCHANNEL_RESPONSE 1 failed'])
    guest.close(1)
    expect(guest.stateOf(1)).toBe('closed')
    guest.open(1, RING)
    expect(guest.takeNames()).toEqual([OPENED])
  })

  test('before it has answered the open refuses it', () => {
    const { guest, device } = offered()
    guest.open(1, RING)
    device.closesLater = false
    device.channel.fail(3)
    device.finishOpen()
    expect(device.program.closed).toBe(true)
    expect(guest.takeNames()).toEqual([NOT_OPENED])
    expect(guest.stateOf(1)).toBe('closed')
  })

  test('leaves rings that touch no memory', () => {
    const { guest, device } = offered()
    device.answer = 'program'
    device.closesLater = false
    guest.open(1, RING)
    const { channel } = device
    channel.fail('over')
    const before = guest.memory.u8.slice(16 * 4096, 20 * 4096)
    expect(channel.outgoing.send(0, 8, 6, 0, 0, 0)).toBeLessThan(0)
    channel.incoming.mask()
    channel.signal()
    expect(guest.memory.u8.slice(16 * 4096, 20 * 4096)).toEqual(before)
    expect(guest.signals).toEqual([])
  })
})

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

test('a message about a channel that the guest does not have is counted and dropped', () => {
  const { guest } = offered()
  for (const relid of [0, 2, 2047, 2048, 0xffff_ffff]) {
    guest.close(relid)
    guest.release(relid)
    guest.about(VmbusMessageType.OPEN_RESERVED_CHANNEL, relid)
  }
  expect(guest.takeNames()).toEqual([])
  expect(guest.server.inspect().errors['unknown-channel']).toBe(10)
})
