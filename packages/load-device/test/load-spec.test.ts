import { expect, test } from 'vitest'
import { checkChannelLoadSpec, checkLoadSpec, sumChannelResults } from '@guestyard/load-device'
import type { ChannelLoadResult, LoadSpec } from '@guestyard/load-device'

const GOOD: LoadSpec = {
  direction: 'echo',
  payloadBytes: 64,
  batch: 1,
  loop: { kind: 'closed', window: 1 },
  warmUp: { kind: 'duration', durationMs: 0 },
  measure: { kind: 'duration', durationMs: 100 },
  channels: 1,
  sendRingBytes: 65536,
  receiveRingBytes: 65536,
  waiting: 'adaptive',
  spinMicroseconds: 20,
}

test('a sound spec has no problem', () => {
  expect(checkLoadSpec(GOOD)).toBeUndefined()
  expect(checkChannelLoadSpec({ ...GOOD, loop: { kind: 'open', packetsPerSecond: 0.5 } })).toBe(
    undefined,
  )
})

const BAD: readonly (readonly [Partial<Record<keyof LoadSpec, unknown>>, string, string])[] = [
  [
    { direction: 'up' },
    'direction',
    'must be one of guest-to-root, root-to-guest, both, echo, got up',
  ],
  [{ payloadBytes: 7 }, 'payloadBytes', 'must be a whole number from 8 to 65536, got 7'],
  [{ payloadBytes: 64.5 }, 'payloadBytes', 'must be a whole number from 8 to 65536, got 64.5'],
  [{ batch: 1025 }, 'batch', 'must be a whole number from 1 to 1024, got 1025'],
  [
    { loop: { kind: 'closed', window: 0 } },
    'loop.window',
    'must be a whole number from 1 to 4096, got 0',
  ],
  [
    { loop: { kind: 'open', packetsPerSecond: 0 } },
    'loop.packetsPerSecond',
    'must be a number above 0, got 0',
  ],
  [
    { direction: 'both', loop: { kind: 'open', packetsPerSecond: 5 } },
    'loop.kind',
    'must be closed for direction both: the root sends without a rate',
  ],
  [{ loop: { kind: 'ajar' } }, 'loop.kind', 'must be one of closed, open, got ajar'],
  [
    { warmUp: { kind: 'duration', durationMs: -1 } },
    'warmUp.durationMs',
    'must be a number of at least 0, got -1',
  ],
  [
    { measure: { kind: 'duration', durationMs: 0 } },
    'measure.durationMs',
    'must be a number above 0, got 0',
  ],
  [
    { measure: { kind: 'packets', packets: 0 } },
    'measure.packets',
    'must be a whole number of at least 1, got 0',
  ],
  [{ channels: 17 }, 'channels', 'must be a whole number from 1 to 16, got 17'],
  [
    { sendRingBytes: 5000 },
    'sendRingBytes',
    'must be a multiple of 4096 of at least 8192, got 5000',
  ],
  [
    { payloadBytes: 65536, receiveRingBytes: 65536 },
    'sendRingBytes',
    'must be a multiple of 4096 of at least 139264, got 65536',
  ],
  [{ waiting: 'hope' }, 'waiting', 'must be one of busy, adaptive, block, event-loop, got hope'],
  [{ spinMicroseconds: Number.NaN }, 'spinMicroseconds', 'must be a number of at least 0, got NaN'],
]
for (const [changes, field, problem] of BAD) {
  test(`${JSON.stringify(changes)} is refused by the name of its field`, () => {
    expect(checkLoadSpec({ ...GOOD, ...changes } as LoadSpec)).toEqual({ field, problem })
  })
}

test('channel results are summed, and the longest one is the time', () => {
  const one: ChannelLoadResult = {
    packets: 1,
    bytes: 2,
    packetsSent: 1,
    packetsReceived: 1,
    bytesSent: 2,
    bytesReceived: 2,
    elapsedNs: 10,
    sequenceErrors: 3,
    peerSequenceErrors: 4,
    packetsMissing: 5,
    signalsSent: 6,
    signalsReceived: 7,
    fullRingWaits: 8,
    peerFullRingWaits: 9,
    wakes: 10,
    peerWakes: 11,
    latencies: 1,
  }
  const sum = sumChannelResults([one, { ...one, elapsedNs: 30 }, { ...one, elapsedNs: 20 }])
  expect(sum).toMatchObject({
    packets: 3,
    bytes: 6,
    elapsedNs: 30,
    sequenceErrors: 9,
    peerSequenceErrors: 12,
    packetsMissing: 15,
    signalsSent: 18,
    signalsReceived: 21,
    fullRingWaits: 24,
    peerFullRingWaits: 27,
    wakes: 30,
    peerWakes: 33,
  })
})
