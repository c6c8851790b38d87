// What the policies promise, held against machines at random. The simulation is the real scheduler with a clock that jumps.

import { CPU_FRACTION_ONE } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  CPU_PROPERTIES_DEFAULT,
  Simulation,
  fairShares,
  jainIndex,
  type Behaviour,
  type CpuProperties,
  type SchedulerPolicyName,
  type SimulatedVp,
  type SimulatedVpOptions,
} from '../src/index.ts'

const SLICE = 20_000
const PERIOD = 500_000

interface Machine {
  readonly logicalProcessors: number
  readonly vps: readonly CpuProperties[]
}

function busy(vps: readonly CpuProperties[]): SimulatedVpOptions[] {
  return vps.map((properties, index) => ({ partitionId: index + 2, vpIndex: 0, properties }))
}

function simulate(
  policy: SchedulerPolicyName,
  logicalProcessors: number,
  vps: readonly SimulatedVpOptions[],
  threadsPerCore = 1,
): Simulation {
  return new Simulation({ policy, logicalProcessors, threadsPerCore }, vps)
}

/** Fractions of one processor. */
function shares(simulation: Simulation): readonly number[] {
  return simulation.inspect().vps.map((vp) => vp.guestRunTime / simulation.now)
}

/** Whole periods, long enough that the smallest share is `slices` slices, within reason. */
function longEnough(ideal: readonly number[], slices: number): number {
  const time = Math.min((SLICE * slices) / Math.min(...ideal), 10_000 * SLICE)
  return Math.ceil(time / PERIOD) * PERIOD
}

const properties = (withBounds: boolean): fc.Arbitrary<CpuProperties> =>
  fc
    .record({
      weight: fc.oneof(fc.constant(100), fc.integer({ min: 10, max: 1_000 })),
      cap: withBounds
        ? fc.oneof(fc.constant(CPU_FRACTION_ONE), fc.integer({ min: 2_000, max: CPU_FRACTION_ONE }))
        : fc.constant(CPU_FRACTION_ONE),
      reserve: withBounds
        ? fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 8_000 }))
        : fc.constant(0),
    })
    .map((one) => ({ ...one, reserve: Math.min(one.cap, one.reserve) }))

const machine = (withBounds: boolean): fc.Arbitrary<Machine> =>
  fc
    .record({
      logicalProcessors: fc.integer({ min: 1, max: 8 }),
      vps: fc.array(properties(withBounds), { minLength: 1, maxLength: 64 }),
    })
    .map(({ logicalProcessors, vps }) => {
      let left = logicalProcessors * CPU_FRACTION_ONE
      const fitting = vps.map((one) => {
        const reserve = Math.min(one.reserve, left)
        left -= reserve
        return { ...one, reserve }
      })
      return { logicalProcessors, vps: fitting }
    })

/**
 * A VP that is due nearly a whole processor can't make up for what it once lost; what it lost, others have: up to this fraction of one
 * processor for each such VP, in machines with hardly more VPs than processors and many caps.
 */
const UNRECOVERABLE = 0.005

/** VPs that are due nearly a whole processor, and are kept off it now and then by a cap. */
function losers(vps: readonly CpuProperties[], due: readonly number[]): number {
  return vps.filter(({ cap }, index) => cap < CPU_FRACTION_ONE && due[index]! > 0.99).length
}

/** Reported so that a failure shows what was due and what was had. */
function expectShares(
  got: readonly number[],
  due: readonly number[],
  now: number,
  slack: number,
  bounds = 0,
): void {
  for (const [index, share] of got.entries()) {
    const off = Math.abs(share - due[index]!)
    expect(off, `VP ${index}: ${share} of ${due[index]}`).toBeLessThanOrEqual(
      Math.max(0.01 * due[index]!, (slack * SLICE) / now, bounds),
    )
  }
}

describe('the classic policy, VPs that never halt', () => {
  test('weights, caps and reserves are honoured within 1 %, on 1 to 8 processors with 1 to 64 VPs', () => {
    fc.assert(
      fc.property(machine(true), ({ logicalProcessors, vps }) => {
        const due = fairShares(vps, logicalProcessors)
        const simulation = simulate('classic', logicalProcessors, busy(vps))
        simulation.runUntil(longEnough(due, 120))
        const lost = UNRECOVERABLE * Math.max(1, losers(vps, due))
        expectShares(shares(simulation), due, simulation.now, 1, lost)
      }),
      { numRuns: 40 },
    )
  })

  test('weights alone are honoured within 1 %, or a slice', () => {
    fc.assert(
      fc.property(machine(false), ({ logicalProcessors, vps }) => {
        const due = fairShares(vps, logicalProcessors)
        const simulation = simulate('classic', logicalProcessors, busy(vps))
        simulation.runUntil(longEnough(due, 120))
        expectShares(shares(simulation), due, simulation.now, 1.5)
      }),
      { numRuns: 40 },
    )
  })

  test('equal weights come to a Jain index of at least 0.999', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 64 }),
        (logicalProcessors, count) => {
          const vps = Array.from({ length: count }, () => CPU_PROPERTIES_DEFAULT)
          const simulation = simulate('classic', logicalProcessors, busy(vps))
          simulation.runUntil(SLICE * count * 40)
          expect(jainIndex(shares(simulation))).toBeGreaterThanOrEqual(0.999)
        },
      ),
      { numRuns: 40 },
    )
  })

  test('the extremes of the weights, 1 beside 10000, are honoured too', () => {
    const vps = [1, 10_000, 100].map((weight) => ({ ...CPU_PROPERTIES_DEFAULT, weight }))
    const simulation = simulate('classic', 1, busy(vps))
    simulation.runUntil(SLICE * 10_101 * 100)
    expectShares(shares(simulation), fairShares(vps, 1), simulation.now, 1)
  })

  test('a share that changes at run time is honoured from then on', () => {
    const vps = [100, 100, 100].map((weight) => ({ ...CPU_PROPERTIES_DEFAULT, weight }))
    const simulation = simulate('classic', 2, busy(vps))
    simulation.runUntil(SLICE * 1_000)
    const before = simulation.inspect().vps.map((vp) => vp.guestRunTime)
    const changed = [
      { ...vps[0]!, weight: 300 },
      { ...vps[1]!, cap: CPU_FRACTION_ONE / 4 },
      vps[2]!,
    ]
    changed.forEach((one, index) =>
      simulation.scheduler.setProperties(index + 2, one, simulation.now),
    )
    simulation.runUntil(SLICE * 3_000)
    const after = simulation.inspect().vps.map((vp) => vp.guestRunTime)
    const got = after.map((time, index) => (time - before[index]!) / (SLICE * 2_000))
    expectShares(got, fairShares(changed, 2), SLICE * 2_000, 2)
  })
})

/** On and off by a pattern of its own. */
const pattern = fc.record({
  run: fc.integer({ min: 1_000, max: 3 * SLICE }),
  sleep: fc.oneof(fc.constant(0), fc.integer({ min: 500, max: 10 * SLICE })),
  busy: fc.boolean(),
})

function onOff(one: { run: number; sleep: number; busy: boolean }): Behaviour {
  return (step) => {
    step.run = one.busy ? Number.POSITIVE_INFINITY : one.run
    step.sleep = one.sleep
  }
}

describe.each([
  ['classic', 1],
  ['classic', 2],
  ['core', 1],
  ['core', 2],
] as const)('the %s policy with %i threads a core, VPs that come and go', (policy, threads) => {
  const machines = fc.record({
    cores: fc.integer({ min: 1, max: 8 / threads }),
    partitions: fc.array(
      fc.record({
        properties: properties(true),
        patterns: fc.array(pattern, { minLength: 1, maxLength: 8 }),
      }),
      { minLength: 1, maxLength: 12 },
    ),
    exitEvery: fc.constantFrom(0, 700),
  })

  test('no VP is on two processors, no core mixes partitions, nobody waits while a processor that may run him is idle, and caps hold', () => {
    fc.assert(
      fc.property(machines, ({ cores, partitions, exitEvery }) => {
        const logicalProcessors = cores * threads
        const vps = partitions.flatMap((partition, index) =>
          partition.patterns.map((one, vpIndex) => ({
            partitionId: index + 2,
            vpIndex,
            properties: { ...partition.properties, reserve: 0 },
            behaviour: onOff(one),
            exitEvery,
          })),
        )
        const simulation = simulate(policy, logicalProcessors, vps, threads)
        const watch = new Watch(simulation, policy === 'core' ? threads : 1)
        simulation.runUntil(PERIOD * 6, () => watch.look())
        expect(watch.wrongs).toEqual([])
        expect(watch.over).toBeLessThanOrEqual(SLICE)
        // Whoever has work is never left out, however small its weight.
        const weights = vps.map((vp) => vp.properties.weight)
        const round = weights.reduce((sum, weight) => sum + weight, 0) / Math.min(...weights)
        simulation.runUntil(simulation.now + 2 * round * SLICE)
        for (const vp of simulation.inspect().vps) expect(vp.dispatches).toBeGreaterThan(0)
      }),
      { numRuns: 25 },
    )
  })
})

/** Looks at a simulation after every event; what is wrong comes back as sentences. */
class Watch {
  readonly #simulation: Simulation
  readonly #threads: number
  readonly #caps: readonly number[]
  readonly wrongs: string[] = []
  #period = 0
  #hadBefore: number[]
  /** The most that any VP had in one period beyond its cap. */
  over = 0

  constructor(simulation: Simulation, threads: number) {
    this.#simulation = simulation
    this.#threads = threads
    this.#caps = simulation.vps.map((vp) => vp.options.properties.cap / CPU_FRACTION_ONE)
    this.#hadBefore = simulation.vps.map(() => 0)
  }

  look(): void {
    const { running, scheduler, now } = this.#simulation
    const there = running.filter((vp) => vp !== null)
    if (new Set(there).size !== there.length) this.wrongs.push(`a VP on two processors at ${now}`)
    for (let lp = 0; lp < running.length; lp += 1) {
      const core = running.slice(...this.#coreOf(lp)).filter((vp) => vp !== null)
      const partitions = new Set(core.map((vp) => vp.options.partitionId))
      if (this.#threads > 1 && partitions.size > 1) this.wrongs.push(`a mixed core at ${now}`)
      // A processor that was taken from somebody is idle only once he said so; a core, once all of its threads have.
      if (running[lp] !== null || scheduler.lps[lp]!.vp !== null) continue
      if (core.some((vp) => vp.isToldToStop)) continue
      const waits = this.#simulation
        .inspect()
        .vps.some(
          (vp) => vp.state === 'ready' && (partitions.size === 0 || partitions.has(vp.partitionId)),
        )
      if (waits) this.wrongs.push(`processor ${lp} idle at ${now} and somebody ready`)
    }
    this.#watchCaps(now)
  }

  #coreOf(lp: number): [number, number] {
    const first = lp - (lp % this.#threads)
    return [first, first + this.#threads]
  }

  #watchCaps(now: number): void {
    const period = Math.floor(now / PERIOD)
    const { vps } = this.#simulation
    if (period > this.#period) {
      this.#period = period
      this.#hadBefore = vps.map((vp) => had(vp, now))
      return
    }
    for (const [index, cap] of this.#caps.entries()) {
      const over = had(vps[index]!, now) - this.#hadBefore[index]! - cap * PERIOD
      if (cap < 1 && over > this.over) this.over = over
    }
  }
}

function had(vp: SimulatedVp, now: number): number {
  return vp.had + (vp.lp < 0 ? 0 : now - vp.since)
}

describe('reserves', () => {
  test('a reserve is met in every period, whatever the weights of the others', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.integer({ min: 1_000, max: 30_000 }), { minLength: 1, maxLength: 16 }),
        (logicalProcessors, wanted) => {
          let left = logicalProcessors * CPU_FRACTION_ONE
          const reserved = wanted.map((one) => {
            const reserve = Math.min(one, left)
            left -= reserve
            return { weight: 1, cap: CPU_FRACTION_ONE, reserve }
          })
          const rivals = Array.from({ length: 16 }, () => ({
            ...CPU_PROPERTIES_DEFAULT,
            weight: 10_000,
          }))
          const simulation = simulate('classic', logicalProcessors, busy([...reserved, ...rivals]))
          let before = simulation.inspect().vps
          for (let period = 1; period <= 30; period += 1) {
            simulation.runUntil(period * PERIOD)
            const now = simulation.inspect().vps
            reserved.forEach((_, index) => {
              const had = now[index]!.guestRunTime - before[index]!.guestRunTime
              const due = now[index]!.reserve * PERIOD
              expect(had, `VP ${index} in period ${period}`).toBeGreaterThanOrEqual(due - 2 * SLICE)
            })
            before = now
          }
          reserved.forEach((_, index) => {
            const vp = before[index]!
            expect(vp.guestRunTime).toBeGreaterThanOrEqual(vp.reserve * 30 * PERIOD - 2 * SLICE)
          })
        },
      ),
      { numRuns: 20 },
    )
  })
})

describe('the core policy', () => {
  test('equal VPs get equal time, and weights hold between partitions', () => {
    const pair = (partitionId: number, weight: number): SimulatedVpOptions[] =>
      [0, 1].map((vpIndex) => ({
        partitionId,
        vpIndex,
        properties: { ...CPU_PROPERTIES_DEFAULT, weight },
      }))
    const equal = simulate(
      'core',
      4,
      [2, 3, 4, 5, 6].flatMap((id) => pair(id, 100)),
      2,
    )
    equal.runUntil(SLICE * 5_000)
    expect(jainIndex(shares(equal))).toBeGreaterThanOrEqual(0.999)
    const weighted = simulate('core', 2, [...pair(2, 100), ...pair(3, 400)], 2)
    weighted.runUntil(SLICE * 5_000)
    expectShares(shares(weighted), [0.2, 0.2, 0.8, 0.8], weighted.now, 1)
  })

  test('a lone VP occupies a whole core, and still gets as much as each of a pair', () => {
    const vps = [
      { partitionId: 2, vpIndex: 0, properties: CPU_PROPERTIES_DEFAULT },
      { partitionId: 3, vpIndex: 0, properties: CPU_PROPERTIES_DEFAULT },
      { partitionId: 3, vpIndex: 1, properties: CPU_PROPERTIES_DEFAULT },
    ]
    const simulation = simulate('core', 2, vps, 2)
    simulation.runUntil(SLICE * 2_000)
    expectShares(shares(simulation), [0.5, 0.5, 0.5], simulation.now, 1)
  })
})

describe('a guest that plays the scheduler', () => {
  const honest: SimulatedVpOptions = {
    partitionId: 2,
    vpIndex: 0,
    properties: CPU_PROPERTIES_DEFAULT,
  }
  const games: readonly [string, Behaviour][] = [
    [
      'halts just before each slice ends',
      (step) => {
        step.run = SLICE - 1
        step.sleep = 1
      },
    ],
    [
      'halts just before each millisecond of the clock',
      (step, now) => {
        const toTick = 10_000 - (now % 10_000)
        step.run = toTick > 10 ? toTick - 10 : toTick + 9_990
        step.sleep = 20
      },
    ],
    [
      'gives its slice up just before it ends',
      (step) => {
        step.run = SLICE - 1
        step.sleep = 0
      },
    ],
    [
      'sleeps for long to be owed a lot, then runs for long',
      (step) => {
        step.run = 40 * SLICE
        step.sleep = 40 * SLICE
      },
    ],
    [
      'wakes for a moment all the time',
      (step) => {
        step.run = 500
        step.sleep = 500
      },
    ],
    [
      'halts just before each period ends',
      (step, now) => {
        step.run = Math.max(1, PERIOD - (now % PERIOD) - 100)
        step.sleep = 200
      },
    ],
  ]

  test.each(games)('and %s gets no more than its share', (_, behaviour) => {
    const gamer = { ...honest, partitionId: 3, behaviour }
    for (const rivals of [1, 3, 7]) {
      const others = Array.from({ length: rivals }, (_, index) => ({
        ...honest,
        partitionId: 10 + index,
      }))
      const simulation = simulate('classic', 1, [...others, gamer])
      simulation.runUntil(SLICE * 4_000)
      const got = shares(simulation)
      const fair = 1 / (rivals + 1)
      expect(got.at(-1)!, `of ${fair}`).toBeLessThanOrEqual(fair * 1.01)
      for (const other of got.slice(0, -1)) expect(other).toBeGreaterThanOrEqual(fair * 0.99)
    }
  })
})

describe('a VP that wakes', () => {
  test('has a processor within a slice, though 15 others never halt', () => {
    const waits: number[] = []
    const vps = busy(Array.from({ length: 15 }, () => CPU_PROPERTIES_DEFAULT))
    const sleeper: SimulatedVpOptions = {
      partitionId: 99,
      vpIndex: 0,
      properties: CPU_PROPERTIES_DEFAULT,
      behaviour: (step) => {
        step.run = 1_000
        step.sleep = 10 * SLICE
      },
    }
    const simulation = simulate('classic', 2, [...vps, sleeper])
    let before = simulation.inspect().vps.at(-1)!
    simulation.runUntil(SLICE * 4_000, () => {
      if (simulation.vps.at(-1)!.grants === before.dispatches) return
      const vp = simulation.inspect().vps.at(-1)!
      if (vp.dispatches > before.dispatches) waits.push(vp.waitTime - before.waitTime)
      before = vp
    })
    expect(waits.length).toBeGreaterThan(300)
    // The first wait is behind all that were there at the start.
    expect(Math.max(...waits.slice(1))).toBeLessThanOrEqual(SLICE)
  })
})
