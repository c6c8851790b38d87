// Addresses for those who ask: a client that is spoken for byte by byte.

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { IpStack, formatIpv4, parseIpv4 } from '@guestyard/tcpip'
import { randomOf } from '@guestyard/tcpip/testing'

import { DhcpServer } from '../../src/uplinks/dhcp-server.ts'

const DISCOVER = 1
const REQUEST = 3
const DECLINE = 4
const RELEASE = 7
const SERVER = parseIpv4('10.0.0.254')!

interface Answer {
  readonly type: number
  readonly yours: string
  readonly options: Readonly<Record<number, string>>
}

class Scene {
  nowMs = 0
  readonly answers: Answer[] = []
  readonly server: DhcpServer
  readonly #stack: IpStack

  constructor(prefixBits = 24, more: { domain?: string; isRouter?: boolean } = {}) {
    const link = {
      address: Uint8Array.of(2, 0, 0, 0, 0, 254),
      mtu: 1_500,
      transmit: (frame: Uint8Array, bytes: number) => {
        if (frame[13] === 0) this.answers.push(answerOf(frame.slice(42, bytes)))
        return true
      },
    }
    const random = randomOf(1)
    const clock = (): number => this.nowMs
    this.#stack = new IpStack({ link, clock, random, secret: new Uint8Array(8) })
    this.#stack.configure(SERVER, prefixBits)
    const rest = { stack: this.#stack, clock: { now: clock } }
    this.server = new DhcpServer({ prefixBits, ...rest, ...more })
  }

  /** What a host with that number asks, in a frame of its own; the answer, if there is one. */
  ask(
    host: number,
    type: number,
    options: readonly [number, number][] = [],
    client = 0,
    sender = host,
  ): Answer | undefined {
    const bytes = new Uint8Array(250 + 6 * options.length)
    const view = new DataView(bytes.buffer)
    bytes.set([1, 1, 6, 0, 1, 2, 3, 4])
    view.setUint32(12, client)
    bytes.set([2, 0, 0, 0, host >> 8, host & 0xff], 28)
    view.setUint32(236, 0x6382_5363)
    bytes.set([53, 1, type], 240)
    let at = 243
    for (const [code, value] of options) {
      bytes.set([code, 4], at)
      view.setUint32(at + 2, value)
      at += 6
    }
    bytes[at] = 255
    this.server.asker = 0x0200_0000_0000 + sender
    this.give(bytes)
    return this.answers.shift()
  }

  give(payload: Uint8Array): void {
    const frame = new Uint8Array(42 + payload.length)
    const view = new DataView(frame.buffer)
    frame.fill(0xff, 0, 6)
    frame.set([2, 0, 0, 0, 0, 1, 8, 0, 0x45], 6)
    view.setUint16(16, 28 + payload.length)
    frame.set([64, 17], 22)
    view.setUint32(30, 0xffff_ffff)
    view.setUint16(34, 68)
    view.setUint16(36, 67)
    view.setUint16(38, 8 + payload.length)
    frame.set(payload, 42)
    let sum = 0
    for (let word = 14; word < 34; word += 2) sum += view.getUint16(word)
    view.setUint16(24, ~((sum & 0xffff) + (sum >> 16)) & 0xffff)
    this.#stack.receive(frame)
  }
}

function answerOf(bytes: Uint8Array): Answer {
  const view = new DataView(bytes.buffer)
  const options: Record<number, string> = {}
  let type = 0
  for (let at = 240; bytes[at] !== 255; at += 2 + bytes[at + 1]!) {
    if (bytes[at] === 53) type = bytes[at + 2]!
    else options[bytes[at]!] = formatIpv4(view.getUint32(at + 2))
  }
  return { type, yours: formatIpv4(view.getUint32(16)), options }
}

test('who asks is offered an address, and gets it with mask, gateway and lease', () => {
  const scene = new Scene()
  const offer = scene.ask(1, DISCOVER)!
  expect([offer.type, offer.yours]).toEqual([2, '10.0.0.1'])
  const got = scene.ask(1, REQUEST, [
    [54, SERVER],
    [50, parseIpv4(offer.yours)!],
  ])!
  expect(got).toEqual({
    type: 5,
    yours: '10.0.0.1',
    options: { 1: '255.255.255.0', 3: '10.0.0.254', 51: '0.0.14.16', 54: '10.0.0.254' },
  })
})

test('who has names says where, and what stands behind them', () => {
  const scene = new Scene(24, { domain: 'lan.internal', isRouter: false })
  const { options } = scene.ask(1, DISCOVER)!
  expect(options).toMatchObject({ 6: '10.0.0.254', 15: formatIpv4(0x6c61_6e2e) })
  expect(Object.keys(options)).not.toContain('3')
})

test('a host asks for itself alone: in other names it takes nothing, and ends nothing', () => {
  const scene = new Scene()
  const { yours } = scene.ask(1, DISCOVER)!
  for (let name = 2; name < 400; name += 1) {
    expect(scene.ask(name, DISCOVER, [], 0, 500)).toBeUndefined()
  }
  scene.ask(1, RELEASE, [], 0, 500)
  scene.ask(1, DECLINE, [], 0, 500)
  scene.ask(1, REQUEST, [[54, SERVER + 1]], 0, 500)
  expect([scene.server.leaseCount, scene.ask(1, DISCOVER)!.yours]).toEqual([1, yours])
})

test('a host that declines whatever it is offered leaves addresses for others', () => {
  const scene = new Scene(29)
  for (let round = 0; round < 20; round += 1) {
    scene.ask(1, DISCOVER)
    scene.ask(1, DECLINE)
  }
  expect(scene.ask(2, DISCOVER)?.type).toBe(2)
})

test('each host has one of its own, and the same again', () => {
  const scene = new Scene()
  const first = [1, 2, 3].map((host) => scene.ask(host, DISCOVER)!.yours)
  expect(first).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3'])
  expect([3, 1, 2].map((host) => scene.ask(host, DISCOVER)!.yours)).toEqual([
    '10.0.0.3',
    '10.0.0.1',
    '10.0.0.2',
  ])
})

test('an address that is another’s, the gateway’s or of no host is refused', () => {
  const scene = new Scene()
  scene.ask(1, DISCOVER)
  for (const wanted of ['10.0.0.1', '10.0.0.254', '10.0.0.0', '10.0.0.255', '10.0.1.7']) {
    expect(scene.ask(2, REQUEST, [[50, parseIpv4(wanted)!]])!.type).toBe(6)
  }
})

test('a free one that was asked for is given', () => {
  const scene = new Scene()
  const wanted = parseIpv4('10.0.0.77')!
  expect(scene.ask(1, REQUEST, [[50, wanted]])).toMatchObject({ type: 5, yours: '10.0.0.77' })
})

test('an offer that was not taken is free after half a minute, a lease after its hour, one that was given back at once', () => {
  const scene = new Scene(30)
  // Two hosts, one of them the gateway… of 10.0.0.252/30: .253, and itself.
  expect(scene.ask(1, DISCOVER)!.yours).toBe('10.0.0.253')
  expect(scene.ask(2, DISCOVER)).toBe(undefined)
  scene.nowMs += 30_000
  expect(scene.ask(2, DISCOVER)!.yours).toBe('10.0.0.253')
  scene.ask(2, REQUEST, [[50, parseIpv4('10.0.0.253')!]])
  scene.nowMs += 3_599_000
  expect(scene.ask(1, DISCOVER)).toBe(undefined)
  scene.nowMs += 1_000
  expect(scene.ask(1, DISCOVER)!.yours).toBe('10.0.0.253')
  scene.ask(1, RELEASE)
  expect(scene.ask(2, DISCOVER)!.yours).toBe('10.0.0.253')
})

test('ten thousand hosts have no more leases than there are addresses', () => {
  const scene = new Scene(16)
  for (let host = 0; host < 10_000; host += 1) scene.ask(host, DISCOVER)
  // Of the first 1,024 addresses one is the gateway’s.
  expect(scene.server.leaseCount).toBe(1_023)
})

test('whoever takes another server’s offer is not answered', () => {
  const scene = new Scene()
  scene.ask(1, DISCOVER)
  expect(scene.ask(1, REQUEST, [[54, SERVER + 1]])).toBe(undefined)
  expect(scene.server.leaseCount).toBe(0)
})

test('bytes of any kind are ignored or answered, and leave a server that serves', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 20 }), (payloads) => {
      const scene = new Scene()
      for (const payload of payloads) {
        if (payload.length > 243) payload.set([1, 1, 6], 0)
        if (payload.length > 243) payload.set([0x63, 0x82, 0x53, 0x63, 53, 1], 236)
        scene.give(payload)
      }
      scene.answers.length = 0
      expect(scene.ask(60_000, DISCOVER)?.type).toBe(2)
    }),
    { numRuns: 100 },
  )
})

test('a network without room for a guest has no server', () => {
  expect(() => new Scene(31)).toThrow(new RangeError('a network of /31 has no address for guests'))
})
