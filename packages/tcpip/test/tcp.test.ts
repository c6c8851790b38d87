// TCP between two stacks: what is written arrives, in order, once, whatever the wire does; and connections end as both ends say.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TcpConnection } from '@guestyard/tcpip'
import { ONE, TWO, TwoStacks, pattern, transfer } from './two-stacks.ts'

const SIZE = 300_000

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

describe('bytes that are written', () => {
  test('arrive, and both ends close in order', () => {
    const stacks = new TwoStacks()
    const [one, two] = stacks.connected()
    expect(sameBytes(transfer(stacks, one, two, pattern(SIZE)), pattern(SIZE))).toBe(true)
    expect(stacks.run(() => one.state === 'fin-wait-2')).toBe(true)
    expect(two.state).toBe('close-wait')
    const reply = pattern(1_000, 7)
    expect(sameBytes(transfer(stacks, two, one, reply), reply)).toBe(true)
    expect(stacks.run(() => two.state === 'closed')).toBe(true)
    expect([one.state, two.end]).toEqual(['time-wait', 'finished'])
    expect(stacks.run(() => one.state === 'closed')).toBe(true)
    expect(one.end).toBe('finished')
    expect([stacks.one.inspect().connections, stacks.two.inspect().connections]).toEqual([0, 0])
  })

  test('arrive byte for byte over a wire that loses, doubles and reorders', () => {
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.nat(),
          lost: fc.nat(150),
          doubled: fc.nat(100),
          late: fc.nat(300),
          bite: fc.integer({ min: 1_000, max: 70_000 }),
          bytes: fc.integer({ min: 0, max: 120_000 }),
          receiveBytes: fc.constantFrom(4_096, 20_000, 65_536, 262_144),
        }),
        ({ bite, bytes, receiveBytes, ...wire }) => {
          const stacks = new TwoStacks({ ...wire, delayMs: 5, tcp: { receiveBytes } })
          const [one, two] = stacks.connected()
          const arrived = transfer(stacks, one, two, pattern(bytes), bite)
          expect(sameBytes(arrived, pattern(bytes))).toBe(true)
          two.finish()
          expect(stacks.run(() => two.end !== null)).toBe(true)
          expect(two.end).toBe('finished')
        },
      ),
      { numRuns: 40 },
    )
  })

  test('pass over a link that is full most of the time', () => {
    const stacks = new TwoStacks({ room: 2 })
    const [one, two] = stacks.connected()
    expect(sameBytes(transfer(stacks, one, two, pattern(SIZE)), pattern(SIZE))).toBe(true)
  })

  test('pass both ways over such a link, and acknowledgements are not lost on it', () => {
    const stacks = new TwoStacks({ room: 1, delayMs: 1 })
    const [one, two] = stacks.connected()
    const into = new Uint8Array(65_536)
    let [sent, back] = [0, 0]
    const bytes = pattern(50_000)
    const isOver = (): boolean => {
      sent += one.write(bytes.subarray(sent))
      two.write(into.subarray(0, two.read(into)))
      back += one.read(into)
      return back === bytes.length
    }
    // Each frame waits for the one before: some 80 of them each way, and no timeout of 200 ms among them.
    const began = stacks.wire.nowMs
    expect(stacks.run(isOver)).toBe(true)
    expect(stacks.wire.nowMs - began).toBeLessThan(200)
  })

  test('wait for a reader that takes its time, and are let through when it reads', () => {
    const stacks = new TwoStacks({ tcp: { receiveBytes: 8_192, sendBytes: 8_192 } })
    const [one, two] = stacks.connected()
    const bytes = pattern(20_000)
    let written = 0
    const isFull = (): boolean => {
      written += one.write(bytes.subarray(written))
      return two.readableBytes === 8_192 && written === 16_384
    }
    expect(stacks.run(isFull)).toBe(true)
    expect(one.writableBytes).toBe(0)
    // The window is shut for an hour; the sender asks again and again, and does not give up.
    expect(stacks.run(() => false, 3_600_000)).toBe(false)
    expect(one.state).toBe('established')
    const read: number[] = []
    const into = new Uint8Array(1_000)
    const isRead = (): boolean => {
      written += one.write(bytes.subarray(written))
      read.push(...into.subarray(0, two.read(into)))
      return read.length === bytes.length
    }
    expect(stacks.run(isRead)).toBe(true)
    expect(sameBytes(Uint8Array.from(read), bytes)).toBe(true)
  })

  test('fill the pipe: a megabyte over a wire of 20 ms takes no more than a second', () => {
    const stacks = new TwoStacks({ delayMs: 20 })
    const [one, two] = stacks.connected()
    const began = stacks.wire.nowMs
    transfer(stacks, one, two, pattern(1_000_000))
    expect(stacks.wire.nowMs - began).toBeLessThan(1_000)
  })

  test('a loss costs a round trip, not a timeout', () => {
    const stacks = new TwoStacks({ delayMs: 10, tcp: { sendBytes: 1_000_000 } })
    const [one, two] = stacks.connected()
    let seen = 0
    const { ends } = stacks.wire
    const deliver = ends[1].onFrame!
    ends[1].onFrame = (frame) => {
      if (frame.length > 1_000) seen += 1
      if (frame.length > 1_000 && seen === 20) return
      deliver(frame)
    }
    const began = stacks.wire.nowMs
    transfer(stacks, one, two, pattern(200_000))
    expect(stacks.wire.nowMs - began).toBeLessThan(200)
  })
})

describe('a connection', () => {
  test('to a port that nobody listens on is refused', () => {
    const stacks = new TwoStacks()
    const connection = stacks.one.connectTcp(TWO, 9)!
    expect(stacks.run(() => connection.end !== null)).toBe(true)
    expect(connection.end).toBe('refused')
    expect(stacks.two.inspect().drops).toEqual({ NO_SOCKET: 1 })
  })

  test('to nobody times out', () => {
    const stacks = new TwoStacks()
    const connection = stacks.one.connectTcp(TWO + 5, 80)!
    expect(stacks.run(() => connection.end !== null)).toBe(true)
    expect(connection.end).toBe('timeout')
  })

  test('whose wire is cut times out within half an hour', () => {
    const stacks = new TwoStacks()
    const [one] = stacks.connected()
    stacks.wire.ends[1].onFrame = null
    one.write(pattern(10))
    expect(stacks.run(() => one.end !== null, 1_800_000)).toBe(true)
    expect(one.end).toBe('timeout')
  })

  test('that is aborted is reset at the other end, which can still read what came', () => {
    const stacks = new TwoStacks()
    const [one, two] = stacks.connected()
    one.write(pattern(10))
    stacks.run(() => two.readableBytes === 10)
    one.abort()
    expect(stacks.run(() => two.end !== null)).toBe(true)
    expect([one.end, two.end, two.read(new Uint8Array(20))]).toEqual(['aborted', 'reset', 10])
  })

  test('closed by both at once closes at both', () => {
    const stacks = new TwoStacks()
    const [one, two] = stacks.connected()
    one.finish()
    two.finish()
    expect(stacks.run(() => one.end !== null && two.end !== null)).toBe(true)
    expect([one.end, two.end]).toEqual(['finished', 'finished'])
  })

  test('whose owner is gone resets a peer that goes on sending', () => {
    const stacks = new TwoStacks()
    const [one, two] = stacks.connected()
    one.close()
    expect(stacks.run(() => one.state === 'fin-wait-2')).toBe(true)
    two.write(pattern(10))
    expect(stacks.run(() => two.end !== null)).toBe(true)
    expect([one.end, two.end]).toEqual(['aborted', 'reset'])
  })

  test('that is opened from both ends at once is one connection', () => {
    // Both draw the same port.
    const stacks = new TwoStacks({ random: () => 7 })
    const port = 49_152 + 7
    const one = stacks.one.connectTcp(TWO, port)!
    const two = stacks.two.connectTcp(ONE, port)!
    expect([one.localPort, two.localPort]).toEqual([port, port])
    const isOpen = (): boolean => one.state === 'established' && two.state === 'established'
    expect(stacks.run(isOpen)).toBe(true)
    expect(sameBytes(transfer(stacks, one, two, pattern(5_000)), pattern(5_000))).toBe(true)
  })

  test('of the same ports is opened anew while the last one’s time-wait lasts', () => {
    const stacks = new TwoStacks({ random: () => 7 })
    const [one, two] = stacks.connected()
    two.finish()
    stacks.run(() => one.state === 'close-wait')
    one.finish()
    expect(stacks.run(() => one.end !== null && two.state === 'time-wait')).toBe(true)
    const again = stacks.one.connectTcp(TWO, 80)!
    expect(again.localPort).toBe(one.localPort)
    expect(stacks.run(() => again.state === 'established')).toBe(true)
    expect([two.state, stacks.two.inspect().connections]).toEqual(['closed', 1])
  })
})

test('a flood of half-open connections keeps nobody out, and no more than 128', () => {
  const stacks = new TwoStacks()
  const accepted: TcpConnection[] = []
  stacks.two.listenTcp(80, { onConnection: (connection) => void accepted.push(connection) })
  const { wire, one, two } = stacks
  const toTwo = wire.ends[1].onFrame!
  // Handshakes that are never finished: what the flooding end is sent goes nowhere.
  const toOne = wire.ends[0].onFrame
  const syns = Array.from({ length: 400 }, () => one.connectTcp(TWO, 80)!)
  stacks.run(() => two.inspect().connections > 0)
  wire.ends[0].onFrame = null
  stacks.run(() => false, 500)
  expect(two.inspect().connections).toBeLessThanOrEqual(128)
  for (const connection of syns) connection.abort()
  wire.ends[0].onFrame = toOne
  wire.ends[1].onFrame = toTwo
  const late = one.connectTcp(TWO, 80)!
  expect(stacks.run(() => late.state === 'established')).toBe(true)
})
