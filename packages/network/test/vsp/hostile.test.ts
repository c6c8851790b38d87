// What a guest can do wrong, on purpose: it gets a status or loses its channel; its host and its neighbours notice nothing.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DropReason, Frame, VirtualSwitch } from '@guestyard/network'
import type { SwitchPort } from '@guestyard/network'
import { NvspRevokeBuffer, NvspType } from '@guestyard/network/protocol'
import { RNDIS_MAX_PACKETS } from '@guestyard/network/rndis'
import { frameBytes, ipv4, macText, tcp } from '../support/frames.ts'
import { DATA_GPA, RawGuest, packet, request, rndis } from '../support/raw-guest.ts'

const FAILURE = 2
const INVALID = 5

class Net {
  readonly switch: VirtualSwitch = new VirtualSwitch({ clock: { now: () => 0 } })
  readonly got: number[] = []
  readonly port: SwitchPort

  constructor() {
    const deliver = (frame: Frame): number => {
      this.got.push(frame.lengthBytes)
      return DropReason.NONE
    }
    this.port = this.switch.connect({ deliver })
  }

  guest(number: number, ringBytes?: number): RawGuest {
    const port = { address: macText(number) }
    return new RawGuest({ switch: this.switch, port, maxSubChannels: 2 }, ringBytes)
  }

  send(bytes: Uint8Array): void {
    const frame = new Frame(70_000)
    frame.setBytes(bytes)
    this.port.send(frame)
  }
}

function patched(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice()
  new DataView(copy.buffer).setUint32(at, value >>> 0, true)
  return copy
}

const frame = frameBytes({ to: 9, from: 1 })
const plain = packet(frame)
const tagged = packet(frame, [[6, 5 << 4]])

test.each([
  ['a length of nothing', patched(plain, 4, 0)],
  ['a length beyond the section', patched(plain, 4, plain.length + 8)],
  ['a length beyond everything', patched(plain, 4, -1)],
  ['data that begins beyond the end', patched(plain, 8, 5000)],
  ['data that wraps around', patched(plain, 8, -8)],
  ['data that begins in the head', patched(plain, 8, 4)],
  ['data longer than the message', patched(plain, 12, 4000)],
  ['data shorter than a frame', patched(plain, 12, 13)],
  ['data of no end', patched(plain, 12, -1)],
  ['out-of-band data outside', patched(patched(plain, 16, 4000), 20, 8)],
  ['information outside', patched(tagged, 28, 4000)],
  ['information that wraps around', patched(tagged, 32, -4)],
  ['information in the head', patched(tagged, 28, 0)],
  ['information over the data', patched(tagged, 28, 52)],
  ['more information than there is', patched(tagged, 32, 300)],
  ['an entry of size 0', patched(tagged, 44, 0)],
  ['an entry of an odd size', patched(tagged, 44, 15)],
  ['an entry beyond the area', patched(tagged, 44, 32)],
  ['an entry whose data is outside', patched(tagged, 52, 64)],
  ['a message of another type', patched(plain, 0, 7)],
])('%s is told to be no RNDIS packet', (_, message) => {
  const net = new Net()
  const one = net.guest(1).start()
  expect(one.sendSection(message)).toBe(INVALID)
  expect(net.got).toEqual([])
  expect(one.sendSection(plain)).toBe(1)
  expect(net.got).toEqual([60])
})

test.each([
  ['a section that is not there', 4, 100],
  ['a section of all ones but one', 0xffff_fffe, 100],
  ['more than a section', 0, 6145],
  ['no bytes', 0, 0],
  ['a section of no end', 0, 0xffff_ffff],
  ['nothing at all', 0xffff_ffff, 0],
])('%s is told to be no RNDIS packet', (_, index, bytes) => {
  const one = new Net().guest(1).start()
  one.write(rndis(0, index, bytes), 0x66)
  expect(one.receive()).toMatchObject([{ type: 108, status: INVALID }])
})

test('pages that are not the guest’s memory are not read', () => {
  const one = new Net().guest(1).start()
  one.writeDirect(rndis(0, -1, 0), 1, [[0, 100, [0x9999]]])
  one.writeDirect(rndis(0, -1, 0), 2, [[0, 100, [0xffff_ffff]]])
  const many = Array.from({ length: 129 }, () => 0x300)
  one.writeDirect(rndis(0, -1, 0), 3, [[0, 129 * 4096, many]])
  expect(one.receive().map(({ status }) => status)).toEqual([INVALID, INVALID, INVALID])
  expect(one.loopback.iommu.inspect().domains.every(({ mappedPages }) => mappedPages < 1000)).toBe(
    true,
  )
})

test('more messages in a packet than were announced end with a status', () => {
  const net = new Net()
  const one = net.guest(1).start()
  const count = RNDIS_MAX_PACKETS + 1
  const all = new Uint8Array(count * plain.length)
  for (let index = 0; index < count; index += 1) all.set(plain, index * plain.length)
  expect(one.sendSection(all)).toBe(INVALID)
  expect(net.got.length).toBe(RNDIS_MAX_PACKETS)
})

test('RNDIS before its time, of no kind, or too short, is refused', () => {
  const one = new Net().guest(1)
  expect(one.ask(rndis(0, 0, 60)).status).toBe(FAILURE)
  one.init()
  expect(one.ask(rndis(1, 0, 60)).status).toBe(FAILURE)
  one.giveReceiveBuffer()
  expect(one.ask(rndis(7, 0, 60)).status).toBe(FAILURE)
  expect(one.ask(rndis(0, 0, 60).slice(0, 8)).status).toBe(FAILURE)
  expect(one.ask(rndis(0, 0, 60)).status).toBe(INVALID)
})

test('completions of what was never sent, or twice, change nothing', () => {
  const net = new Net()
  const one = net.guest(1).start()
  const before = one.vsp.inspect().freeReceiveBuffers
  for (const tid of [
    [0, 0],
    [1, 0],
    [1, 1],
    [99, 1],
    [-1, 5],
  ] as const) {
    one.complete(tid)
  }
  net.send(frameBytes({ to: 1, from: 9 }))
  const [transfer] = one.receive()
  expect(one.vsp.inspect().freeReceiveBuffers).toBe(before - 1)
  one.complete([transfer!.tid[0], transfer!.tid[1] + 1])
  one.complete(transfer!.tid)
  one.complete(transfer!.tid)
  one.loopback.pump()
  const { freeReceiveBuffers, strayCompletions } = one.vsp.inspect()
  expect([freeReceiveBuffers, strayCompletions]).toEqual([before, 7])
})

test('frames that were told in one packet are given back with its completion, and not one by one', () => {
  const net = new Net()
  const one = net.guest(1).start()
  const before = one.vsp.inspect().freeReceiveBuffers
  for (let count = 0; count < 5; count += 1) net.send(frameBytes({ to: 1, from: 9 }))
  const transfers = one.receive()
  expect(transfers.map(({ ranges }) => ranges.length)).toEqual([5])
  const [first, use] = transfers[0]!.tid
  for (let other = 0; other <= before; other += 1) if (other !== first) one.complete([other, use])
  one.loopback.pump()
  expect(one.vsp.inspect().freeReceiveBuffers).toBe(before - 5)
  one.complete([first, use])
  one.complete([first, use])
  one.loopback.pump()
  expect(one.vsp.inspect().freeReceiveBuffers).toBe(before)
})

test('frames for a buffer that the guest takes back are not told, and the next buffer is whole', () => {
  const net = new Net()
  const one = net.guest(1).start()
  const before = one.vsp.inspect().freeReceiveBuffers
  net.send(frameBytes({ to: 1, from: 9 }))
  one.write(NvspRevokeBuffer.pack({ type: NvspType.REVOKE_RECEIVE_BUFFER, id: 0xcafe }), 1, 0)
  one.receive()
  one.giveReceiveBuffer()
  expect(one.vsp.inspect().freeReceiveBuffers).toBe(before)
  for (let count = 0; count < 3; count += 1) net.send(frameBytes({ to: 1, from: 9 }))
  expect(one.frames().length).toBe(3)
  expect(one.vsp.inspect().freeReceiveBuffers).toBe(before)
})

test('a guest that gives no buffers back loses its own frames, and no one else’s', () => {
  const net = new Net()
  const one = net.guest(1).start()
  const two = net.guest(2).start()
  for (let index = 0; index < 60; index += 1) {
    net.send(frameBytes({ to: 'ff:ff:ff:ff:ff:ff', from: 9 }))
    expect(two.frames().length).toBe(1)
    one.receive()
  }
  const [, stuck] = net.switch.inspect().ports
  expect(stuck!.receivedFrames + stuck!.receiveDrops['NO_BUFFER']!).toBe(60)
  expect(stuck!.receivedFrames).toBe(35)
  // Control messages still find theirs.
  expect(one.query(0x1_0114).status).toBe(0)
})

test('a guest that never drains its ring holds up itself alone', () => {
  const net = new Net()
  const one = net.guest(1, 4096).start()
  const two = net.guest(2).start()
  for (let index = 0; index < 200; index += 1) {
    net.send(frameBytes({ to: 'ff:ff:ff:ff:ff:ff', from: 9 }))
    expect(two.frames().length).toBe(1)
  }
  expect(net.switch.inspect().ports[1]!.receiveDrops['NO_BUFFER']).toBeGreaterThan(100)
  // It reads on, and all is well.
  one.frames()
  net.send(frameBytes({ to: 1, from: 9 }))
  expect(one.frames().length).toBe(1)
})

test('questions without reading the answers are bounded, and told so', () => {
  const one = new Net().guest(1).start()
  const statuses: number[] = []
  one.memory.set(request(4, 1, 0x1_0114, []), 512 * 4096)
  for (let index = 0; index < 80; index += 1) {
    one.write(rndis(1, 0, 28), index)
    statuses.push(
      ...one
        .receive()
        .filter(({ is }) => is === 'completion')
        .map(({ status }) => status),
    )
  }
  expect(statuses.filter((status) => status === 1).length).toBe(37 + 16)
  expect(statuses.filter((status) => status === FAILURE).length).toBe(80 - 37 - 16)
})

test('a control message that makes no sense has a status, and RSS parameters are checked', () => {
  const one = new Net().guest(1).start()
  const control = (message: Uint8Array): number => one.sendSection(message, { channelType: 1 })
  expect(control(new Uint8Array(8))).toBe(INVALID)
  expect(control(patched(request(4, 1, 0x1_0114, []), 4, 4000))).toBe(INVALID)
  expect(control(new Uint8Array(1025))).toBe(INVALID)
  const lying = patched(request(5, 1, 0x1_010e, [1, 0, 0, 0]), 20, 4000)
  const answer = one.control(lying)
  expect(new DataView(answer!.buffer).getUint32(12, true)).toBe(0xc001_0015)
  expect(one.set(0x1_010e, [1])).toBe(0xc001_0014)
  const rss = (changes: readonly (readonly [number, number])[]): number => {
    const bytes = new Uint8Array(40 + 8 + 40)
    const view = new DataView(bytes.buffer)
    view.setUint16(12, 8, true)
    view.setUint32(16, 40, true)
    view.setUint16(20, 40, true)
    view.setUint32(24, 48, true)
    for (const [at, value] of changes) view.setUint32(at, value >>> 0, true)
    return one.set(0x1_0204, bytes)
  }
  expect(rss([])).toBe(0)
  for (const change of [
    [12, 12],
    [12, 2048],
    [16, 85],
    [16, -4],
    [20, 16],
    [24, 49],
    [40, 1],
  ] as const) {
    expect(rss([change])).toBe(0xc001_0015)
  }
  expect(one.set(0x1_0204, new Uint8Array(39))).toBe(0xc001_0014)
})

test('a large frame that is none is dropped, and its packet answered', () => {
  const net = new Net()
  const one = net.guest(1).start()
  const large = frameBytes({ to: 9, from: 1, type: 0x800, payload: ipv4(6, tcp(1, 2, [1, 2, 3])) })
  for (const [bytes, mss] of [
    [frame, 1000],
    [large, 1],
    [large, 63],
  ] as const) {
    expect(one.sendSection(packet(bytes, [[2, (mss | 0x4000_0000) >>> 0]]))).toBe(1)
  }
  expect(one.sendSection(packet(frame, [[0, 4 | 1]]))).toBe(1)
  expect(net.got).toEqual([60])
  expect(one.vsp.inspect().malformed).toBe(4)
})

test('buffers that are torn down under the host are used no more', () => {
  const net = new Net()
  const one = net.guest(1).start()
  one.write(Uint8Array.of(103, 0, 0, 0, 0xfe, 0xca, 0, 0), 1, 0)
  one.loopback.pump()
  net.send(frameBytes({ to: 1, from: 9 }))
  expect(one.receive()).toEqual([])
  expect(one.sendSection(plain)).toBe(FAILURE)
  expect(net.switch.inspect().ports[1]!.receiveDrops).toEqual({ NO_RECEIVER: 1 })
})

test('whatever a guest writes over its packets, the host answers or fails that channel, and others go on', () => {
  const byte = fc.nat(255)
  const change = fc.tuple(fc.nat(200), byte)
  const kind = fc.constantFrom('section', 'control', 'message', 'direct')
  const step = fc.record({
    kind,
    changes: fc.array(change, { maxLength: 6 }),
    words: fc.array(byte, { minLength: 8, maxLength: 44 }),
  })
  const net = new Net()
  const two = net.guest(2).start()
  const one = net.guest(1).start()
  const messages = [
    plain,
    tagged,
    packet(frame, [[2, 0x4000_0100]]),
    request(5, 1, 0x1_0204, new Uint8Array(88)),
  ]
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), fc.nat(3), (steps, pick) => {
      for (const { kind: is, changes, words } of steps) {
        const bytes = messages[pick]!.slice()
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
        if (is === 'message') {
          one.write(
            Uint8Array.from([words[0]! & 1 ? 107 : words[0]!, 0, 0, 0, ...words.slice(4)]),
            3,
          )
        } else if (is === 'direct') {
          one.memory.set(bytes, DATA_GPA + 100)
          one.writeDirect(rndis(0, -1, 0), 4, [[100, bytes.length, [0x300]]])
        } else one.sendSection(bytes, { channelType: is === 'control' ? 1 : 0 })
        one.frames()
      }
      two.frames()
      net.send(frameBytes({ to: 2, from: 9 }))
      expect(two.frames().length).toBe(1)
    }),
    { numRuns: 150 },
  )
  expect(two.failures).toEqual([])
})
