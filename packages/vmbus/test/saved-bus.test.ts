// A bus that is saved, and a new server that is led to where it was: the guest hears nothing of it.

import type { ChannelProgram, SavedProgram } from '@guestyard/vmbus'
import type { SavedBus, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'

class CountingProgram implements ChannelProgram {
  count = 0
  isBusy = false
  readonly channel: ServerChannel

  constructor(channel: ServerChannel) {
    this.channel = channel
  }

  poll(): number {
    return 0
  }

  arm(): boolean {
    return this.channel.incoming.unmask()
  }

  disarm(): void {
    this.channel.incoming.mask()
  }

  close(): void {}

  save(): SavedProgram | null {
    return this.isBusy ? null : { version: 1, count: this.count }
  }

  restore({ version, count }: SavedProgram): boolean {
    if (version !== 1 || typeof count !== 'number') return false
    this.count = count
    return true
  }
}

class CountingDevice implements VspDevice {
  programs: CountingProgram[] = []

  open(channel: ServerChannel): CountingProgram {
    const program = new CountingProgram(channel)
    this.programs.push(program)
    return program
  }
}

function hostOf(guest: RawGuest, devices = 2): CountingDevice[] {
  return Array.from({ length: devices }, (_, index) => {
    const device = new CountingDevice()
    guest.server.offer(nth(index + 1), device)
    return device
  })
}

/** Two devices of which the second is open, its program at 7. */
function running(): { guest: RawGuest; devices: CountingDevice[] } {
  const guest = new RawGuest()
  const devices = hostOf(guest)
  guest.connect()
  guest.openFresh(2, 9)
  devices[1]!.programs[0]!.count = 7
  guest.received = []
  return { guest, devices }
}

function savedOf(guest: RawGuest): SavedBus {
  const saved = guest.server.save()
  if ('unsaved' in saved) throw new Error(saved.unsaved)
  return structuredClone(saved)
}

test('a new server over the same memory is where the old one was, and says nothing', () => {
  const { guest } = running()
  const saved = savedOf(guest)
  const other = new RawGuest({ memory: guest.memory })
  const devices = hostOf(other)
  expect(other.server.restore(saved)).toBeNull()
  expect(savedOf(other)).toEqual(saved)
  expect(other.received).toEqual([])
  expect(devices[1]!.programs[0]!.count).toBe(7)
  expect(other.server.inspect().gpadls).toEqual(guest.server.inspect().gpadls)
})

test('signals that the guest could not take are made up for', () => {
  const { guest } = running()
  const other = new RawGuest({ memory: guest.memory })
  hostOf(other)
  expect(other.server.restore(savedOf(guest))).toBeNull()
  other.signals.length = 0
  other.server.signalAll()
  expect(other.signals).toEqual([{ vp: 0, relid: 2 }])
})

test('a guest without a connection has an empty record', () => {
  const guest = new RawGuest()
  hostOf(guest)
  expect(guest.server.save()).toEqual({ version: 1, connection: null })
  expect(new RawGuest().server.restore(savedOf(guest))).toBeNull()
})

test('what is under way is waited for, and what can not be saved is named', () => {
  const { guest, devices } = running()
  devices[1]!.programs[0]!.isBusy = true
  expect(guest.server.save()).toMatchObject({ mayChange: true })
  devices[1]!.programs[0]!.isBusy = false
  guest.gpadlHeader(2, 10, { rangeBytes: 128, rangeCount: 1 }, new Uint8Array(8))
  expect(guest.server.save()).toMatchObject({ mayChange: true })

  const other = new RawGuest()
  const plain = { poll: () => 0, arm: () => false, disarm: () => {}, close: () => {} }
  other.server.offer(nth(1), { open: () => plain })
  other.connect()
  other.openFresh(1, 9)
  expect(other.server.save()).toMatchObject({ mayChange: false })
})

test('a host with other devices refuses, and so does one whose guest has other memory', () => {
  const { guest } = running()
  const saved = savedOf(guest)
  const fewer = new RawGuest({ memory: guest.memory })
  hostOf(fewer, 1)
  expect(fewer.server.restore(saved)).toMatch(/^it had a device/)
  const older = new RawGuest({ memory: guest.memory, versions: [0x0002_0004] })
  hostOf(older)
  expect(older.server.restore(saved)).toMatch(/another version/)
})

test('whatever a record says, the answer is an answer, and reset ends all of it', () => {
  const { guest } = running()
  const saved = savedOf(guest)
  const { connection } = saved
  if (connection === null) throw new Error('there is a connection')
  const bytes = fc.uint8Array({ maxLength: 80 }).map((data) => data.subarray(0, data.length & ~7))
  const gpadl = fc.record({
    relid: fc.nat(4),
    id: fc.nat(12),
    rangeCount: fc.nat(4),
    rangeData: bytes,
  })
  const opening = fc.record({
    ringGpadlId: fc.nat(12),
    targetVp: fc.nat(4),
    downstreamPageOffset: fc.nat(8),
  })
  fc.assert(
    fc.property(fc.array(gpadl, { maxLength: 4 }), opening, (more, changed) => {
      const other = new RawGuest({ memory: guest.memory })
      hostOf(other)
      const channels = connection.channels.map((channel) => ({
        ...channel,
        opened: channel.opened === null ? null : { ...channel.opened, ...changed },
      }))
      const gpadls = [...connection.gpadls, ...more]
      const answer = other.server.restore({
        ...saved,
        connection: { ...connection, gpadls, channels },
      })
      expect(answer === null || typeof answer === 'string').toBe(true)
      other.server.reset()
      expect(other.server.inspect()).toMatchObject({ devicesInUse: 0, gpadls: { uses: 0 } })
    }),
    { numRuns: 100 },
  )
})
