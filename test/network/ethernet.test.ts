// Script guests on switches: raw Ethernet from one guest's RAM to the other's.

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startHost, type Host, type NicOptions, type Vm } from '@guestyard/management'

const PROGRAM = new URL('guests/ethernet.ts', import.meta.url)
const MOVER = new URL('../../scripts/guests/frame-mover.ts', import.meta.url)
const FRAMES = 200

let host: Host
beforeAll(async () => {
  host = await startHost({ log: { level: 'silent' } })
})
afterAll(async () => {
  await host.close()
})

async function started(name: string, nic: NicOptions): Promise<Vm> {
  const vm = host.createVm({ name, memoryBytes: 8 * 2 ** 20, program: PROGRAM, nics: [nic] })
  await vm.start()
  return vm
}

function isDropped({
  sendDrops,
}: {
  readonly sendDrops: Readonly<Record<string, number>>
}): boolean {
  return sendDrops['NO_RECEIVER'] === 1
}

test('frames pass between guests on one switch, and not between switches or VLANs', async () => {
  const one = await started('one', { switch: 'lan' })
  const two = await started('two', { switch: 'lan' })
  const far = await started('far', { switch: 'wan' })
  const apart = await started('apart', { switch: 'lan', vlan: { mode: 'access', id: 5 } })
  const address = await two.call('address')
  const echoed = two.call('echo', FRAMES)
  expect(await one.call('ask', { to: address, count: FRAMES })).toBe(FRAMES)
  await echoed
  for (const stranger of [far, apart]) await stranger.call('send', address)
  // The root takes a frame when it comes to it: its drop is waited for.
  let { partitions, switches } = await host.inspect()
  while (switches.flatMap(({ ports }) => ports).filter(isDropped).length < 2) {
    ;({ partitions, switches } = await host.inspect())
  }
  expect(partitions.map(({ nics }) => nics.map((nic) => nic.malformed))).toEqual([
    [0],
    [0],
    [0],
    [0],
  ])
  expect(switches.map(({ name }) => name)).toEqual(['lan', 'wan'])
  const [portOfOne, portOfTwo, portApart] = switches[0]!.ports
  expect([portOfOne!.sentFrames, portOfOne!.receivedFrames]).toEqual([FRAMES, FRAMES])
  expect([portOfTwo!.sentFrames, portOfTwo!.receivedFrames]).toEqual([FRAMES, FRAMES])
  expect(portApart!.receivedFrames).toBe(0)
  await one.setNicLink(0, false)
  expect(await one.setNicLink(1, false)).toBe(false)
  while ((await one.call('isLinkUp')) === true);
  expect(await one.call('send', address)).toBe(false)
  await Promise.all([one, two, far, apart].map((vm) => vm.stop()))
  expect((await host.inspect()).switches).toEqual([])
})

test('frames of a queue come without copies, all of them and in order', async () => {
  const [one, two] = (await Promise.all(
    ['from', 'to'].map(async (name) => {
      const vm = host.createVm({
        name,
        memoryBytes: 64 * 2 ** 20,
        program: MOVER,
        nics: [{ switch: 'queues' }],
      })
      await vm.start()
      return vm
    }),
  )) as [Vm, Vm]
  const to = String(await two.call('address'))
  for (const [bytes, count] of [
    [64, 20_000],
    [1514, 5_000],
  ] as const) {
    expect(await one.call('send', { to, bytes, count, window: 1024 })).toMatchObject({ lost: 0 })
  }
  expect(await one.call('ping', { to, bytes: 60, count: 20, window: 1 })).toBeGreaterThan(0)
  const { switches } = await host.inspect()
  const ports = switches.flatMap(({ ports }) => ports)
  expect(ports.map(({ sendDrops, receiveDrops }) => [sendDrops, receiveDrops])).toEqual([
    [{}, {}],
    [{}, {}],
  ])
  await Promise.all([one.stop(), two.stop()])
})

test('an adapter that can’t be plugged in keeps its VM from starting, and says why', async () => {
  const address = '00:15:5d:00:00:09'
  const one = await started('a', { switch: 'lan', address })
  await expect(started('b', { switch: 'lan', name: 'b', address })).rejects.toThrow(
    /another port has its address/,
  )
  await one.stop()
})
