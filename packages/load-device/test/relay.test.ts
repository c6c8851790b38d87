// Streams from one partition to another, through the root.

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LoadBench, smallLoad } from '@guestyard/load-device/testing'
import { RelayReceiver, RelaySender } from '@guestyard/load-device/vsc'
import type { RelayReceiverOutcome, RelaySenderOutcome } from '@guestyard/load-device/vsc'
import { RelayHub } from '@guestyard/load-device/vsp'

interface PairOptions {
  readonly senderRingBytes?: number
  readonly receiverRingBytes?: number
  readonly payloadBytes?: number
}

/** Two partitions of one root; both streams of a test have id 7. */
class RelayPair {
  readonly hub = new RelayHub()
  readonly from: LoadBench
  readonly to: LoadBench
  readonly #payloadBytes: number | undefined
  sent: RelaySenderOutcome | undefined
  received: RelayReceiverOutcome | undefined
  sender: RelaySender | undefined
  receiver: RelayReceiver | undefined
  writable = 0
  readable = 0
  onWritable = (): void => {}
  onReadable = (): void => {}

  constructor(options: PairOptions = {}) {
    const { hub } = this
    this.from = new LoadBench({ hub, ringBytes: options.senderRingBytes ?? 65536 })
    this.to = new LoadBench({ hub, ringBytes: options.receiverRingBytes ?? 65536 })
    this.#payloadBytes = options.payloadBytes
  }

  startSender(): RelaySender {
    const sender = new RelaySender(this.from.channel, {
      streamId: 7,
      ...(this.#payloadBytes === undefined ? {} : { payloadBytes: this.#payloadBytes }),
      onWritable: () => {
        this.writable += 1
        this.onWritable()
      },
      onDone: (outcome) => {
        this.sent = outcome
      },
    })
    this.sender = sender
    this.from.channel.run(sender)
    return sender
  }

  startReceiver(): RelayReceiver {
    const receiver = new RelayReceiver(this.to.channel, {
      streamId: 7,
      onReadable: () => {
        this.readable += 1
        this.onReadable()
      },
      onDone: (outcome) => {
        this.received = outcome
      },
    })
    this.receiver = receiver
    this.to.channel.run(receiver)
    return receiver
  }

  /** Lets both partitions move until both rest. */
  pump(): void {
    let quiet = 0
    while (quiet < 3) {
      const moved = this.from.loopback.step() + this.to.loopback.step()
      this.from.loopback.pump()
      this.to.loopback.pump()
      quiet = moved === 0 ? quiet + 1 : 0
    }
  }

  /** Sends `data` in pieces of `pieceBytes` whenever there is room, and reads all that comes. */
  transfer(data: Uint8Array, pieceBytes: number, readBytes: number): Uint8Array {
    const chunks: Uint8Array[] = []
    const buffer = new Uint8Array(readBytes)
    let at = 0
    this.onReadable = () => {
      for (;;) {
        const count = this.receiver?.read(buffer, 0, readBytes) ?? 0
        if (count === 0) return
        chunks.push(buffer.slice(0, count))
      }
    }
    this.onWritable = () => {
      while (at < data.length) {
        const taken = this.sender?.write(data, at, Math.min(pieceBytes, data.length - at)) ?? 0
        if (taken === 0) return
        at += taken
      }
      this.sender?.end()
    }
    this.startReceiver()
    this.startSender()
    this.pump()
    return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
  }
}

function pattern(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => (index * 31 + (index >>> 8)) & 0xff)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

test('bytes arrive in the other partition as they were sent, and both ends are told the same counts', () => {
  const pair = new RelayPair()
  const data = pattern(300_001)
  const got = pair.transfer(data, 50_000, 10_000)
  expect(sha256(got)).toBe(sha256(data))
  expect(pair.sent).toMatchObject({ ok: true, bytes: data.length, sequenceErrors: 0 })
  expect(pair.received).toEqual(pair.sent)
  expect(pair.hub.inspect()).toEqual({ streams: [], joined: 1 })
})

test('any stream, piece, packet and ring sizes give the same bytes in the same order', () => {
  const cases = fc.record({
    bytes: fc.integer({ min: 0, max: 40_000 }),
    piece: fc.integer({ min: 1, max: 20_000 }),
    read: fc.integer({ min: 1, max: 20_000 }),
    payloadBytes: fc.integer({ min: 9, max: 3000 }),
    fromPages: fc.integer({ min: 1, max: 4 }),
    toPages: fc.integer({ min: 1, max: 4 }),
  })
  fc.assert(
    fc.property(cases, ({ bytes, piece, read, payloadBytes, fromPages, toPages }) => {
      const pair = new RelayPair({
        senderRingBytes: fromPages * 4096,
        receiverRingBytes: toPages * 4096,
        payloadBytes,
      })
      const data = pattern(Math.min(bytes, payloadBytes * 200))
      const got = pair.transfer(data, piece, read)
      expect(sha256(got)).toBe(sha256(data))
      expect(pair.received).toMatchObject({ ok: true, bytes: data.length, sequenceErrors: 0 })
    }),
    { numRuns: 25 },
  )
})

test('a receiver that does not read holds up the sender, and nothing is lost when it reads', () => {
  const pair = new RelayPair({ senderRingBytes: 8192, receiverRingBytes: 8192, payloadBytes: 1024 })
  const receiver = pair.startReceiver()
  const sender = pair.startSender()
  pair.pump()
  const data = pattern(1_000_000)
  let at = 0
  for (let taken = 1; taken > 0; at += taken) {
    taken = sender.write(data, at, data.length - at)
    pair.pump()
  }
  // Both rings and the packets that the ends hold: far less than the stream.
  expect(at).toBeGreaterThan(8192)
  expect(at).toBeLessThan(100_000)
  pair.onWritable = () => {
    at += sender.write(data, at, data.length - at)
    if (at === data.length) sender.end()
  }
  const got = new Uint8Array(data.length)
  let read = 0
  while (pair.received === undefined) {
    const count = receiver.read(got, read, 5000)
    read += count
    pair.pump()
  }
  expect(read).toBe(data.length)
  expect(sha256(got)).toBe(sha256(data))
})

test('the sender may come first: its packets wait for the receiver', () => {
  const pair = new RelayPair()
  const sender = pair.startSender()
  pair.pump()
  expect(sender.write(pattern(100), 0, 100)).toBe(100)
  sender.end()
  pair.pump()
  expect(pair.sent).toBeUndefined()
  const receiver = pair.startReceiver()
  pair.pump()
  const got = new Uint8Array(200)
  expect(receiver.read(got, 0, 200)).toBe(100)
  pair.pump()
  expect(pair.sent).toEqual({ ok: true, packets: 1, bytes: 100, sequenceErrors: 0 })
  expect(pair.received).toEqual(pair.sent)
})

test('an empty stream ends at both ends', () => {
  const pair = new RelayPair()
  pair.startReceiver()
  pair.startSender().end()
  pair.pump()
  expect(pair.sent).toEqual({ ok: true, packets: 0, bytes: 0, sequenceErrors: 0 })
  expect(pair.received).toEqual(pair.sent)
})

test('a sender that dies ends the receiver with a reason, after what was sent', () => {
  const pair = new RelayPair()
  pair.startReceiver()
  const sender = pair.startSender()
  pair.pump()
  sender.write(pattern(5000), 0, 5000)
  pair.pump()
  pair.from.loopback.client.close(pair.from.channel)
  pair.pump()
  expect(pair.received).toBeUndefined()
  const got = new Uint8Array(8000)
  expect(pair.receiver?.read(got, 0, 8000)).toBe(5000)
  pair.pump()
  expect(pair.received).toEqual({
    ok: false,
    reason: 'the host ended it: the other end of the stream is gone',
  })
  expect(pair.sent).toEqual({ ok: false, reason: 'the channel closed before the end' })
  expect(pair.hub.inspect().streams).toEqual([])
})

test('a receiver that dies ends a sender that is blocked, with a reason', () => {
  const pair = new RelayPair({ senderRingBytes: 8192, receiverRingBytes: 8192, payloadBytes: 1024 })
  pair.startReceiver()
  const sender = pair.startSender()
  pair.pump()
  const data = pattern(50_000)
  let at = 0
  for (let taken = 1; taken > 0; at += taken) {
    taken = sender.write(data, at, data.length - at)
    pair.pump()
  }
  pair.to.loopback.client.close(pair.to.channel)
  pair.pump()
  expect(pair.sent).toEqual({
    ok: false,
    reason: 'the host ended it: the other end of the stream is gone',
  })
})

test('an end of a stream that is taken is refused, and the stream goes on', () => {
  const pair = new RelayPair()
  const third = new LoadBench({ hub: pair.hub })
  pair.startReceiver()
  pair.startSender()
  pair.pump()
  const reasons: string[] = []
  const late = new RelaySender(third.channel, {
    streamId: 7,
    onWritable: () => {},
    onDone: (outcome) => reasons.push(outcome.ok ? 'ok' : outcome.reason),
  })
  third.run(late)
  expect(reasons).toEqual(['the host refused: this end of the stream is taken'])
  pair.sender?.end()
  pair.pump()
  expect(pair.received?.ok).toBe(true)
})

test('a channel that relayed may run a load afterwards, and relay again', () => {
  const pair = new RelayPair()
  for (let round = 0; round < 3; round += 1) {
    pair.sent = undefined
    expect(pair.transfer(pattern(1000), 1000, 1000).length).toBe(1000)
    expect(pair.sent).toMatchObject({ ok: true })
    expect(pair.from.runLoad(smallLoad())?.ok).toBe(true)
    expect(pair.to.runLoad(smallLoad({ direction: 'root-to-guest' }))?.ok).toBe(true)
  }
})
