// How many turns the virtual engine takes in a second: `npx node bench/virtual.bench.ts`. Actors that always have work, and actors that
// wake each other; no promises, so no turn of the event loop in between. Median of rounds.

import type { Machine } from '../src/index.ts'
import { VirtualClock, VirtualEngine, costModel } from '../src/virtual/index.ts'
import type { VirtualActor, VirtualPlatform } from '../src/virtual/index.ts'

const ROUNDS = 7
const TURNS = 200_000

const platform: VirtualPlatform = {
  takePending: () => false,
  turn: (callback) => setImmediate(callback),
  isWaiting: () => false,
}

/** Turns a second of `count` actors, each of which rings the next when it has work of its own. */
async function turnsPerSecond(count: number, rings: boolean): Promise<number> {
  const engine = new VirtualEngine({
    clock: new VirtualClock(),
    platform,
    seed: 7,
    costs: costModel(),
    turnLimit: TURNS,
  })
  const actors: VirtualActor[] = []
  for (let index = 0; index < count; index++) {
    let left = 1
    const machine: Machine = {
      poll() {
        if (!rings) return 1
        if (left === 0) {
          left = 1
          return 0
        }
        left = 0
        actors[(index + 1) % count]!.ring()
        return 1
      },
      arm: () => false,
      disarm() {},
      nextDeadlineMs: () => Infinity,
    }
    actors.push(engine.addActor({ name: String(index), kind: 'vp', machine }))
  }
  const from = performance.now()
  await engine.run()
  return (engine.turns / (performance.now() - from)) * 1000
}

for (const [count, rings] of [
  [2, false],
  [65, false],
  [2, true],
  [65, true],
] as const) {
  const rates: number[] = []
  for (let round = 0; round < ROUNDS; round++) rates.push(await turnsPerSecond(count, rings))
  const median = rates.toSorted((a, b) => a - b)[ROUNDS >> 1]!
  const what = `${count} actors, ${rings ? 'ringing each other' : 'always at work'}`
  console.log(`${what.padEnd(34)} ${(median / 1e6).toFixed(2)} million turns/s`)
}
