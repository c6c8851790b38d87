// The signal and poll paths of both ends allocate nothing, measured over a million rounds.

import { getHeapStatistics } from 'node:v8'
import { expect, test } from 'vitest'
import { createLoopback } from '@guestyard/vmbus/testing'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest } from './support/raw-guest.ts'

const ROUNDS = 1_000_000
/** Compilation takes some, whatever runs; the smallest object a round would take 12 MB. */
const NOISE_BYTES = 4_000_000

// Bytes that V8 handed out meanwhile, collected again or not.
function allocatedDuring(body: () => void): number {
  const before = getHeapStatistics().total_allocated_bytes
  body()
  return getHeapStatistics().total_allocated_bytes - before
}

test('a server that is signalled and polled allocates nothing', () => {
  const guest = new RawGuest()
  const device = new FakeDevice()
  for (const n of [1, 2, 3]) guest.server.offer(nth(n), device)
  guest.connect()
  for (const relid of [1, 2, 3]) guest.openFresh(relid, relid)
  const { server } = guest
  const run = (rounds: number): void => {
    for (let round = 0; round < rounds; round += 1) {
      server.receiveSignal((round % 3) + 1)
      server.poll(64)
      if ((round & 0xff) === 0) server.arm()
    }
  }
  run(100_000)
  expect(allocatedDuring(() => run(ROUNDS))).toBeLessThan(NOISE_BYTES)
})

test('a channel that signals its peer allocates nothing', () => {
  const loop = createLoopback({ memoryBytes: 1024 * 1024 })
  const device = new FakeDevice()
  loop.server.offer(nth(1), device)
  loop.client.connect()
  loop.pump()
  const [offer] = loop.client.offers()
  if (offer === undefined) throw new Error('There is an offer.')
  const sizes = { sendBytes: 4096, receiveBytes: 4096 }
  const channel = loop.client.open(offer, sizes, { opened: () => undefined })
  loop.pump()
  const host = device.channel
  const run = (rounds: number): void => {
    for (let round = 0; round < rounds; round += 1) {
      host.signal()
      channel?.signal()
      host.wake()
      loop.client.receiveEvent(1)
      loop.client.poll(64)
    }
  }
  run(100_000)
  expect(allocatedDuring(() => run(ROUNDS))).toBeLessThan(NOISE_BYTES)
})
