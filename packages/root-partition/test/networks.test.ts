// Adapters of two partitions on the switches of one root.

import { expect, test } from 'vitest'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback } from '@guestyard/vmbus/testing'
import { RootNetworks } from '../src/networks/root-networks.ts'

function networks(): { root: RootNetworks; clock: { nowMs: number } } {
  const clock = { nowMs: 0 }
  const root = new RootNetworks({
    ...{ clock, hashSeed: 7, openUplink: null, openCapture: null },
    ...{ onWork: () => {}, unixUs: () => 0, traceId: () => 0 },
  })
  return { root, clock }
}

function bus(): Loopback {
  const loopback = createLoopback({ memoryBytes: 1024 * 1024 })
  loopback.client.connect()
  return loopback
}

test('adapters are offered, each with an address of its own, and a switch is there while one is on it', () => {
  const { root } = networks()
  const one = bus()
  const nics = root.add(one.server, 0x1_0203, 1, 'vm')
  expect([nics.attach({ switch: 'lan' }), nics.attach({ switch: 'wan' })]).toEqual([null, null])
  one.pump()
  expect(one.client.offers().map(({ instanceId }) => instanceId)).toEqual([
    '5b1d8f2a-6c2e-4f0b-9d53-000000000000',
    '5b1d8f2a-6c2e-4f0b-9d53-000000000001',
  ])
  expect(nics.inspect().map(({ switch: name, address }) => [name, address])).toEqual([
    ['lan', '00:15:5d:02:03:00'],
    ['wan', '00:15:5d:02:03:01'],
  ])
  const two = root.add(bus().server, 5, 1, 'vm')
  expect(two.attach({ switch: 'lan', name: 'second' })).toBeNull()
  expect(root.inspect().map(({ name, ports }) => [name, ports.length])).toEqual([
    ['lan', 2],
    ['wan', 1],
  ])
  root.remove(nics)
  expect(root.inspect().map(({ name }) => name)).toEqual(['lan'])
  expect(nics.setLink(7, false)).toBe(false)
  expect(two.setLink(0, false)).toBe(true)
  expect(root.inspect()[0]!.ports).toMatchObject([{ name: 'second', isLinkUp: false }])
  root.remove(two)
  expect(root.inspect()).toEqual([])
})

test('what can’t be plugged in is told in one line', () => {
  const { root } = networks()
  const nics = root.add(bus().server, 1, 1, 'vm')
  const address = '00:15:5d:00:00:09'
  expect(nics.attach({ switch: 'lan', name: 'a', address })).toBeNull()
  expect(nics.attach({ switch: 'lan', name: 'b', address })).toBe(
    'nics.1: b: another port has its address, or the table is full',
  )
  expect(nics.attach({ switch: 'lan', address: 'nonsense' })).toBe(
    'nics.1: not an Ethernet address: nonsense',
  )
  expect(nics.attach({ switch: 'lan', mtuBytes: 100 })).toBe(
    'nics.1: mtuBytes must be a whole number from 576 to 9000, got 100',
  )
  expect(nics.attach({ switch: 'lan', linkMbps: 0.5 })).toBe(
    'nics.1: linkMbps must be a whole number from 1 to 400000, got 0.5',
  )
  expect(nics.setLinkSpeed(0, 400_001)).toBe(
    'linkMbps must be a whole number from 1 to 400000, got 400001',
  )
  expect(nics.setLinkSpeed(3, 100)).toBe('no network adapter 3')
  expect(nics.setLinkSpeed(0, 100)).toBeNull()
  for (let count = 1; count < 8; count += 1) expect(nics.attach({ switch: 'lan' })).toBeNull()
  expect(nics.attach({ switch: 'lan' })).toBe('nics: a partition has 8 adapters at most')
})

test('a root with nothing that waits has no deadline', () => {
  const { root, clock } = networks()
  root.add(bus().server, 1, 1, 'vm').attach({ switch: 'lan', maxBitsPerSecond: 1_000_000 })
  expect(root.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
  clock.nowMs = 5
  root.poll(clock.nowMs)
})

test('a switch with services knows the adapters on it by the names of their machines, while they are there', () => {
  const { root } = networks()
  const uplink = { kind: 'services', address: '10.0.0.254/24' } as const
  expect(root.define({ name: 'lan', uplink })).toBeNull()
  const nics = root.add(bus().server, 1, 1, 'db')
  expect(nics.attach({ switch: 'lan' })).toBeNull()
  expect(root.inspect()[0]).toMatchObject({
    uplink: { kind: 'services', address: '10.0.0.254', names: { answered: 0 } },
    ports: [{ name: 'services' }, {}],
  })
  root.remove(nics)
  expect(root.inspect()[0]!.ports.length).toBe(1)
  expect(root.define({ name: 'wan', uplink: { ...uplink, address: 'x' } })).toBe(
    'address must be such as 10.0.0.1/24; got x',
  )
  expect(root.define({ name: 'wan', uplink: { ...uplink, domain: 'a b' } })).toBe(
    'domain must be such as lan.internal; got "a b"',
  )
})

test('the root is on a switch that says so: under its name, with a stack for its programs', () => {
  const { root } = networks()
  const uplink = { kind: 'services', address: '10.0.0.254/24' } as const
  const managementOS = { address: '10.0.0.253/24' }
  expect(root.define({ name: 'lan', uplink, managementOS })).toBeNull()
  expect(root.define({ name: 'other' })).toBeNull()
  const [lan, other] = root.inspect()
  expect(lan).toMatchObject({
    managementOS: { name: 'root', address: '10.0.0.253', connections: 0 },
    ports: [{ name: 'services' }, { name: 'root' }],
  })
  expect(other!.managementOS).toBeNull()
  expect(root.rootAdapterOf('lan')!.stack.address).toBe(0x0a00_00fd)
  expect(root.rootAdapterOf('other')).toBeNull()
  root.close()
})

test.each([
  [{ address: 'x' }, 'managementOS.address must be such as 10.0.0.1/24; got x'],
  [
    { address: '10.0.0.1/24', name: 'a b' },
    'managementOS.name must be 1 to 63 letters, digits and -; got "a b"',
  ],
])('an adapter of the root that cannot be is refused: %j', (managementOS, reason) => {
  const { root } = networks()
  expect(root.define({ name: 'lan', managementOS })).toBe(reason)
  expect(root.inspect()).toEqual([])
})
