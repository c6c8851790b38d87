// Frames between guests, and between a guest and a plain port.

import { expect, test } from 'vitest'
import { DropReason, Frame, VirtualSwitch } from '@guestyard/network'
import type { PortSettings, SwitchPort } from '@guestyard/network'
import { PacketInfo } from '@guestyard/network/rndis'
import type { NetVspOptions } from '@guestyard/network/vsp'
import { checksumOf, frameBytes, ipv4, ipv6, macText, tcp, udp } from '../support/frames.ts'
import { DATA_GPA, RawGuest, infoOf, packet, rndis } from '../support/raw-guest.ts'

class Net {
  readonly clock: { nowMs: number; now: () => number } = { nowMs: 0, now: () => this.clock.nowMs }
  readonly switch: VirtualSwitch = new VirtualSwitch({ clock: this.clock })
  /** Frames that the plain port got. */
  readonly got: Uint8Array[] = []
  readonly tags: number[] = []
  readonly port: SwitchPort

  constructor(settings: PortSettings = {}) {
    const deliver = (frame: Frame, tag: number): number => {
      const bytes = new Uint8Array(frame.lengthBytes)
      frame.copyBytes(bytes)
      this.got.push(bytes)
      this.tags.push(tag)
      return DropReason.NONE
    }
    this.port = this.switch.connect({ deliver }, settings)
  }

  guest(number: number, options: Partial<NetVspOptions> = {}, port: PortSettings = {}): RawGuest {
    const one = { name: `guest ${number}`, address: macText(number), ...port }
    return new RawGuest({ switch: this.switch, port: one, ...options }).start()
  }

  send(bytes: Uint8Array, tag = -1): void {
    const frame = new Frame(70_000)
    frame.setBytes(bytes)
    frame.tag = tag
    this.port.send(frame)
  }
}

test('a frame goes from one guest to another as it was, from a section or from pages', () => {
  const net = new Net()
  const one = net.guest(1)
  const two = net.guest(2)
  const payload = Uint8Array.from({ length: 1486 }, (_, index) => index)
  const frame = frameBytes({ to: 2, from: 1, payload })
  expect(one.sendSection(packet(frame))).toBe(1)
  // The RNDIS head in a section, the frame in two pages that lie apart.
  const message = packet(frame)
  one.memory.set(message.subarray(0, 44), 512 * 4096 + 6144)
  one.memory.set(message.subarray(44, 744), DATA_GPA + 3396)
  one.memory.set(message.subarray(744), DATA_GPA + 8192)
  one.writeDirect(rndis(0, 1, 44), 0x70, [
    [3396, 700, [0x300]],
    [0, message.length - 744, [0x302]],
  ])
  expect(one.receive()[0]).toMatchObject({ tid: [0x70, 7], status: 1 })
  expect(two.frames()).toEqual([frame, frame])
  expect(net.got).toEqual([])
})

test('several messages in one packet are several frames', () => {
  const net = new Net()
  const one = net.guest(1)
  const first = packet(frameBytes({ to: 9, from: 1 }))
  const second = packet(frameBytes({ to: 9, from: 1, length: 61 }))
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  expect(one.sendSection(both)).toBe(1)
  expect(net.got.map(({ length }) => length)).toEqual([60, 61])
})

test('checksums that the guest left out are computed, and vouched for to the receiver', () => {
  const net = new Net({ macSpoofing: true })
  const one = net.guest(1)
  const two = net.guest(2)
  const payload = ipv4(
    6,
    tcp(
      80,
      4000,
      Array.from({ length: 999 }, (_, at) => at & 0xff),
    ),
  )
  const frame = frameBytes({ to: 2, from: 1, type: 0x800, payload })
  const headerAt = (34 << 16) | 1 | 4 | 0x10
  one.sendSection(packet(frame, [[PacketInfo.CHECKSUM, headerAt]]))
  const [transfer] = two.receive()
  const message = transfer!.ranges[0]!
  expect(infoOf(message).get(PacketInfo.CHECKSUM)).toBe(0x28)
  const arrived = message.slice(message.length - frame.length)
  expect(checksumOf(arrived)).toEqual({ ip: true, transport: true })
  one.sendSection(
    packet(frameBytes({ to: 9, from: 1, type: 0x86dd, payload: ipv6(17, udp(1, 2)) }), [
      [0, 2 | 8],
    ]),
  )
  expect(checksumOf(net.got[0]!)).toEqual({ ip: true, transport: true })
})

test.each([
  ['IPv4', 0x800, 4],
  ['IPv6', 0x86dd, 6],
])('a large frame over %s goes out as segments', (_, type, version) => {
  const net = new Net()
  const one = net.guest(1)
  const data = Array.from({ length: 4500 }, (_value, at) => (at * 7) & 0xff)
  const segment = tcp(80, 4000, data, { sequence: 0xffff_fff0, flags: 0x99 })
  const payload = version === 4 ? ipv4(6, segment) : ipv6(6, segment)
  // Linux leaves the packet's length out.
  payload[version === 4 ? 2 : 4] = 0
  payload[version === 4 ? 3 : 5] = 0
  const frame = frameBytes({ to: 9, from: 1, type, payload })
  const tcpAt = version === 4 ? 34 : 54
  const lso = (1000 | (tcpAt << 20) | 0x4000_0000 | (version === 6 ? 0x8000_0000 : 0)) >>> 0
  expect(one.sendSection(packet(frame, [[PacketInfo.LSO, lso]]))).toBe(1)
  expect(net.got.map(({ length }) => length - tcpAt - 20)).toEqual([1000, 1000, 1000, 1000, 500])
  const seen: number[] = []
  for (const [index, bytes] of net.got.entries()) {
    expect(checksumOf(bytes)).toEqual({ ip: true, transport: true })
    const view = new DataView(bytes.buffer)
    expect(view.getUint32(tcpAt + 4)).toBe((0xffff_fff0 + index * 1000) % 2 ** 32)
    // FIN and PSH on the last, CWR on the first.
    expect(bytes[tcpAt + 13]).toBe(index === 0 ? 0x90 : index === 4 ? 0x19 : 0x10)
    if (version === 4) expect(view.getUint16(18)).toBe(0x1234 + index)
    seen.push(...bytes.subarray(tcpAt + 20))
  }
  expect(seen).toEqual(data)
})

test('tags travel beside frames, both ways', () => {
  const net = new Net({ vlan: { mode: 'trunk', native: 0, allowed: [5] } })
  const vlan = { mode: 'trunk', native: 0, allowed: [5] } as const
  const one = net.guest(1, {}, { vlan })
  const frame = frameBytes({ to: 9, from: 1 })
  one.sendSection(packet(frame, [[PacketInfo.VLAN, (5 << 4) | 3]]))
  expect([net.got[0], net.tags[0]]).toEqual([frame, 0x6005])
  net.send(frameBytes({ to: 1, from: 9 }), 0x6005)
  expect(infoOf(one.receive()[0]!.ranges[0]!).get(PacketInfo.VLAN)).toBe((5 << 4) | 3)
})

test('a guest gets what its filter asks for, and nothing while it asks for nothing', () => {
  const net = new Net()
  const one = net.guest(1)
  const broadcast = frameBytes({ to: 'ff:ff:ff:ff:ff:ff', from: 9 })
  const multicast = frameBytes({ to: '01:00:5e:00:00:01', from: 9 })
  const directed = frameBytes({ to: 1, from: 9 })
  const received = (filter: number): number[] => {
    one.set(0x1_010e, [filter, 0, 0, 0])
    for (const bytes of [broadcast, multicast, directed]) net.send(bytes)
    return one.frames().map((bytes) => bytes[0]!)
  }
  expect(received(0)).toEqual([])
  expect(received(1)).toEqual([2])
  expect(received(8)).toEqual([0xff])
  expect(received(4)).toEqual([1])
  expect(received(0x20)).toEqual([0xff, 1, 2])
})

test('a frame larger than the receiver takes is dropped, and counted', () => {
  const net = new Net()
  const one = net.guest(1)
  net.send(frameBytes({ to: 1, from: 9, length: 1515 }))
  net.send(frameBytes({ to: 1, from: 9, length: 1514 }))
  expect(one.frames().map(({ length }) => length)).toEqual([1514])
  expect(net.switch.inspect().ports[1]!.receiveDrops).toEqual({ MTU: 1 })
})

test('the port holds a guest to its bandwidth, and its packets wait in its ring', () => {
  const net = new Net()
  const one = net.guest(1, {}, { maxBitsPerSecond: 8_000_000 })
  const frame = packet(frameBytes({ to: 9, from: 1, length: 1000 }))
  one.memory.set(frame, 512 * 4096)
  for (let index = 0; index < 60; index += 1) one.write(rndis(0, 0, frame.length), index)
  one.loopback.pump()
  const atOnce = net.got.length
  expect(atOnce).toBeLessThan(25)
  expect(one.vsp.nextDeadlineMs()).toBeGreaterThan(0)
  for (let step = 0; step < 20; step += 1) {
    net.clock.nowMs = one.vsp.nextDeadlineMs()
    one.vsp.wake()
    one.loopback.pump()
  }
  expect(net.got.length - atOnce).toBeGreaterThanOrEqual(19)
  net.clock.nowMs += 1000
  one.vsp.wake()
  one.loopback.pump()
  expect(net.got.length).toBe(60 > atOnce + 40 ? atOnce + 40 : 60)
})

test('a guest is signalled once for a stream: when it ends, or has gone on for long', () => {
  const net = new Net()
  const one = net.guest(1)
  const signals = { count: 0 }
  // The channel opens once more, where its signals are counted.
  const { vsp } = one
  const open = vsp.open.bind(vsp)
  vsp.open = (channel) => {
    const signal = channel.signal.bind(channel)
    channel.signal = () => {
      signals.count += 1
      signal()
    }
    return open(channel)
  }
  one.loopback.client.close(one.channel)
  one.loopback.pump()
  one.open()
  one.start()
  const more = (): number => {
    net.send(frameBytes({ to: 1, from: 9 }))
    one.loopback.step()
    return signals.count
  }
  one.receive()
  one.channel.incoming.unmask()
  signals.count = 0
  expect(Array.from({ length: 8 }, more)).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
  one.loopback.step()
  expect(signals.count).toBe(1)
  expect(one.frames().length).toBe(8)
  one.channel.incoming.unmask()
  signals.count = 0
  expect([more(), more()]).toEqual([0, 0])
  net.clock.nowMs += 1
  expect(more()).toBe(1)
})

test('flows are spread over channels by their hash, each always over the same', () => {
  const net = new Net()
  const one = net.guest(1, { maxSubChannels: 3 })
  one.write(Uint8Array.of(133, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0), 1)
  one.receive()
  const parameters = new Uint8Array(40 + 512 + 40)
  const view = new DataView(parameters.buffer)
  for (const [at, value] of [
    [8, 0x1701],
    [16, 40],
    [24, 552],
  ] as const) {
    view.setUint32(at, value, true)
  }
  view.setUint16(12, 512, true)
  view.setUint16(20, 40, true)
  for (let entry = 0; entry < 128; entry += 1) view.setUint32(40 + entry * 4, entry % 4, true)
  for (let at = 0; at < 40; at += 1) parameters[552 + at] = (at * 37 + 5) & 0xff
  expect(one.set(0x1_0204, parameters)).toBe(0)
  const channels = [one.channel, ...one.subChannels]
  const counts = (): number[] => channels.map((channel) => one.frames(channel).length)
  for (let port = 0; port < 40; port += 1) {
    net.send(
      frameBytes({ to: 1, from: 9, type: 0x800, payload: ipv4(6, tcp(1000 + port, 80, [])) }),
    )
  }
  const spread = counts()
  expect(spread.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(30)
  expect(spread.filter((count) => count > 0).length).toBe(4)
  for (let times = 0; times < 5; times += 1) {
    net.send(frameBytes({ to: 1, from: 9, type: 0x800, payload: ipv4(6, tcp(1000, 80, [times])) }))
  }
  expect(counts().toSorted((a, b) => a - b)).toEqual([0, 0, 0, 5])
  // The hash goes with the frame, whatever the table makes of it.
  net.send(frameBytes({ to: 1, from: 9, type: 0x800, payload: ipv4(6, tcp(1000, 80, [])) }))
  net.send(frameBytes({ to: 1, from: 9, type: 0x800, payload: ipv4(6, tcp(1001, 80, [])) }))
  const hashes = channels.flatMap((channel) =>
    one.receive(channel).flatMap(({ ranges }) => ranges.map((range) => infoOf(range).get(8))),
  )
  expect(new Set(hashes).size).toBe(2)
  expect(hashes).not.toContain(undefined)
})
