// Every cell of the channel table, against the server: the expectation is written out here, so that a slip in
// the table fails as well as one in the code.

import { VmbusMessageType } from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'
import { CHANNEL_TABLE } from '@guestyard/vmbus/server'
import type { ChannelEventName, ChannelStateName } from '@guestyard/vmbus/server'
import {
  NOT_OPENED,
  OFFER,
  OPENED,
  RESCIND,
  RING,
  VERSION,
  cause,
  offered,
  reach,
  stateOf,
} from './support/channel-subject.ts'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'

/** State after the event, and what was sent. */
type Cell = readonly [state: string, ...messages: string[]]
type Cells = Partial<Record<ChannelEventName, Cell>>

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
