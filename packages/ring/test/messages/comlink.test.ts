import * as Comlink from 'comlink'
import { afterEach, expect, test } from 'vitest'
import { comlinkEndpoint } from '../../src/comlink-endpoint.ts'
import { type ChannelError, channelPair, openMessages } from '../../src/messages/index.ts'

class Calculator {
  total = 0
  add(n: number): number {
    this.total += n
    return this.total
  }
  async later(n: number): Promise<Map<string, number>> {
    await Promise.resolve()
    return new Map([['later', n]])
  }
  fail(): never {
    throw new RangeError('on purpose')
  }
  sizeOf(bytes: ArrayBuffer): number {
    return bytes.byteLength
  }
  each(values: number[], callback: (n: number) => void): void {
    for (const value of values) callback(value)
  }
  makeFunction(): () => number {
    return () => 1
  }
}

type RemoteCalculator = Comlink.Remote<Calculator>

const open: { close(): unknown }[] = []

function ends(sidePorts = false) {
  const [pa, pb] = channelPair({ bytes: '16 KiB' })
  const [a, b] = [openMessages(pa), openMessages(pb)]
  const side = sidePorts ? new MessageChannel() : undefined
  open.push(a, b)
  if (side !== undefined) open.push(side.port1, side.port2)
  return {
    a,
    b,
    ea: comlinkEndpoint(a, { sidePort: side?.port1 }),
    eb: comlinkEndpoint(b, { sidePort: side?.port2 }),
  }
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((end) => end.close()))
})

test('methods, properties and errors cross the ring', async () => {
  const { ea, eb } = ends()
  Comlink.expose(new Calculator(), eb)
  const remote: RemoteCalculator = Comlink.wrap<Calculator>(ea)
  expect(await remote.add(2)).toBe(2)
  expect(await remote.add(3)).toBe(5)
  expect(await remote.total).toBe(5)
  expect(await remote.later(7)).toEqual(new Map([['later', 7]]))
  await expect(remote.fail()).rejects.toThrow('on purpose')
})

test('both ends expose and call over one channel', async () => {
  const { ea, eb } = ends()
  Comlink.expose({ name: (): string => 'a' }, ea)
  Comlink.expose({ name: (): string => 'b' }, eb)
  const fromA = Comlink.wrap<{ name(): string }>(ea)
  const fromB = Comlink.wrap<{ name(): string }>(eb)
  expect(await Promise.all([fromA.name(), fromB.name()])).toEqual(['b', 'a'])
})

test('a thousand calls at once through a small ring are all answered, each with its own result', async () => {
  const { ea, eb } = ends()
  Comlink.expose({ double: (n: number): number => n * 2 }, eb)
  const remote = Comlink.wrap<{ double(n: number): number }>(ea)
  const results = await Promise.all(Array.from({ length: 1000 }, (_, i) => remote.double(i)))
  expect(results).toEqual(Array.from({ length: 1000 }, (_, i) => i * 2))
})

test('a transferred ArrayBuffer arrives and is detached here', async () => {
  const { ea, eb } = ends()
  Comlink.expose(new Calculator(), eb)
  const remote = Comlink.wrap<Calculator>(ea)
  const buffer = new ArrayBuffer(1000)
  expect(await remote.sizeOf(Comlink.transfer(buffer, [buffer]))).toBe(1000)
  expect(buffer.byteLength).toBe(0)
})

test('a proxy without a side port is refused with a sentence, and later calls work', async () => {
  const { ea, eb } = ends()
  Comlink.expose(new Calculator(), eb)
  const remote = Comlink.wrap<Calculator>(ea)
  await expect(
    remote.each(
      [1],
      Comlink.proxy(() => {}),
    ),
  ).rejects.toThrow(/give both ends of comlinkEndpoint a sidePort/)
  await expect(remote.makeFunction()).rejects.toThrow('Unserializable return value')
  expect(await remote.add(1)).toBe(1)
})

test('a proxy goes through the side port and keeps its place among the calls', async () => {
  const { ea, eb } = ends(true)
  const order: string[] = []
  const service = {
    each: (values: number[], callback: (n: number) => void): void => {
      order.push('each')
      for (const value of values) callback(value)
    },
    mark: (text: string): void => {
      order.push(text)
    },
  }
  Comlink.expose(service, eb)
  const remote = Comlink.wrap<typeof service>(ea)
  const seen: number[] = []
  const calls = [
    remote.mark('before'),
    remote.each(
      [1, 2],
      Comlink.proxy((n: number) => seen.push(n)),
    ),
    remote.mark('after'),
  ]
  await Promise.all(calls)
  expect(order).toEqual(['before', 'each', 'after'])
  await expect.poll(() => seen).toEqual([1, 2])
})

test('calls under way reject when the channel ends, however it ends', async () => {
  for (const how of ['peer closes', 'closed here', 'peer fails'] as const) {
    const { a, b, ea, eb } = ends()
    Comlink.expose({ never: (): Promise<void> => new Promise(() => {}) }, eb)
    const remote = Comlink.wrap<{ never(): Promise<void> }>(ea)
    const calls = [remote.never(), remote.never()]
    if (how === 'peer closes') await b.close()
    else if (how === 'closed here') await a.close()
    else b.fail('gone')
    for (const call of calls) await expect(call).rejects.toThrow(/channel|gone/)
    const late = remote.never()
    await expect(late).rejects.toSatisfy((error: ChannelError) => error.name === 'ChannelError')
  }
})

test('an answer that comes after the channel ended is dropped in silence', async () => {
  const { b, ea, eb } = ends()
  const answer = Promise.withResolvers<number>()
  const called = Promise.withResolvers<void>()
  const service = {
    slow: (): Promise<number> => {
      called.resolve()
      return answer.promise
    },
  }
  Comlink.expose(service, eb)
  const call = Comlink.wrap<typeof service>(ea).slow()
  await called.promise
  await b.close()
  answer.resolve(1)
  await expect(call).rejects.toThrow(/channel/)
})

test('a peer that floods the side port with numbers that never come through the ring ends the channel', async () => {
  const [pa, pb] = channelPair({ bytes: '16 KiB' })
  const [a, b] = [openMessages(pa), openMessages(pb)]
  const { port1, port2 } = new MessageChannel()
  open.push(a, b, port1, port2)
  const remote = Comlink.wrap<{ never(): Promise<void> }>(comlinkEndpoint(a, { sidePort: port1 }))
  const call = remote.never()
  for (let i = 0; i <= 4096; i++) port2.postMessage({ sideNumber: 1000 + i, message: null })
  await expect(call).rejects.toThrow('side messages without their place in the ring')
})
