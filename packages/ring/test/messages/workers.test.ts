import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { afterEach, expect, test } from 'vitest'
import {
  type ByteChannel,
  type ChannelPort,
  type TypedChannel,
  channelPair,
  openBytes,
  openMessages,
} from '../../src/messages/index.ts'
import { failWhenWorkerEnds } from '../../src/node/index.ts'

const workers: Worker[] = []

function startPeer(behaviour: string, port: ChannelPort, count = 0): Worker {
  const worker = new Worker(new URL('./peer-worker.ts', import.meta.url), {
    workerData: { behaviour, port, count },
  })
  workers.push(worker)
  return worker
}

function objectsWith(
  behaviour: string,
  count = 0,
  bytes = '64 KiB',
): [TypedChannel<unknown, unknown>, Worker] {
  const [a, b] = channelPair({ bytes })
  return [openMessages(a), startPeer(behaviour, b, count)]
}

function bytesWith(behaviour: string, bytes: string): [ByteChannel, Worker] {
  const [a, b] = channelPair({ bytes })
  return [openBytes(a), startPeer(behaviour, b)]
}

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()))
})

test.each(['echo-blocking', 'echo-async'])(
  '%s: what goes to a worker comes back in order',
  async (behaviour) => {
    const [channel] = objectsWith(behaviour)
    const messages = Array.from({ length: 3000 }, (_, i) => ({ i, text: 'x'.repeat(i % 300) }))
    const sending = (async () => {
      for (const message of messages) await channel.send(message)
      await channel.end()
    })()
    let next = 0
    for await (const message of channel) expect(message).toEqual(messages[next++])
    await sending
    expect(next).toBe(messages.length)
  },
)

test('a worker that only waits for messages is not left by its event loop', async () => {
  const [channel, worker] = objectsWith('echo-async')
  await once(worker, 'online')
  for (let i = 0; i < 5; i++) {
    // A turn of our event loop between messages lets the worker fall asleep.
    await new Promise((resolve) => setImmediate(resolve))
    await channel.send(i)
    expect(await channel.receive()).toBe(i)
  }
  const exited = once(worker, 'exit')
  await channel.close()
  expect(await exited).toEqual([0])
})

test('messages of 5 MiB cross a ring of 64 KiB to a blocking worker', async () => {
  const [channel] = bytesWith('sum-blocking', '64 KiB')
  const message = new Uint8Array(5 * 2 ** 20).fill(3)
  await channel.send(message)
  await channel.send(message.subarray(0, 7))
  await channel.end()
  const answer = await channel.receive()
  expect(new TextDecoder().decode(answer)).toBe(String((message.length + 7) * 3))
})

test('sixteen workers stream to one thread at once, each in order', async () => {
  const count = 500
  const streams = Array.from({ length: 16 }, async () => {
    const [channel] = objectsWith('produce-blocking', count, '8 KiB')
    let next = 0
    for await (const message of channel) {
      expect(message).toEqual({ i: next, text: `message ${next}` })
      next++
    }
    return next
  })
  expect(await Promise.all(streams)).toEqual(Array.from({ length: 16 }, () => count))
})

test('a peer that closes ends a blocked receive', async () => {
  const [channel, worker] = objectsWith('report-blocked-receive')
  await once(worker, 'message')
  const report = once(worker, 'message')
  await channel.close()
  expect(await report).toEqual([{ received: 'the end' }])
})

test('a peer that fails makes a blocked receive throw', async () => {
  const [channel, worker] = objectsWith('report-blocked-receive')
  await once(worker, 'message')
  const report = once(worker, 'message')
  channel.fail('on purpose')
  expect(await report).toEqual([{ threw: 'peer-failed' }])
})

test('a peer that closes makes a blocked send throw', async () => {
  const [channel, worker] = bytesWith('report-blocked-send', '4 KiB')
  await once(worker, 'message')
  const report = once(worker, 'message')
  await channel.close()
  expect(await report).toEqual([{ threw: 'peer-closed' }])
})

test('a worker that dies is an error behind what it had sent', async () => {
  const [channel, worker] = objectsWith('die')
  failWhenWorkerEnds(channel, worker)
  expect(await channel.receive()).toBe('before the crash')
  await expect(channel.receive()).rejects.toMatchObject({
    code: 'peer-failed',
    message: expect.stringContaining('the worker exited with code 3'),
  })
})

test('a worker that throws is an error behind what it had sent, with its words', async () => {
  const [channel, worker] = objectsWith('throw')
  failWhenWorkerEnds(channel, worker)
  expect(await channel.receive()).toBe('before the throw')
  await expect(channel.receive()).rejects.toMatchObject({
    code: 'peer-failed',
    message: expect.stringContaining('boom'),
  })
})

test('a worker that closes its end before it exits is no failure', async () => {
  const [channel, worker] = objectsWith('produce-blocking', 3)
  failWhenWorkerEnds(channel, worker)
  await once(worker, 'exit')
  let count = 0
  for await (const _ of channel) count++
  expect(count).toBe(3)
})
