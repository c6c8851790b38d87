// A channel's life as a list of random commands, against a model that knows the table and nothing else:
// states, answers, and what the host may hold. Malformed messages are commands like others.

import { VMBUS_STATUS_SUCCESS, VmbusMessageType, decodeVmbusMessage } from '@guestyard/hvdef'
import { GuestMemory } from '@guestyard/guestmem'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CHANNEL_TABLE } from '@guestyard/vmbus/server'
import type { ChannelEventName, ChannelStateName, Offer } from '@guestyard/vmbus/server'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'

const RING = 7
const DEVICES = 3

/** What the model knows of one device: the table's state, and who has the memory. */
interface ModelChannel {
  state: ChannelStateName | 'gone'
  relid: number
  /** The device was opened and has not stopped. */
  inUse: boolean
  /** It was asked to stop, or its answer is not wanted any more. */
  stopping: boolean
  /** Events of the guest that wait for the device. */
  deferred: 'release' | 'disconnect' | undefined
  hasRing: boolean
}

const memory = GuestMemory.create({ sizeBytes: 1024 * 1024 })

class Real {
  readonly guest: RawGuest = new RawGuest({ memory })
  readonly devices: FakeDevice[] = []
  readonly offers: Offer[] = []
  readonly model: ModelChannel[] = []

  constructor() {
    for (let n = 0; n < DEVICES; n += 1) {
      const device = new FakeDevice()
      device.answer = 'pending'
      device.closesLater = true
      this.devices.push(device)
      this.offers.push(this.guest.server.offer(nth(n), device))
    }
    this.guest.connect()
    for (let n = 0; n < DEVICES; n += 1) {
      this.model.push({
        state: 'closed',
        relid: n + 1,
        inUse: false,
        stopping: false,
        deferred: undefined,
        hasRing: false,
      })
    }
  }

  relidOf(n: number): number {
    const { instanceId } = nth(n)
    const channels = this.guest.server.inspect().channels
    return channels.find((channel) => channel.instanceId === instanceId)?.relid ?? 0
  }
}

/** One step: its effect on server and model. Returns false when it does not apply. */
type Step = (real: Real, n: number) => void

const steps: Record<string, Step> = {
  offer: (real, n) => {
    const channel = modelOf(real, n)
    const device = real.devices[n]
    if (device === undefined || !['gone', 'revoked'].includes(channel.state)) return
    real.offers[n] = real.guest.server.offer(nth(n), device)
    if (channel.state === 'gone') {
      channel.state = 'closed'
      channel.relid = real.relidOf(n)
      channel.hasRing = false
    } else channel.state = 'reoffered'
  },
  gpadl: (real, n) => {
    const channel = modelOf(real, n)
    real.guest.gpadl(channel.relid, RING + n, [16 + n * 4, 17 + n * 4, 18 + n * 4, 19 + n * 4])
    const created = real.guest.take().find(({ name }) => name === 'GPADL_CREATED')
    expect(created).toBeDefined()
    const known = knownStates.has(channel.state)
    expect(created?.fields['status'] === VMBUS_STATUS_SUCCESS).toBe(known && !channel.hasRing)
    if (known) channel.hasRing = true
  },
  teardown: (real, n) => {
    const channel = modelOf(real, n)
    // One that is in use is answered later, and cannot be created again before: the model leaves it out.
    if (channel.inUse) return
    const known = knownStates.has(channel.state)
    real.guest.teardown(channel.relid, RING + n)
    const names = real.guest.take().map(({ name }) => name)
    expect(names).toEqual(known && channel.hasRing ? ['GPADL_TORNDOWN'] : [])
    if (known) channel.hasRing = false
  },
  open: (real, n) => {
    const channel = modelOf(real, n)
    const before = channel.state
    real.guest.open(channel.relid, RING + n)
    move(channel, 'open')
    if (before !== 'closed') return
    if (channel.hasRing) channel.inUse = true
    else channel.state = 'closed'
  },
  close: (real, n) => {
    const channel = modelOf(real, n)
    real.guest.close(channel.relid)
    if (move(channel, 'close')) channel.stopping = true
  },
  release: (real, n) => {
    const channel = modelOf(real, n)
    real.guest.release(channel.relid)
    giveUp(real, n, 'release')
  },
  revoke: (real, n) => {
    const channel = modelOf(real, n)
    if (channel.state === 'gone' || channel.state === 'revoked') return
    real.offers[n]?.revoke()
    // The record of a channel that the guest does not know goes when its device has stopped.
    if (channel.state.endsWith('-client-release')) {
      channel.deferred = 'disconnect'
      return
    }
    if (channel.inUse) channel.stopping = true
    move(channel, 'revoke')
  },
  answer: (real, n) => {
    const channel = modelOf(real, n)
    const device = real.devices[n]
    if (!channel.inUse || device === undefined) return
    const opening = device.programs.every((program) => program.channel !== device.channel)
    if (!opening) return
    device.finishOpen()
    if (channel.state === 'opening') move(channel, 'opened')
  },
  stop: (real, n) => {
    const channel = modelOf(real, n)
    const device = real.devices[n]
    if (!channel.inUse || !channel.stopping || device === undefined) return
    const answered = device.programs.some((program) => program.channel === device.channel)
    if (answered) device.finishClose()
    else device.channel.completeOpen({ refused: 5 })
    drained(real, n)
  },
  modify: (real, n) => {
    const channel = modelOf(real, n)
    real.guest.modify(channel.relid, 1)
    const [answer] = real.guest.take()
    expect(answer?.name).toBe('MODIFYCHANNEL_RESPONSE')
    expect(answer?.fields['status'] === VMBUS_STATUS_SUCCESS).toBe(channel.state === 'open')
  },
  signal: (real, n) => real.guest.server.receiveSignal(modelOf(real, n).relid),
  poll: (real) => {
    real.guest.server.poll(64)
    real.guest.server.arm()
  },
}

const knownStates: ReadonlySet<string> = new Set([
  'closed',
  'opening',
  'open',
  'closing',
  'closing-reopen',
  'revoked',
  'reoffered',
])

function modelOf(real: Real, n: number): ModelChannel {
  const channel = real.model[n]
  if (channel === undefined) throw new Error('There is a model of each device.')
  return channel
}

// Moves by the table. False when the event had no effect.
function move(channel: ModelChannel, event: ChannelEventName): boolean {
  if (channel.state === 'gone') return false
  const outcome = CHANNEL_TABLE[channel.state][event]
  if (['unknown', 'error', 'ignored'].includes(outcome)) return false
  expect(outcome).not.toBe('impossible')
  channel.state = outcome === 'removed' ? 'gone' : (outcome as ChannelStateName)
  return true
}

function giveUp(real: Real, n: number, event: 'release' | 'disconnect'): void {
  const channel = modelOf(real, n)
  const revoked = channel.state === 'revoked' || channel.state === 'reoffered'
  if (revoked && channel.inUse) {
    channel.deferred = event
    return
  }
  if (!move(channel, event)) return
  if (channel.inUse) channel.stopping = true
  if (['gone', 'client-released', 'closed'].includes(channel.state)) channel.hasRing = false
}

function drained(real: Real, n: number): void {
  const channel = modelOf(real, n)
  channel.inUse = false
  channel.stopping = false
  const { deferred } = channel
  channel.deferred = undefined
  if (channel.state.endsWith('-client-release')) {
    channel.state = deferred === undefined ? 'client-released' : 'gone'
    channel.hasRing = false
    return
  }
  const reopens = channel.state === 'closing-reopen'
  move(channel, 'drained')
  if (reopens) {
    if (channel.hasRing) channel.inUse = true
    else channel.state = 'closed'
  }
  if (deferred !== undefined) giveUp(real, n, deferred)
}

// An id that is free may be another channel's next: nobody names the old channel by it any more.
function forgetIds(real: Real): void {
  for (const channel of real.model) {
    if (channel.state === 'gone' || channel.state === 'client-released') channel.relid = 0
  }
}

function check(real: Real): void {
  const inspection = real.guest.server.inspect()
  const states = new Map(inspection.channels.map((channel) => [channel.instanceId, channel.state]))
  const seen = real.model.map((_, n) => states.get(nth(n).instanceId) ?? 'gone')
  expect(seen).toEqual(real.model.map(({ state }) => state))
  expect(inspection.devicesInUse).toBe(real.model.filter(({ inUse }) => inUse).length)
  expect(inspection.gpadls.uses).toBe(inspection.devicesInUse)
  const rings = real.model.filter(({ hasRing }) => hasRing).length
  expect(inspection.gpadls.accepted + inspection.gpadls.tearingDown).toBe(rings)
  expect(real.guest.connected.size).toBe(inspection.relidsInUse)
}

const malformed = fc.uint8Array({ minLength: 0, maxLength: 60 }).map((bytes) => {
  // Mostly of a known type, always about a channel that is not there.
  if (bytes.length >= 12) bytes.fill(0xff, 8, 12)
  if (bytes.length >= 4) bytes.fill(0, 1, 4)
  return bytes
})

const harmless = (bytes: Uint8Array): boolean => {
  const type = bytes[0]
  const ends: readonly (number | undefined)[] = [
    VmbusMessageType.INITIATE_CONTACT,
    VmbusMessageType.UNLOAD,
  ]
  return !ends.includes(type)
}

// What keeps a channel alive comes more often than what ends it, so that the deep states are reached.
const often = ['gpadl', 'open', 'open', 'answer', 'answer', 'close', 'stop', 'offer']
const command = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      step: fc.constantFrom(...Object.keys(steps), ...often),
      n: fc.integer({ min: 0, max: DEVICES - 1 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ bytes: malformed.filter(harmless) }) },
)
const life = fc.array(command, { minLength: 20, maxLength: 100, size: 'max' })

test('channels live as the table says, whatever happens in whatever order', () => {
  fc.assert(
    fc.property(life, (commands) => {
      const real = new Real()
      for (const one of commands) {
        real.guest.take()
        if ('bytes' in one) real.guest.post(one.bytes)
        else steps[one.step]?.(real, one.n)
        forgetIds(real)
        check(real)
      }
      // However it stands, the guest can leave, and nothing is left when the devices have stopped.
      real.guest.plain(VmbusMessageType.UNLOAD)
      for (const [n, channel] of real.model.entries()) {
        if (!channel.inUse) continue
        const device = real.devices[n]
        const answered = device?.programs.some((program) => program.channel === device.channel)
        if (answered === true) device?.finishClose()
        else device?.channel.completeOpen({ refused: 5 })
      }
      real.guest.server.poll(64)
      const last = real.guest.received.at(-1)
      const message = last === undefined ? undefined : decodeVmbusMessage(last.payload)
      expect(message).toMatchObject({ name: 'UNLOAD_RESPONSE' })
      expect(real.guest.server.inspect()).toMatchObject({
        connection: 'disconnected',
        relidsInUse: 0,
        devicesInUse: 0,
        activeChannels: 0,
        gpadls: { inProgress: 0, accepted: 0, tearingDown: 0, listBytes: 0, uses: 0 },
      })
      expect(real.guest.connected.size).toBe(0)
    }),
  )
})
