// The contract of each mode, over a whole bus in one thread.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LoadBench, smallLoad, steppingClock } from '@guestyard/load-device/testing'
import type { ChannelLoadResult, LoadDirection } from '@guestyard/load-device/protocol'
import { LoadRunner, SubChannelRequest } from '@guestyard/load-device/vsc'
import type { LoadOutcome } from '@guestyard/load-device/vsc'

const DIRECTIONS: readonly LoadDirection[] = ['guest-to-root', 'root-to-guest', 'both', 'echo']

function resultOf(outcome: LoadOutcome | undefined): ChannelLoadResult {
  if (outcome === undefined) throw new Error('The run did not end.')
  if (!outcome.ok) throw new Error(outcome.reason)
  return outcome.result
}

function expectClean(result: ChannelLoadResult): void {
  expect(result).toMatchObject({ sequenceErrors: 0, peerSequenceErrors: 0, packetsMissing: 0 })
}

for (const direction of DIRECTIONS) {
  test(`${direction} moves every packet once and in order`, () => {
    const bench = new LoadBench({ ringBytes: 16384 })
    const spec = smallLoad({
      direction,
      batch: 8,
      loop: { kind: 'closed', window: 32 },
      warmUp: { kind: 'packets', packets: 50 },
      measure: { kind: 'packets', packets: 3000 },
    })
    const result = resultOf(bench.runLoad(spec))
    expectClean(result)
    expect(result.packets).toBeGreaterThanOrEqual(3000)
    expect(result.bytes).toBe(result.packets * 64)
    expect(result.elapsedNs).toBeGreaterThan(0)
  })

  test(`${direction} ends after its duration`, () => {
    const bench = new LoadBench()
    const spec = smallLoad({
      direction,
      batch: 4,
      loop: { kind: 'closed', window: 16 },
      warmUp: { kind: 'duration', durationMs: 0.1 },
      measure: { kind: 'duration', durationMs: 1 },
    })
    const result = resultOf(bench.runLoad(spec, { nowNs: steppingClock(500) }))
    expectClean(result)
    expect(result.elapsedNs).toBeGreaterThanOrEqual(1e6)
    expect(result.packets).toBeGreaterThan(0)
  })

  test(`${direction} works on scattered pages with the smallest ring that holds two packets`, () => {
    const bench = new LoadBench({ ringBytes: 4096, scatter: true })
    const spec = smallLoad({ direction, payloadBytes: 2000, loop: { kind: 'closed', window: 4 } })
    const result = resultOf(bench.runLoad(spec))
    expectClean(result)
  })

  test(`one channel runs ${direction} many times, one run after the other`, () => {
    const bench = new LoadBench()
    for (let round = 0; round < 20; round += 1) {
      const spec = smallLoad({ direction, payloadBytes: 8 + round, batch: 1 + round })
      expectClean(resultOf(bench.runLoad(spec)))
    }
    expect(bench.vsp.inspect().channels[0]).toMatchObject({ state: 'awaiting-setup', runs: 20 })
  })
}

test('counts are exact: sink and echo measure the packets that were asked for, no more, no fewer', () => {
  const bench = new LoadBench({ ringBytes: 8192 })
  for (const direction of ['guest-to-root', 'echo'] as const) {
    const spec = smallLoad({
      direction,
      batch: 7,
      loop: { kind: 'closed', window: 64 },
      warmUp: { kind: 'packets', packets: 33 },
      measure: { kind: 'packets', packets: 1001 },
    })
    const result = resultOf(bench.runLoad(spec))
    expect(result.packets).toBe(1001)
    expect(result.packetsSent).toBe(1001)
  }
})

test('any payload, batch, window and ring size carries the packets whole', () => {
  const cases = fc.record({
    direction: fc.constantFrom(...DIRECTIONS),
    payloadBytes: fc.integer({ min: 8, max: 6000 }),
    batch: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(1024)),
    window: fc.integer({ min: 1, max: 100 }),
    pages: fc.integer({ min: 4, max: 9 }),
    packets: fc.integer({ min: 1, max: 300 }),
    scatter: fc.boolean(),
  })
  fc.assert(
    fc.property(cases, ({ direction, payloadBytes, batch, window, pages, packets, scatter }) => {
      const bench = new LoadBench({ ringBytes: pages * 4096, scatter })
      const result = resultOf(
        bench.runLoad({
          direction,
          payloadBytes,
          batch,
          loop: { kind: 'closed', window },
          warmUp: { kind: 'packets', packets: 5 },
          measure: { kind: 'packets', packets },
        }),
      )
      expectClean(result)
      expect(result.packets).toBeGreaterThanOrEqual(packets)
    }),
    { numRuns: 60 },
  )
})

test('the largest payload goes through', () => {
  const bench = new LoadBench()
  const spec = smallLoad({ payloadBytes: 65536, loop: { kind: 'closed', window: 3 } })
  expectClean(resultOf(bench.runLoad(spec)))
})

test('sub-channels are offered on request, and each runs a load of its own', () => {
  const bench = new LoadBench()
  let offered = 0
  const request = new SubChannelRequest(bench.channel, {
    count: 3,
    onDone: (outcome) => {
      offered = outcome.ok ? outcome.count : -1
    },
  })
  bench.run(request)
  expect(offered).toBe(3)
  const subChannels = bench.offers().filter((offer) => offer.subChannelIndex > 0)
  expect(subChannels.map((offer) => offer.subChannelIndex)).toEqual([1, 2, 3])
  for (const offer of subChannels) {
    const channel = bench.open(offer)
    expectClean(resultOf(bench.runLoad(smallLoad(), {}, channel)))
  }
  expectClean(resultOf(bench.runLoad(smallLoad())))
  expect(bench.vsp.inspect().channels.length).toBe(4)
})

test('a request for sub-channels that cannot be is refused, and the channel stays usable', () => {
  const bench = new LoadBench()
  const reasons: string[] = []
  for (const count of [0, 16]) {
    const request = new SubChannelRequest(bench.channel, {
      count,
      onDone: (outcome) => reasons.push(outcome.ok ? 'ok' : outcome.reason),
    })
    bench.run(request)
  }
  expect(reasons).toEqual(['the host refused: bad parameter', 'the host refused: bad parameter'])
  expectClean(resultOf(bench.runLoad(smallLoad())))
})

test('a payload that the rings cannot carry is refused with the largest that they can', () => {
  const bench = new LoadBench({ ringBytes: 4096 })
  const outcome = bench.runLoad(smallLoad({ payloadBytes: 5000 }))
  expect(outcome).toEqual({
    ok: false,
    reason: 'the host refused: bad parameter, payloads up to 4056',
  })
})

test('closing the channel in the middle of a run ends the run with a reason', () => {
  const bench = new LoadBench()
  const outcomes: LoadOutcome[] = []
  const runner = new LoadRunner(bench.channel, {
    spec: smallLoad({ direction: 'both', measure: { kind: 'duration', durationMs: 1e9 } }),
    nowNs: steppingClock(),
    latency: null,
    onDone: (outcome) => outcomes.push(outcome),
  })
  bench.channel.run(runner)
  for (let turn = 0; turn < 10; turn += 1) bench.loopback.step()
  expect(runner.state).toBe('measuring')
  bench.loopback.client.close(bench.channel)
  bench.loopback.pump()
  expect(outcomes).toEqual([{ ok: false, reason: 'the channel closed before the end' }])
  expect(runner.state).toBe('over')
  expect(bench.vsp.inspect().channels).toEqual([])
})
