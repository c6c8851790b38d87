// Latency arithmetic on a hand-cranked clock: every value is known beforehand.

import { expect, test } from 'vitest'
import { LoadBench, smallLoad } from '@guestyard/load-device/testing'
import type { ChannelLoadSpec } from '@guestyard/load-device/protocol'
import { LoadRunner } from '@guestyard/load-device/vsc'
import type { LoadOutcome } from '@guestyard/load-device/vsc'

class CrankedRun {
  nowNs = 0
  readonly latencies: number[] = []
  readonly runner: LoadRunner
  readonly bench = new LoadBench()
  outcome: LoadOutcome | undefined

  constructor(spec: ChannelLoadSpec) {
    this.runner = new LoadRunner(this.bench.channel, {
      spec,
      nowNs: () => this.nowNs,
      latency: { recordValue: (value) => this.latencies.push(value) },
      onDone: (outcome) => {
        this.outcome = outcome
      },
    })
    this.bench.channel.run(this.runner)
  }

  /** Moves both ends a few turns; the clock stands still. */
  turn(turns = 4): void {
    for (let left = turns; left > 0; left -= 1) this.bench.loopback.step()
  }

  /** Only the guest moves: the host is away. */
  guestTurn(): void {
    this.bench.loopback.client.poll(256)
  }
}

test('a closed loop counts from the moment of sending', () => {
  const run = new CrankedRun(smallLoad({ measure: { kind: 'packets', packets: 3 } }))
  run.turn()
  // Nothing was slow so far: with the clock at rest, everything takes no time.
  expect(run.latencies.every((value) => value === 0)).toBe(true)
})

test('an open loop counts from the intended moment: a stall of the host shows in every packet it delayed', () => {
  // A packet every 1000 ns; the first is due when the run starts.
  const run = new CrankedRun(
    smallLoad({
      loop: { kind: 'open', packetsPerSecond: 1e6 },
      measure: { kind: 'packets', packets: 6 },
    }),
  )
  run.turn()
  expect(run.latencies).toEqual([0])
  // The guest is away from 0 to 4500: packets 1 to 4 were due at 1000, 2000, 3000 and 4000.
  run.nowNs = 4500
  run.turn()
  expect(run.latencies).toEqual([0, 3500, 2500, 1500, 500])
  run.nowNs = 5000
  run.turn()
  expect(run.latencies).toEqual([0, 3500, 2500, 1500, 500, 0])
  expect(run.outcome).toMatchObject({ ok: true, result: { packets: 6, latencies: 6 } })
})

test('an open loop never sends before the moment', () => {
  const run = new CrankedRun(
    smallLoad({
      loop: { kind: 'open', packetsPerSecond: 1000 },
      measure: { kind: 'packets', packets: 3 },
    }),
  )
  run.turn()
  for (const [nowNs, count] of [
    [999_999, 1],
    [1_000_000, 2],
    [1_999_999, 2],
    [2_000_000, 3],
  ] as const) {
    run.nowNs = nowNs
    run.turn()
    expect(run.latencies.length).toBe(count)
  }
  expect(run.outcome?.ok).toBe(true)
})

test('an open loop towards a sink counts until the ring takes the packet', () => {
  const run = new CrankedRun(
    smallLoad({
      direction: 'guest-to-root',
      loop: { kind: 'open', packetsPerSecond: 1e6 },
      measure: { kind: 'packets', packets: 3 },
    }),
  )
  run.turn()
  run.nowNs = 2700
  run.turn()
  expect(run.latencies).toEqual([0, 1700, 700])
})

test('packets of the warm-up are not recorded', () => {
  const run = new CrankedRun(
    smallLoad({
      loop: { kind: 'closed', window: 4 },
      batch: 4,
      warmUp: { kind: 'packets', packets: 10 },
      measure: { kind: 'packets', packets: 20 },
    }),
  )
  run.turn(60)
  expect(run.outcome).toMatchObject({ ok: true, result: { packets: 20, latencies: 20 } })
  expect(run.latencies.length).toBe(20)
})

test('an open loop stays awake while it has sends to do, a closed one sleeps', () => {
  const open = new CrankedRun(
    smallLoad({
      loop: { kind: 'open', packetsPerSecond: 1 },
      measure: { kind: 'packets', packets: 2 },
    }),
  )
  open.turn()
  expect(open.runner.arm()).toBe(true)
  open.nowNs = 1e9
  open.turn(8)
  expect(open.outcome?.ok).toBe(true)
  expect(open.runner.arm()).toBe(false)
  const closed = new CrankedRun(smallLoad({ measure: { kind: 'duration', durationMs: 1 } }))
  closed.guestTurn()
  expect(closed.runner.arm()).toBe(false)
})
