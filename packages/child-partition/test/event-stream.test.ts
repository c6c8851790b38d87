import { expect, test } from 'vitest'

import { EventStream } from '../src/api/event-stream.ts'

test('a reader gets events in order, those from before it began included, and then the end', async () => {
  const stream = new EventStream<number>()
  stream.push(1)
  stream.push(2)
  const read: number[] = []
  const reading = (async () => {
    for await (const event of stream) {
      read.push(event)
      if (event === 2) {
        stream.push(3)
        stream.end()
      }
    }
  })()
  await reading
  expect(read).toEqual([1, 2, 3])
})

test('a reader that waits is woken by the next event', async () => {
  const stream = new EventStream<string>()
  const iterator = stream[Symbol.asyncIterator]()
  const next = iterator.next()
  stream.push('key')
  expect(await next).toEqual({ done: false, value: 'key' })
})

test('events that nobody reads are bounded: the surplus is dropped and counted', () => {
  const stream = new EventStream<number>()
  for (let i = 0; i < 2_000; i += 1) stream.push(i)
  expect(stream.dropped).toBe(2_000 - 1_024)
})

test('after the end nothing is taken', async () => {
  const stream = new EventStream<number>()
  stream.end()
  stream.push(1)
  expect(await stream[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined })
})
