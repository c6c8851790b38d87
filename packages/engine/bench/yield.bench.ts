// What giving the event loop its turns costs a busy engine: `npx node bench/yield.bench.ts`. A machine whose poll takes about half a
// microsecond runs for a while with and without turns; polls per second, median of interleaved rounds, and their ratio.

import { Doorbell } from '@guestyard/ring'

import { DoorbellSet, MonotonicClock, ThreadEngine } from '../src/index.ts'
import type { Machine } from '../src/index.ts'

const ROUNDS = 7
const ROUND_MS = 100

async function turnsPerMs(turnsPerImmediate: number, busyMsPerImmediate: number): Promise<number> {
  const clock = new MonotonicClock()
  let end = Infinity
  let sink = 0
  const machine: Machine = {
    poll() {
      for (let i = 0; i < 300; i++) sink = (sink * 31 + i) | 0
      if (clock.nowMs >= end) engine.stop()
      return 1
    },
    arm: () => sink === 0.5,
    disarm() {},
    nextDeadlineMs: () => Infinity,
  }
  const engine = new ThreadEngine({
    machine,
    doorbells: new DoorbellSet({ stoppedBy: Doorbell.create() }),
    clock,
    strategy: 'event-loop',
    turnsPerImmediate,
    busyMsPerImmediate,
  })
  end = clock.update() + ROUND_MS
  await engine.run()
  return engine.stats.turns / ROUND_MS
}

const settings = [
  ['no turns', Infinity, Infinity],
  ['every ms or 1024 turns', 1024, 1],
  ['every ms', Infinity, 1],
  ['every 64 turns', 64, Infinity],
] as const
const results = new Map<string, number[]>(settings.map(([name]) => [name, []]))
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, turns, ms] of settings) results.get(name)!.push(await turnsPerMs(turns, ms))
}
const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!
const base = median(results.get('no turns')!)
for (const [name] of settings) {
  const value = median(results.get(name)!)
  console.log(
    `${name.padEnd(24)} ${value.toFixed(0).padStart(6)} turns/ms  ${(value / base).toFixed(3)}`,
  )
}
