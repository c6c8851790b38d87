// The driver against NetVSP: both ends over a bus, frames over a switch.

import { expect, test } from 'vitest'
import { VirtualSwitch } from '@guestyard/network'
import { NvspVersion } from '@guestyard/network/protocol'
import { openAdapter } from '@guestyard/network/testing'
import type { OpenAdapter } from '@guestyard/network/testing'
import { BROADCAST, frameBytes, ipv4, macText, tcp } from '../support/frames.ts'

function lan(): VirtualSwitch {
  return new VirtualSwitch({ clock: { now: () => 0 } })
}

/** Sends, and lets both guests rest. */
function pass(from: OpenAdapter, to: OpenAdapter, bytes: Uint8Array, lane = 0): boolean {
  const isSent = from.vsc.send(bytes, -1, lane)
  from.loopback.pump()
  to.loopback.pump()
  return isSent
}

test.each(Object.entries(NvspVersion))('it comes up with version %s', (_, version) => {
  const { vsc, vsp, events } = openAdapter(lan(), macText(1), {
    vsc: { versions: [0x0099_0000, version] },
  })
  expect([vsc.state, events, vsc.version]).toEqual(['ready', ['ready'], version])
  expect([...vsc.address]).toEqual([2, 0, 0, 0, 0, 1])
  expect([vsc.isLinkUp, vsc.ignored, vsp.inspect().nvspVersion]).toEqual([true, 0, version])
})

test('frames pass between guests in order, however many, and every buffer comes back', () => {
  const net = lan()
  const one = openAdapter(net, macText(1), { loopback: { scatter: true } })
  const two = openAdapter(net, macText(2))
  const sent: Uint8Array[] = []
  for (let index = 0; index < 400; index += 1) {
    const payload = Uint8Array.from({ length: 46 + (index % 1400) }, (_, at) => at + index)
    const bytes = frameBytes({ to: index % 3 === 0 ? BROADCAST : 2, from: 1, payload })
    if (pass(one, two, bytes)) sent.push(bytes)
  }
  expect(sent.length).toBe(400)
  expect(two.frames).toEqual(sent)
  const { receiveBuffers, freeReceiveBuffers, strayCompletions } = two.vsp.inspect()
  expect([freeReceiveBuffers, strayCompletions]).toEqual([receiveBuffers, 0])
  expect([one.vsc.ignored, two.vsc.ignored]).toEqual([0, 0])
})

test('small frames share sections, and come as they were, in order, each with its tag', () => {
  const net = lan()
  const got: (readonly [number, Uint8Array])[] = []
  const vlan = { mode: 'trunk', native: 0, allowed: [2] } as const
  const vsc = { sendBuffer: { firstPfn: 1536, pageCount: 3 } }
  const portOf = (address: string): { readonly vsp: object; readonly vsc: object } => ({
    vsp: { port: { address, vlan, macSpoofing: true } },
    vsc,
  })
  const one = openAdapter(net, macText(1), portOf(macText(1)))
  const two = openAdapter(net, macText(2), {
    ...portOf(macText(2)),
    onFrame: (frame) => got.push([frame.tag, frame.bytes()]),
  })
  // Two sections hold them all.
  const sent = Array.from({ length: 40 }, (_, index) => {
    const bytes = frameBytes({ to: BROADCAST, from: 1, length: 60 + index, payload: [index] })
    return [index % 2 === 0 ? -1 : 2, bytes] as const
  })
  for (const [tag, bytes] of sent) expect(one.vsc.send(bytes, tag)).toBe(true)
  one.loopback.pump()
  two.loopback.pump()
  expect(got).toEqual(sent)
})

test('without a free section there is no place, and space is told once there is', () => {
  const one = openAdapter(lan(), macText(1), {
    vsc: { sendBuffer: { firstPfn: 1536, pageCount: 3 } },
  })
  // Three of these share one of the two sections.
  const bytes = frameBytes({ to: 2, from: 1, length: 1514 })
  const sent = Array.from({ length: 7 }, () => one.vsc.send(bytes))
  expect(sent).toEqual([true, true, true, true, true, true, false])
  one.loopback.pump()
  expect(one.events).toEqual(['ready', 'space'])
  expect(one.vsc.send(bytes)).toBe(true)
})

test('jumbo frames pass between guests that both want them', () => {
  const net = lan()
  const options = { vsc: { mtuBytes: 6000 } }
  const one = openAdapter(net, macText(1), options)
  const two = openAdapter(net, macText(2), options)
  const three = openAdapter(net, macText(3))
  pass(one, two, frameBytes({ to: 2, from: 1, length: 6014 }))
  pass(one, three, frameBytes({ to: 3, from: 1, length: 6014 }))
  expect([two.frames.length, three.frames.length]).toEqual([1, 0])
  expect(two.frames[0]?.length).toBe(6014)
})

test('a pulled cable, a new network and a close are told', () => {
  const one = openAdapter(lan(), macText(1))
  one.vsp.setLink(false)
  one.loopback.pump()
  expect(one.vsc.isLinkUp).toBe(false)
  one.vsp.setLink(true)
  one.vsp.networkChanged()
  one.loopback.pump()
  one.loopback.client.close(one.channel)
  one.loopback.pump()
  expect(one.events).toEqual(['ready', 'link down', 'link up', 'network change', 'closed: closed'])
  expect(one.vsc.send(frameBytes({ to: 2, from: 1 }))).toBe(false)
})

test('a driver bound again starts anew', () => {
  const net = lan()
  const one = openAdapter(net, macText(1))
  const two = openAdapter(net, macText(2))
  let { channel } = one
  for (let times = 1; times <= 3; times += 1) {
    one.loopback.client.close(channel)
    one.loopback.pump()
    const [offer] = one.loopback.client.offers()
    channel = one.loopback.client.open(offer!, one.vsc, one.vsc.channels)!
    one.loopback.pump()
    expect(one.vsc.state).toBe('ready')
    expect(pass(one, two, frameBytes({ to: 2, from: 1 }))).toBe(true)
    expect(two.frames.length).toBe(times)
  }
  expect(one.events.filter((event) => event === 'ready').length).toBe(4)
})

test('sub-channels are opened, and flows are spread over them', () => {
  const net = lan()
  const lanes = new Set<number>()
  const one = openAdapter(net, macText(1), { vsc: { subChannels: 3 } })
  const two = openAdapter(net, macText(2), {
    vsc: { subChannels: 3 },
    onFrame: (frame) => lanes.add(frame.lane),
  })
  expect([one.vsc.laneCount, one.vsp.inspect().isRssOn]).toEqual([4, true])
  for (let port = 0; port < 64; port += 1) {
    const payload = ipv4(6, tcp(2000 + port, 80, []))
    expect(pass(one, two, frameBytes({ to: 2, from: 1, type: 0x800, payload }), port % 4)).toBe(
      true,
    )
  }
  expect([...lanes].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3])
})
