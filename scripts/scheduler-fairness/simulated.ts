/** Shares on simulated machines: the real scheduler under a clock that jumps. */

import {
  CPU_PROPERTIES_DEFAULT,
  Simulation,
  fairShares,
  jainIndex,
  type CpuProperties,
  type SchedulerPolicyName,
} from '@guestyard/root-partition'
import { CPU_FRACTION_ONE } from '@guestyard/hvdef'

import { pause } from '../script-run.ts'

const SLICE = 20_000
const PERIOD = 500_000

/** One machine and what its VPs got. Shares are fractions of one logical processor. */
export interface SimulatedFigures {
  readonly policy: SchedulerPolicyName
  readonly vps: number
  readonly logicalProcessors: number
  readonly what: 'equal' | 'weights' | 'caps' | 'reserves'
  /** The largest difference from what was due, as a fraction of that. */
  readonly worstError: number
  /** Of VPs with equal weights; null for others. */
  readonly jain: number | null
  /** What a VP had beyond its cap in any one period, in slices; null without caps. */
  readonly overCapSlices: number | null
  /** What a VP was short of its reserve at the end of any period, counted from the start, in slices; null without reserves. */
  readonly reserveShortSlices: number | null
}

const SIZES = [
  [1, 1],
  [2, 1],
  [8, 1],
  [64, 1],
  [3, 2],
  [16, 2],
  [9, 4],
  [64, 4],
  [16, 8],
  [64, 8],
] as const

export async function simulateShares(
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<SimulatedFigures[]> {
  const figures: SimulatedFigures[] = []
  for (const [vps, logicalProcessors] of SIZES) {
    progress(`simulating ${vps} VPs on ${logicalProcessors} logical processors`)
    for (const what of ['equal', 'weights', 'caps', 'reserves'] as const) {
      await pause(signal)
      figures.push(measure('classic', vps, logicalProcessors, what))
    }
    // Pairs on whole cores, where the core scheduler's shares are the same as the classic one's.
    const isPaired = vps % 2 === 0 && logicalProcessors % 2 === 0
    if (isPaired) figures.push(measure('core', vps, logicalProcessors, 'equal'))
  }
  return figures
}

function measure(
  policy: SchedulerPolicyName,
  count: number,
  logicalProcessors: number,
  what: SimulatedFigures['what'],
): SimulatedFigures {
  const properties = Array.from({ length: count }, (_, index) =>
    propertiesOf(what, index, count, logicalProcessors),
  )
  const perPartition = policy === 'core' ? 2 : 1
  const simulation = new Simulation(
    { policy, logicalProcessors, threadsPerCore: perPartition },
    properties.map((one, index) => ({
      partitionId: 2 + Math.floor(index / perPartition),
      vpIndex: index % perPartition,
      properties: one,
    })),
  )
  const due = fairShares(properties, logicalProcessors)
  const periods = Math.ceil((SLICE * 300) / Math.min(...due) / PERIOD)
  let over = 0
  let short = 0
  let before = properties.map(() => 0)
  for (let period = 1; period <= periods; period += 1) {
    simulation.runUntil(period * PERIOD)
    const { vps } = simulation.inspect()
    const had = vps.map((vp) => vp.guestRunTime)
    vps.forEach((vp, index) => {
      const time = had[index]! - before[index]!
      if (vp.cap < 1) over = Math.max(over, (time - vp.cap * PERIOD) / SLICE)
      if (vp.reserve > 0) {
        short = Math.max(short, (vp.reserve * simulation.now - had[index]!) / SLICE)
      }
    })
    before = had
  }
  const shares = before.map((time) => time / simulation.now)
  return {
    policy,
    vps: count,
    logicalProcessors,
    what,
    worstError: Math.max(...shares.map((share, index) => Math.abs(share / due[index]! - 1))),
    jain: what === 'equal' ? jainIndex(shares) : null,
    overCapSlices: what === 'caps' ? over : null,
    reserveShortSlices: what === 'reserves' ? short : null,
  }
}

function propertiesOf(
  what: SimulatedFigures['what'],
  index: number,
  count: number,
  logicalProcessors: number,
): CpuProperties {
  const weight = [100, 200, 400, 50][index % 4]!
  switch (what) {
    case 'equal':
      return CPU_PROPERTIES_DEFAULT
    case 'weights':
      return { ...CPU_PROPERTIES_DEFAULT, weight }
    case 'caps': {
      const cap = index % 3 === 0 ? Math.round(CPU_FRACTION_ONE / 10) : CPU_FRACTION_ONE
      return { ...CPU_PROPERTIES_DEFAULT, weight, cap }
    }
    case 'reserves': {
      const share = Math.min(1, logicalProcessors / count)
      const reserve = index % 3 === 0 ? Math.floor(CPU_FRACTION_ONE * share) : 0
      return { ...CPU_PROPERTIES_DEFAULT, weight: index % 3 === 0 ? 1 : 1_000, reserve }
    }
  }
}

/** What the scheduler does in a second of processor time. */
export interface DispatchFigures {
  readonly what: string
  readonly dispatches: number
  readonly dispatchesPerSecond: number
}

const ENOUGH = 1_000_000

export async function measureDispatches(signal: AbortSignal): Promise<DispatchFigures[]> {
  const busy = (vps: number) =>
    Array.from({ length: vps }, (_, index) => ({
      partitionId: index + 2,
      vpIndex: 0,
      properties: { ...CPU_PROPERTIES_DEFAULT, weight: 50 + (index % 8) * 50 },
    }))
  const coming = (vps: number) =>
    busy(vps).map((vp, index) => ({
      ...vp,
      behaviour: (step: { run: number; sleep: number }) => {
        step.run = 5_000
        step.sleep = 20_000 + index * 100
      },
    }))
  const machines = [
    ['64 VPs that never halt on 8 processors', 8, busy(64)],
    ['16 VPs that never halt on 2 processors', 2, busy(16)],
    ['64 VPs that come and go on 8 processors', 8, coming(64)],
  ] as const
  const figures: DispatchFigures[] = []
  for (const [what, logicalProcessors, vps] of machines) {
    await pause(signal)
    const simulation = new Simulation({ policy: 'classic', logicalProcessors }, vps)
    const step = 5_000 * SLICE
    // The first stretch is for the compiler.
    simulation.runUntil(step)
    const first = simulation.dispatches
    const started = process.cpuUsage()
    while (simulation.dispatches - first < ENOUGH) simulation.runUntil(simulation.now + step)
    const dispatches = simulation.dispatches - first
    const { user, system } = process.cpuUsage(started)
    const seconds = (user + system) / 1e6
    figures.push({ what, dispatches, dispatchesPerSecond: dispatches / seconds })
  }
  return figures
}
