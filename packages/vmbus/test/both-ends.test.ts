// Server and client together, over one memory: what neither end's own tests can show.

import { VmbusVersion, vmbusVersionName } from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'
import { DEFAULT_VERSIONS } from '@guestyard/vmbus'
import type { ChannelListener, ChannelOffer, ClientChannel } from '@guestyard/vmbus/client'
import type { VmbusServerEvent } from '@guestyard/vmbus/server'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback, LoopbackOptions } from '@guestyard/vmbus/testing'
import { EchoDevice, EchoedProgram } from './support/echo.ts'
import { FakeDevice, nth } from './support/fake-device.ts'

const OPTIONS = { sendBytes: 4096, receiveBytes: 8192 }

class Heard implements ChannelListener {
  readonly said: string[] = []
  echo: EchoedProgram | undefined = undefined
  opened(channel: ClientChannel): EchoedProgram {
    this.said.push('opened')
    this.echo = new EchoedProgram(channel)
    return this.echo
  }
  failed(_: ClientChannel, reason: unknown): void {
    this.said.push(`failed ${String(reason)}`)
  }
  closed(_: ClientChannel, reason: string): void {
    this.said.push(`closed ${reason}`)
  }
}

function connected(options: LoopbackOptions = {}): { loop: Loopback; device: EchoDevice } {
  const loop = createLoopback({ memoryBytes: 1024 * 1024, ...options })
  const device = new EchoDevice()
  loop.server.offer(nth(1), device)
  loop.client.connect()
  loop.pump()
  return { loop, device }
}

function offerOf(loop: Loopback, index = 0): ChannelOffer {
  const offer = loop.client.offers()[index]
  if (offer === undefined) throw new Error('There is an offer.')
  return offer
}

function open(loop: Loopback, offer: ChannelOffer): { channel: ClientChannel; heard: Heard } {
  const heard = new Heard()
  const channel = loop.client.open(offer, OPTIONS, heard)
  if (channel === undefined) throw new Error('The client opens what is offered.')
  return { channel, heard }
}

describe('a channel', () => {
  test.each([false, true])('carries packets both ways, its pages scattered: %s', (scatter) => {
    const { loop, device } = connected({ scatter })
    const { channel, heard } = open(loop, offerOf(loop))
    loop.pump()
    for (let n = 0; n < 1000; n += 1) {
      heard.echo?.send(n & 0xff)
      loop.pump()
    }
    expect(heard.echo?.echoed).toEqual(Array.from({ length: 1000 }, (_, n) => n & 0xff))
    loop.client.close(channel)
    loop.pump()
    expect(heard.said).toEqual(['opened', 'closed closed'])
    expect(device.programs[0]?.closed).toBe(true)
  })

  test('of an idle pair is signalled once for each packet, and not at all when awake', () => {
    const { loop } = connected()
    const { heard } = open(loop, offerOf(loop))
    loop.pump()
    for (let n = 0; n < 10; n += 1) {
      heard.echo?.send(n)
      loop.pump()
    }
    expect([loop.signals.toHost, loop.signals.toGuest]).toEqual([10, 10])
    for (let n = 0; n < 10; n += 1) heard.echo?.send(n)
    loop.pump()
    expect(loop.signals.toHost).toBe(11)
  })

  test('whose ring the guest has scribbled on fails, and the guest may open it anew', () => {
    const events: VmbusServerEvent[] = []
    const { loop, device } = connected({ onServerEvent: (event) => events.push(event) })
    const { channel, heard } = open(loop, offerOf(loop))
    loop.pump()
    const [controlPage = 0] = Array.from(channel.pfns)
    loop.memory.i32[controlPage * 1024] = 0x7fff_fff1
    channel.signal()
    loop.pump()
    expect(events).toContainEqual(expect.objectContaining({ is: 'channel-failed', relid: 1 }))
    expect(device.programs[0]?.closed).toBe(true)
    loop.client.close(channel)
    loop.pump()
    const again = open(loop, offerOf(loop))
    loop.pump()
    again.heard.echo?.send(42)
    loop.pump()
    expect(again.heard.echo?.echoed).toEqual([42])
    expect(heard.said).toEqual(['opened', 'closed closed'])
  })

  test('that is rescinded while it opens fails at the guest, and nothing is left', () => {
    const loop = createLoopback({ memoryBytes: 1024 * 1024 })
    const device = new FakeDevice()
    device.answer = 'pending'
    const offer = loop.server.offer(nth(1), device)
    loop.client.connect()
    loop.pump()
    const free = loop.freePageCount
    const { heard } = open(loop, offerOf(loop))
    loop.pump()
    offer.revoke()
    loop.pump()
    expect(heard.said).toEqual([])
    device.finishOpen()
    loop.pump()
    expect(heard.said).toEqual(['failed rescinded'])
    expect(loop.freePageCount).toBe(free)
    expect(loop.server.inspect()).toMatchObject({
      channels: [],
      relidsInUse: 0,
      devicesInUse: 0,
      gpadls: { accepted: 0, listBytes: 0 },
    })
  })

  test('moves its interrupts', () => {
    const { loop } = connected({ vpCount: 4 })
    const { channel, heard } = open(loop, offerOf(loop))
    loop.pump()
    expect(loop.client.modifyChannel(channel, 3)).toBe(true)
    loop.pump()
    heard.echo?.send(1)
    loop.pump()
    expect([channel.targetVp, loop.signals.lastVp]).toEqual([3, 3])
  })
})

describe('versions', () => {
  test.each(DEFAULT_VERSIONS.map((version) => [vmbusVersionName(version), version] as const))(
    'a host that speaks %s alone is found, and the bus works',
    (_, version) => {
      const { loop } = connected({ serverVersions: [version] })
      expect([loop.client.version, loop.server.inspect().version]).toEqual([version, version])
      const { channel, heard } = open(loop, offerOf(loop))
      loop.pump()
      heard.echo?.send(7)
      loop.pump()
      expect(heard.echo?.echoed).toEqual([7])
      loop.client.close(channel)
      loop.client.unload()
      loop.pump()
      expect([loop.client.state, loop.server.inspect().connection]).toEqual([
        'disconnected',
        'disconnected',
      ])
    },
  )

  test('without one in common come to an end', () => {
    const { loop } = connected({ serverVersions: [VmbusVersion.COPPER] })
    expect(loop.client.state).toBe('disconnected')
  })
})

describe('sub-channels', () => {
  test('are opened, used, closed before their primary, and come again', () => {
    const { loop, device } = connected()
    const primary = open(loop, offerOf(loop))
    loop.pump()
    for (let round = 0; round < 3; round += 1) {
      const server = device.programs.find((program) => !program.closed)?.server
      expect(server?.offerSubChannels(2)).toBe(2)
      loop.pump()
      const subs = loop.client.offers().filter(({ subChannelIndex }) => subChannelIndex > 0)
      expect(subs.map(({ subChannelIndex }) => subChannelIndex)).toEqual([1, 2])
      const channels = subs.map((offer) => open(loop, offer))
      loop.pump()
      for (const { heard } of channels) heard.echo?.send(9)
      loop.pump()
      expect(channels.map(({ heard }) => heard.echo?.echoed)).toEqual([[9], [9]])
      const [one] = channels
      if (one !== undefined && round === 2) loop.client.close(one.channel)
      for (const { channel } of channels) loop.client.close(channel)
      loop.pump()
      expect(channels.map(({ heard }) => heard.said.at(-1))).toEqual([
        'closed closed',
        'closed closed',
      ])
      expect(loop.client.offers()).toHaveLength(1)
    }
    loop.client.close(primary.channel)
    loop.pump()
    expect(loop.server.inspect()).toMatchObject({ relidsInUse: 1, devicesInUse: 0 })
  })
})

describe('a slow reader', () => {
  test('on the guest’s side delays every answer and loses none', () => {
    const { loop } = connected({ messageSlots: 2, limits: { queuedMessages: 2 } })
    loop.switches.guestReads = false
    const { heard } = open(loop, offerOf(loop))
    const others = Array.from({ length: 20 }, (_, n) =>
      loop.server.offer(nth(n + 2), new EchoDevice()),
    )
    loop.pump()
    expect(loop.server.acceptsMessages).toBe(false)
    loop.switches.guestReads = true
    loop.pump()
    expect(heard.said).toEqual(['opened'])
    expect(loop.client.offers()).toHaveLength(21)
    for (const offer of others) offer.revoke()
    loop.pump()
    expect(loop.client.offers()).toHaveLength(1)
  })

  test('on the host’s side is asked again later', () => {
    const { loop } = connected({ messageSlots: 1 })
    loop.server.offer(nth(2), new EchoDevice())
    loop.pump()
    loop.switches.hostReads = false
    const { heard } = open(loop, offerOf(loop))
    loop.client.close(open(loop, offerOf(loop, 1)).channel)
    loop.pump()
    expect(loop.client.inspect().queuedPosts).toBeGreaterThan(0)
    loop.switches.hostReads = true
    for (let n = 0; n < 40; n += 1) loop.advance(300)
    expect(heard.said).toEqual(['opened'])
    expect(loop.client.inspect()).toMatchObject({ queuedPosts: 0, channels: [{ state: 'open' }] })
  })
})

describe('ten thousand rounds leave nothing behind', () => {
  test('of opening and closing', () => {
    const { loop, device } = connected({ scatter: true })
    const free = loop.freePageCount
    const offer = offerOf(loop)
    for (let round = 0; round < 10_000; round += 1) {
      const { channel } = open(loop, offer)
      loop.pump()
      loop.client.close(channel)
      loop.pump()
    }
    expect(device.programs).toHaveLength(10_000)
    expect(device.programs.every(({ closed }) => closed)).toBe(true)
    expect(loop.freePageCount).toBe(free)
    expect(loop.server.inspect()).toMatchObject({
      relidsInUse: 1,
      devicesInUse: 0,
      activeChannels: 0,
      queuedMessages: 0,
      gpadls: { inProgress: 0, accepted: 0, tearingDown: 0, listBytes: 0, uses: 0 },
    })
    expect(loop.client.inspect()).toMatchObject({ channels: [], gpadls: 0, activeChannels: 0 })
  })

  test('of offering and revoking', () => {
    const { loop } = connected()
    for (let round = 0; round < 2_500; round += 1) {
      const offer = loop.server.offer(nth(2), new EchoDevice())
      loop.pump()
      offer.revoke()
      // Half of the time the device is back before the guest has released the channel.
      if (round % 2 === 0) loop.server.offer(nth(2), new EchoDevice()).revoke()
      loop.pump()
    }
    expect(loop.server.inspect()).toMatchObject({ relidsInUse: 1, channels: [{ relid: 1 }] })
    expect(loop.connectionCount).toBe(1)
    expect(loop.client.offers()).toHaveLength(1)
  })

  test('of connecting and leaving', () => {
    const { loop } = connected()
    const free = loop.freePageCount
    for (let round = 0; round < 1_000; round += 1) {
      open(loop, offerOf(loop))
      loop.pump()
      loop.client.unload()
      loop.pump()
      loop.client.connect()
      loop.pump()
    }
    expect(loop.freePageCount).toBe(free)
    expect(loop.server.inspect()).toMatchObject({ relidsInUse: 1, devicesInUse: 0 })
  })
})
