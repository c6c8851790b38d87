// Below TCP: golden frames, who answers what, and what is dropped for which reason.

import { describe, expect, test } from 'vitest'
import { BROADCAST_IPV4, formatIpv4, parseCidr, parseIpv4 } from '@guestyard/tcpip'
import { ONE, TWO, TwoStacks, pattern } from './two-stacks.ts'

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** What station one sends. */
function recorded(stacks: TwoStacks, act: () => void): string[] {
  const frames: string[] = []
  stacks.wire.onSent = (frame, from) => {
    if (from === 0) frames.push(hex(frame))
  }
  act()
  stacks.wire.onSent = null
  return frames
}

test('a host that is spoken to first is asked for with these bytes', () => {
  const stacks = new TwoStacks()
  const frames = recorded(stacks, () => stacks.one.ping(TWO, 0, 1_000, () => {}))
  expect(frames).toEqual([
    'ffffffffffff' +
      '020000000001' +
      '0806' + // Ethernet
      '0001' +
      '0800' +
      '06' +
      '04' +
      '0001' +
      '020000000001' +
      '0a000001' +
      '000000000000' +
      '0a000002',
  ])
})

test('an echo request has these bytes, and is answered with as many', () => {
  const stacks = new TwoStacks({ random: () => 0x1234 })
  const answers: unknown[] = []
  const sent: string[] = []
  stacks.wire.onSent = (frame, from) => {
    if (from === 0 && frame[13] === 0) sent.push(hex(frame))
  }
  stacks.one.ping(TWO, 4, 1_000, (answer) => answers.push(answer))
  expect(stacks.run(() => answers.length === 1)).toBe(true)
  expect(answers).toEqual([{ roundTripMs: expect.any(Number), bytes: 4 }])
  // That one waited for its neighbour’s address.
  sent.length = 0
  stacks.one.ping(TWO, 4, 1_000, (answer) => answers.push(answer))
  expect(sent).toEqual([
    '020000000002' +
      '020000000001' +
      '0800' +
      '4500002000004000' +
      '4001' +
      '26db' +
      '0a000001' +
      '0a000002' +
      '0800' +
      'e3c5' +
      '1234' +
      '0002' +
      '00010203',
  ])
})

test('nobody answers: the pinger is told when its time is over', () => {
  const stacks = new TwoStacks()
  const answers: unknown[] = []
  stacks.one.ping(TWO + 1, 0, 5_000, (answer) => answers.push(answer))
  expect(stacks.run(() => answers.length === 1)).toBe(true)
  expect([answers, stacks.wire.nowMs]).toEqual([[null], 5_000])
  expect(stacks.one.inspect()).toMatchObject({ drops: { NO_NEIGHBOUR: 1 } })
})

describe('datagrams', () => {
  test('arrive whole at the socket of their port, from the sender’s', () => {
    const stacks = new TwoStacks()
    const got: unknown[] = []
    stacks.two.bindUdp(53, (bytes, from, port) => got.push([hex(bytes), from, port]))
    const socket = stacks.one.bindUdp(0, () => {})!
    expect(socket.port).toBeGreaterThanOrEqual(49_152)
    expect(socket.send(pattern(5), TWO, 53)).toBe(true)
    expect(stacks.run(() => got.length === 1)).toBe(true)
    expect(got).toEqual([[hex(pattern(5)), ONE, socket.port]])
  })

  test('reach everybody by the broadcast addresses, without asking for a neighbour', () => {
    const stacks = new TwoStacks()
    const got: number[] = []
    stacks.two.bindUdp(67, (bytes) => got.push(bytes.length))
    const socket = stacks.one.bindUdp(68, () => {})!
    expect(socket.send(pattern(1), BROADCAST_IPV4, 67)).toBe(true)
    expect(socket.send(pattern(2), stacks.one.broadcast, 67)).toBe(true)
    stacks.run(() => got.length === 2)
    expect([got, formatIpv4(stacks.one.broadcast)]).toEqual([[1, 2], '10.0.0.255'])
  })

  test('of more than a packet, or to where there is no way, are refused', () => {
    const stacks = new TwoStacks()
    const socket = stacks.one.bindUdp(0, () => {})!
    expect(socket.send(new Uint8Array(1_472), TWO, 9)).toBe(true)
    expect(socket.send(new Uint8Array(1_473), TWO, 9)).toBe(false)
    expect(socket.send(new Uint8Array(1), parseIpv4('192.0.2.1')!, 9)).toBe(false)
    expect(stacks.one.bindUdp(socket.port, () => {})).toBe(null)
  })

  test('to a port that nobody has are answered with a word to the sender, a hundred a second', () => {
    const stacks = new TwoStacks()
    const socket = stacks.one.bindUdp(0, () => {})!
    socket.send(pattern(1), TWO, 9)
    stacks.run(() => false, 100)
    let answers = 0
    stacks.wire.onSent = (frame, from) => {
      if (from === 1 && frame[34] === 3) answers += 1
    }
    for (let n = 0; n < 500; n += 1) socket.send(pattern(1), TWO, 9)
    stacks.run(() => false, 100)
    expect(answers).toBeLessThanOrEqual(100)
    expect(stacks.two.inspect().drops).toEqual({ NO_SOCKET: 501 })
  })
})

test('a fragment, a wrong checksum and a foreign address are dropped for what they are', () => {
  const stacks = new TwoStacks()
  stacks.one.ping(TWO, 0, 1_000, () => {})
  stacks.run(() => false, 10)
  let frame = new Uint8Array(0)
  stacks.wire.onSent = (sent) => (frame = sent.slice())
  stacks.one.ping(TWO, 0, 1_000, () => {})
  stacks.wire.onSent = null
  // Each with the header's checksum adjusted: RFC 1624 in the easy case.
  const changed = (at: number, value: number): Uint8Array => {
    const copy = frame.slice()
    const view = new DataView(copy.buffer)
    const sum = view.getUint16(24) + view.getUint16(at) - value
    view.setUint16(24, sum < 0 ? sum + 0xffff : sum % 0xffff)
    view.setUint16(at, value)
    return copy
  }
  stacks.two.receive(changed(20, 0x2000))
  stacks.two.receive(changed(32, 0x0003))
  const broken = frame.slice()
  broken[15] = 1
  stacks.two.receive(broken)
  stacks.two.receive(frame.subarray(0, 30))
  expect(stacks.two.inspect().drops).toEqual({
    FRAGMENT: 1,
    NOT_FOR_US: 1,
    BAD_CHECKSUM: 1,
    TRUNCATED: 1,
  })
})

test('a gateway carries what isn’t on the link', () => {
  const stacks = new TwoStacks()
  stacks.one.configure(ONE, 24, TWO)
  const far = parseIpv4('192.0.2.1')!
  const socket = stacks.one.bindUdp(0, () => {})!
  const frames: Uint8Array[] = []
  stacks.wire.onSent = (frame, from) => {
    if (from === 0 && frame[13] === 0) frames.push(frame.slice())
  }
  expect(socket.send(pattern(1), far, 9)).toBe(true)
  stacks.run(() => false, 10)
  expect(socket.send(pattern(1), far, 9)).toBe(true)
  expect(hex(frames[0]!.subarray(0, 6))).toBe('020000000002')
  expect(hex(frames[0]!.subarray(30, 34))).toBe('c0000201')
})

test.each(['', '1.2.3', '1.2.3.256', '01.2.3.4', '1.2.3.4.5', 'a.b.c.d', '1.2.3.-4'])(
  '%j is no address',
  (text) => {
    expect(parseIpv4(text)).toBe(null)
  },
)

test('addresses and networks are read as they are written', () => {
  expect(formatIpv4(parseIpv4('203.0.113.255')!)).toBe('203.0.113.255')
  expect(parseCidr('10.1.2.3/8')).toEqual({ address: 0x0a01_0203, prefixBits: 8 })
  expect([parseCidr('10.1.2.3/33'), parseCidr('10.1.2.3')]).toEqual([null, null])
})
