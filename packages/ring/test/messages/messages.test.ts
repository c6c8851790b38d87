import fc from 'fast-check'
import { Packr, pack, unpack } from 'msgpackr'
import { expect, test } from 'vitest'
import {
  type ByteChannel,
  type TypedChannel,
  channelPair,
  openBytes,
  openMessages,
} from '../../src/messages/index.ts'

function bytesPair(bytes: number, maxMessageBytes?: number): [ByteChannel, ByteChannel] {
  const [a, b] = channelPair(maxMessageBytes === undefined ? { bytes } : { bytes, maxMessageBytes })
  return [openBytes(a), openBytes(b)]
}

function objectsPair(
  bytes: number,
): [TypedChannel<unknown, unknown>, TypedChannel<unknown, unknown>] {
  const [a, b] = channelPair({ bytes })
  return [openMessages(a), openMessages(b)]
}

function patterned(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (seed * 31 + i * 7) & 0xff
  return bytes
}

async function collect<T>(channel: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const message of channel) all.push(message)
  return all
}

test('messages of any size arrive whole and in order, through a ring smaller than most of them', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 40 }),
      fc.constantFrom(4096, 8192, 65536),
      async (lengths, ringBytes) => {
        const [a, b] = bytesPair(ringBytes)
        const received = collect(b)
        for (const [i, length] of lengths.entries()) await a.send(patterned(length, i))
        await a.close()
        const got = await received
        expect(got.map((message) => message.length)).toEqual(lengths)
        for (const [i, message] of got.entries()) {
          expect(Buffer.compare(message, patterned(message.length, i))).toBe(0)
        }
        await b.close()
      },
    ),
    { numRuns: 60 },
  )
})

/** msgpackr renames the one key that could change an object's prototype. */
const anyValue = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('__proto__'))

test('any JSON-like value arrives equal, in both directions at once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyValue, { maxLength: 30 }), async (values) => {
      const [a, b] = objectsPair(4096)
      const received = [collect(a), collect(b)]
      for (const value of values) {
        const here = a.send({ value })
        await b.send({ value })
        await here
      }
      await Promise.all([a.end(), b.end()])
      const expected = JSON.stringify(values.map((value) => ({ value })))
      for (const got of await Promise.all(received)) expect(JSON.stringify(got)).toBe(expected)
    }),
    { numRuns: 60 },
  )
})

test('the types structured clone knows arrive as themselves', async () => {
  const [a, b] = objectsPair(65536)
  const message = {
    date: new Date(1234567890123),
    map: new Map<unknown, unknown>([
      ['k', 1],
      [2, { deep: true }],
    ]),
    set: new Set([1, 'two']),
    bytes: new Uint8Array([1, 2, 3]),
    floats: new Float64Array([0.1, -0, Infinity]),
    buffer: new Uint8Array([9, 8]).buffer,
    big: 2n ** 70n,
    nothing: null,
    missing: undefined,
    text: 'ÅŒ☃𝄞'.repeat(40),
    regex: /a+b/giu,
    error: new RangeError('too far'),
  }
  await a.send(message)
  expect(await b.receive()).toEqual(message)
})

test('shared and cyclic references survive when both ends keep references', async () => {
  const [pa, pb] = channelPair()
  const a = openMessages<Record<string, unknown>>(pa, { references: true })
  const b = openMessages<Record<string, unknown>>(pb, { references: true })
  const shared = { n: 1 }
  const message: Record<string, unknown> = { first: shared, second: shared }
  message['self'] = message
  await a.send(message)
  const got = await b.receive()
  expect(got?.['self']).toBe(got)
  expect(got?.['first']).toBe(got?.['second'])
})

test('a value that cannot be encoded is refused alone, and shapes stay in step afterwards', async () => {
  const [a, b] = objectsPair(65536)
  const cyclic: Record<string, unknown> = { newShape: 1 }
  cyclic['self'] = cyclic
  await a.send({ x: 1 })
  await expect(a.send({ fresh: 1, f: () => 1 })).rejects.toMatchObject({ code: 'not-encodable' })
  await expect(a.send({ another: Symbol('s') })).rejects.toMatchObject({ code: 'not-encodable' })
  await expect(a.send(cyclic)).rejects.toMatchObject({ code: 'not-encodable' })
  await expect(a.send(undefined)).rejects.toMatchObject({ code: 'not-encodable' })
  await a.send({ x: 2 })
  await a.send({ another: 3, fresh: 4 })
  await a.close()
  expect(await collect(b)).toEqual([{ x: 1 }, { x: 2 }, { another: 3, fresh: 4 }])
})

test('more shapes than an end keeps still arrive as they were', async () => {
  const [a, b] = objectsPair(65536)
  const received = collect(b)
  const messages = Array.from({ length: 400 }, (_, i) => ({
    [`key${i % 150}`]: i,
    [`also${i % 7}`]: 'x',
  }))
  for (const message of messages) await a.send(message)
  await a.close()
  expect(await received).toEqual(messages)
})

test('sending leaves the msgpackr of the application alone', async () => {
  const [a, b] = objectsPair(65536)
  const packr = new Packr({ structures: [] })
  const before = [pack({ first: 1 }), packr.pack({ shape: 'a' })]
  for (let i = 0; i < 40; i++) {
    await a.send({ i, filler: 'z'.repeat(i * 50) })
    before.push(pack({ i }))
  }
  expect(unpack(before[0]!)).toEqual({ first: 1 })
  expect(packr.unpack(before[1]!)).toEqual({ shape: 'a' })
  for (let i = 0; i < 40; i++) {
    expect(unpack(before[i + 2]!)).toEqual({ i })
    expect(await b.receive()).toEqual({ i, filler: 'z'.repeat(i * 50) })
  }
})

test('a message under way is sent even from inside the encoding of another library user', async () => {
  const [a, b] = objectsPair(65536)
  class Nested {
    toJSON(): unknown {
      a.trySend({ from: 'inside' })
      return 'packed'
    }
  }
  const nested = new Nested()
  expect(unpack(pack({ before: 'x', nested, after: 'y' }))).toEqual({
    before: 'x',
    nested: 'packed',
    after: 'y',
  })
  expect(await b.receive()).toEqual({ from: 'inside' })
})

test('a message of exactly the limit passes; a byte more is refused here and harms nothing', async () => {
  const [a, b] = bytesPair(4096, 10_000)
  const received = b.receive()
  await a.send(patterned(10_000, 1))
  expect((await received)?.length).toBe(10_000)
  await expect(a.send(patterned(10_001, 1))).rejects.toMatchObject({ code: 'message-too-big' })
  await a.send(patterned(5, 2))
  expect((await b.receive())?.length).toBe(5)
})

test('trySend says no when the ring is full, and send resolves once the peer has read', async () => {
  const [a, b] = bytesPair(4096)
  let accepted = 0
  while (a.trySend(patterned(500, accepted))) accepted++
  expect(accepted).toBeGreaterThan(5)
  expect(accepted).toBeLessThan(12)
  let sent = false
  const sending = a.send(patterned(500, accepted)).then(() => (sent = true))
  await new Promise((resolve) => setImmediate(resolve))
  expect(sent).toBe(false)
  expect(a.inspect().waiting).toBe(1)
  for (let i = 0; i <= accepted; i++) {
    expect(Buffer.compare((await b.receive())!, patterned(500, i))).toBe(0)
  }
  await sending
  expect(a.inspect().waiting).toBe(0)
})

test('hundreds of sends nobody awaits keep their order behind a full ring', async () => {
  const [a, b] = objectsPair(4096)
  const sends = Array.from({ length: 2000 }, (_, i) => a.send({ i, filler: 'abcdefgh' }))
  const closing = a.close()
  const got = (await collect(b)) as { i: number }[]
  await Promise.all([...sends, closing])
  expect(got.map(({ i }) => i)).toEqual(sends.map((_, i) => i))
})

test('batches go out and come in whole', async () => {
  const [a, b] = objectsPair(65536)
  await a.sendBatch([{ n: 1 }, { n: 2 }, { n: 3 }])
  expect(await b.receiveBatch(2)).toEqual([{ n: 1 }, { n: 2 }])
  expect(await b.receiveBatch(10)).toEqual([{ n: 3 }])
  await a.end()
  expect(await b.receiveBatch(10)).toEqual([])
})

test('an aborted receive loses no message', async () => {
  const [a, b] = objectsPair(4096)
  const abort = new AbortController()
  const receiving = b.receive({ signal: abort.signal })
  abort.abort(new Error('enough'))
  await expect(receiving).rejects.toThrow('enough')
  await expect(b.receive({ signal: abort.signal })).rejects.toThrow('enough')
  await a.send({ n: 1 })
  expect(await b.receive()).toEqual({ n: 1 })
})

test('an aborted send that waited its turn is never sent', async () => {
  const [a, b] = bytesPair(4096)
  while (a.trySend(patterned(900, 0)));
  const abort = new AbortController()
  const second = a.send(patterned(7, 0), { signal: abort.signal })
  abort.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  const closing = a.close()
  expect((await collect(b)).every((message) => message.length === 900)).toBe(true)
  await closing
})

test('an aborted loop over messages throws the reason and leaves the channel usable', async () => {
  const [a, b] = objectsPair(4096)
  const abort = new AbortController()
  const loop = (async () => {
    for await (const message of b.messages({ signal: abort.signal })) {
      if (message === 1) abort.abort(new Error('seen'))
    }
  })()
  await a.send(1)
  await expect(loop).rejects.toThrow('seen')
  await a.send(2)
  expect(await b.receive()).toBe(2)
})

test('an aborted close gives up what is not in the ring, and the peer hears why after the rest', async () => {
  const [a, b] = bytesPair(4096)
  while (a.trySend(patterned(900, 0)));
  const unsent = a.send(patterned(900, 1))
  const abort = new AbortController()
  const closing = a.close({ signal: abort.signal })
  abort.abort(new Error('no patience'))
  await expect(closing).rejects.toThrow('no patience')
  await expect(unsent).rejects.toMatchObject({ code: 'failed' })
  await expect(collect(b)).rejects.toMatchObject({ code: 'peer-failed' })
  expect(b.inspect().messagesReceived).toBeGreaterThan(0)
})

test('leaving a loop early leaves the channel open', async () => {
  const [a, b] = objectsPair(4096)
  await a.sendBatch([1, 2, 3])
  for await (const message of b) if (message === 2) break
  expect(await b.receive()).toBe(3)
})

test('close drains: the peer receives all that was sent, then the end, for ever', async () => {
  const [a, b] = objectsPair(4096)
  const sends = Array.from({ length: 300 }, (_, i) => a.send({ i }))
  const closed = a.close()
  expect(await collect(b)).toHaveLength(300)
  await Promise.all([...sends, closed])
  expect(b.ended).toBe(true)
  expect(await b.receive()).toBeUndefined()
  await expect(a.send(1)).rejects.toMatchObject({ code: 'closed' })
  await expect(b.send(1)).rejects.toMatchObject({ code: 'peer-closed' })
})

test('end closes one direction only', async () => {
  const [a, b] = objectsPair(4096)
  await a.send('question')
  await a.end()
  expect(await collect(b)).toEqual(['question'])
  await b.send('answer')
  await b.close()
  expect(await collect(a)).toEqual(['answer'])
})

test('both ends may close at once with full rings', async () => {
  const [a, b] = bytesPair(4096)
  while (a.trySend(patterned(900, 0)));
  while (b.trySend(patterned(900, 0)));
  await Promise.all([a.close(), b.close()])
  expect(a.inspect().state).toBe('closed')
  expect(b.inspect().state).toBe('closed')
})

test('nothing is left waiting after the end that waited, or its peer, is closed', async () => {
  for (const closeWhich of [0, 1]) {
    const ends = bytesPair(4096)
    const [a, b] = ends
    while (a.trySend(patterned(900, 0)));
    const waiting = [
      a.send(patterned(900, 1)),
      a.send(patterned(900, 2)),
      a.receive(),
      a.receive(),
      a.end(),
    ]
    const settled = Promise.allSettled(waiting)
    if (closeWhich === 0) {
      const closing = a.close()
      await collect(b)
      await closing
    } else await b.close()
    const results = await settled
    expect(results).toHaveLength(5)
    expect(a.inspect().waiting).toBe(0)
    if (closeWhich === 1) {
      expect(results[0]).toMatchObject({ status: 'rejected', reason: { code: 'peer-closed' } })
      expect(results[2]).toMatchObject({ status: 'fulfilled', value: undefined })
    }
  }
})

test('await using closes the channel', async () => {
  const [pa, pb] = channelPair({ bytes: '4 KiB' })
  const b = openMessages(pb)
  {
    await using a = openMessages(pa)
    await a.send('inside')
  }
  expect(await collect(b)).toEqual(['inside'])
})

test('fail rejects what waits here and reaches the peer behind what was sent', async () => {
  const [a, b] = objectsPair(4096)
  await a.send('last words')
  const receiving = a.receive()
  a.fail('disk on fire')
  await expect(receiving).rejects.toMatchObject({ code: 'failed', message: /disk on fire/ })
  expect(await b.receive()).toBe('last words')
  await expect(b.receive()).rejects.toMatchObject({ code: 'peer-failed', message: /disk on fire/ })
  await expect(b.send(1)).rejects.toMatchObject({ code: 'peer-failed' })
})

test('a lost peer is an error behind what it had sent', async () => {
  const [a, b] = objectsPair(4096)
  await a.sendBatch([1, 2])
  const receiving = [b.receive(), b.receive(), b.receive()]
  b.peerLost('worker exited with code 1')
  expect(await receiving[0]).toBe(1)
  expect(await receiving[1]).toBe(2)
  await expect(receiving[2]).rejects.toMatchObject({ message: /worker exited with code 1/ })
})

test('a stream that is never empty leaves timers their turn', async () => {
  const [a, b] = objectsPair(65536)
  let ticks = 0
  const interval = setInterval(() => ticks++, 0)
  const producing = (async () => {
    for (let i = 0; i < 30_000; i++) await a.send(i)
    await a.close()
  })()
  let count = 0
  for await (const _ of b) count++
  clearInterval(interval)
  await producing
  expect(count).toBe(30_000)
  expect(ticks).toBeGreaterThan(3)
})
