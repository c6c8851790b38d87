// Frames that nobody honest sends. A stack never throws, keeps what it has, and a connection is not ended by who merely guesses (RFC 5961).

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { IpStack, TcpConnection } from '@guestyard/tcpip'
import { ONE, TwoStacks, pattern, transfer } from './two-stacks.ts'

const RST = 4
const SYN = 2
const ACK = 16
const TCP_AT = 34

/** The last segment that one end sent, to be forged. */
function template(stacks: TwoStacks, from: 0 | 1, act: () => void): Uint8Array {
  let last: Uint8Array | null = null
  stacks.wire.onSent = (frame, end) => {
    if (end === from && frame[23] === 6) last = frame.slice()
  }
  act()
  stacks.run(() => last !== null)
  stacks.wire.onSent = null
  return last!
}

/** With other numbers and flags, and checksums that are right. */
function forged(
  frame: Uint8Array,
  change: { sequence?: number; acknowledgement?: number; flags?: number },
): Uint8Array {
  const bytes = frame.slice(0, TCP_AT + (frame[TCP_AT + 12]! >>> 4) * 4)
  const view = new DataView(bytes.buffer)
  view.setUint16(16, bytes.length - 14)
  if (change.sequence !== undefined) view.setUint32(TCP_AT + 4, change.sequence)
  if (change.acknowledgement !== undefined) view.setUint32(TCP_AT + 8, change.acknowledgement)
  if (change.flags !== undefined) bytes[TCP_AT + 13] = change.flags
  fixChecksums(bytes)
  return bytes
}

/** Makes IPv4's and TCP's, UDP's or ICMP's checksums right: the shortest way, not ours. */
function fixChecksums(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const sum = (from: number, to: number, seed = 0): number => {
    let total = seed
    for (let at = from; at < to; at += 2) total += (bytes[at]! << 8) | (bytes[at + 1] ?? 0)
    return ~((total % 65_535) + (total > 0 && total % 65_535 === 0 ? 65_535 : 0)) & 0xffff
  }
  view.setUint16(24, 0)
  view.setUint16(24, sum(14, 34))
  if (bytes[23] !== 6 || bytes.length < TCP_AT + 20) return
  view.setUint16(TCP_AT + 16, 0)
  const length = bytes.length - TCP_AT
  let seed = 6 + length
  for (let at = 26; at < 34; at += 2) seed += view.getUint16(at)
  view.setUint16(TCP_AT + 16, sum(TCP_AT, bytes.length, seed))
}

function sequenceOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint32(TCP_AT + 4)
}

describe('a connection that somebody else knows the ports of', () => {
  function scene(): {
    stacks: TwoStacks
    one: TcpConnection
    two: TcpConnection
    frame: Uint8Array
  } {
    const stacks = new TwoStacks()
    const [one, two] = stacks.connected()
    const frame = template(stacks, 0, () => one.write(pattern(10)))
    stacks.run(() => two.readableBytes === 10)
    return { stacks, one, two, frame }
  }

  test.each([1, 1_000, 100_000, 2 ** 31])(
    'a RST %d bytes past the next number ends nothing',
    (off) => {
      const { stacks, one, two, frame } = scene()
      const next = sequenceOf(frame) + 10
      stacks.two.receive(forged(frame, { sequence: next + off, flags: RST }))
      expect(two.state).toBe('established')
      two.read(new Uint8Array(10))
      expect(transfer(stacks, one, two, pattern(3_000)).length).toBe(3_000)
    },
  )

  test('a RST of just the next number ends it', () => {
    const { stacks, two, frame } = scene()
    stacks.two.receive(forged(frame, { sequence: sequenceOf(frame) + 10, flags: RST }))
    expect(two.end).toBe('reset')
  })

  test('a SYN in its window is asked about, and changes nothing', () => {
    const { stacks, one, two, frame } = scene()
    let answers = 0
    stacks.wire.onSent = (_, from) => {
      if (from === 1) answers += 1
    }
    for (let n = 0; n < 1_000; n += 1) {
      stacks.two.receive(forged(frame, { sequence: sequenceOf(frame) + 20, flags: SYN }))
    }
    stacks.wire.onSent = null
    expect([two.state, answers <= 10]).toEqual(['established', true])
    two.read(new Uint8Array(10))
    expect(transfer(stacks, one, two, pattern(3_000)).length).toBe(3_000)
  })

  test('an acknowledgement of what was never sent is not taken for one', () => {
    const { stacks, one, two, frame } = scene()
    const acknowledgement = new DataView(frame.buffer).getUint32(TCP_AT + 8) + 1_000_000
    const sequence = sequenceOf(frame) + 10
    stacks.two.receive(forged(frame, { sequence, acknowledgement, flags: ACK }))
    two.read(new Uint8Array(10))
    expect(transfer(stacks, two, one, pattern(3_000)).length).toBe(3_000)
  })
})

describe('frames of any shape', () => {
  const changes = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { minLength: 1, maxLength: 6 })

  test('end nowhere but in a count, and the stack goes on', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 120 }), { maxLength: 30 }), (frames) => {
        const stacks = new TwoStacks()
        for (const frame of frames) stacks.two.receive(addressed(frame))
        expect(bounded(stacks.two)).toBe(true)
        stacks.connected()
      }),
      { numRuns: 200 },
    )
  })

  test('made of real ones, with checksums that are right, harm no connection of others', () => {
    fc.assert(
      fc.property(fc.array(changes, { minLength: 1, maxLength: 20 }), (all) => {
        const stacks = new TwoStacks()
        const sent: Uint8Array[] = []
        stacks.wire.onSent = (frame, from) => {
          if (from === 0) sent.push(frame.slice())
        }
        const [one, two] = stacks.connected(81)
        stacks.wire.onSent = null
        for (const [n, edits] of all.entries()) {
          const frame = sent[n % sent.length]!.slice()
          for (const [at, value] of edits) if (at < frame.length) frame[at] = value
          // Another host's: what it says of a connection that isn't its own.
          frame[29] = 9
          if (frame[12] === 8 && frame[13] === 0 && frame.length >= TCP_AT) fixChecksums(frame)
          stacks.two.receive(addressed(frame))
        }
        expect(bounded(stacks.two)).toBe(true)
        expect(transfer(stacks, one, two, pattern(2_000)).length).toBe(2_000)
      }),
      { numRuns: 100 },
    )
  })

  test('from ten thousand addresses leave no more than 256 of them behind', () => {
    const stacks = new TwoStacks()
    const frame = new Uint8Array(42)
    stacks.wire.onSent = (sent) => frame.set(sent.subarray(0, 42))
    stacks.one.configure(ONE, 24)
    stacks.wire.onSent = null
    const view = new DataView(frame.buffer)
    // ARP requests for our address: each sender is worth remembering.
    view.setUint32(38, 0x0a00_0002)
    for (let n = 0; n < 10_000; n += 1) {
      view.setUint32(28, 0x0a01_0000 + n)
      stacks.two.receive(frame)
      stacks.wire.deliver()
    }
    expect(stacks.two.inspect().neighbours).toBe(256)
  })
})

/** To station two. */
function addressed(frame: Uint8Array): Uint8Array {
  frame.set(Uint8Array.of(2, 0, 0, 0, 0, 2).subarray(0, frame.length))
  return frame
}

function bounded(stack: IpStack): boolean {
  const { neighbours, connections } = stack.inspect()
  return neighbours <= 256 && connections <= 130
}
