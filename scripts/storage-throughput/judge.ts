/** Rounds of a line: run in turns with what it is held to, those of one speed counted, judged by the median of their ratios. */

import { alignTable, median } from '@guestyard/scenario'

import { isOneSpeed } from '../peers/steady-rounds.ts'
import { pause } from '../script-run.ts'
import type { Load } from './ends-protocol.ts'
import type { Line, Mover } from './lines.ts'

/** Nanoseconds of a request, of so many. */
export type Run = (load: Load, requests: number, seed: number) => number | Promise<number>

export interface Movers {
  readonly by: Readonly<Record<Mover, Run>>
  /** Nanoseconds that two spinning threads need to meet. */
  probe(): number
}

export interface Round {
  readonly probesNs: readonly [number, number]
  readonly ns: number
  readonly overNs: number
}

export interface Judged {
  readonly what: string
  /** Medians, nanoseconds of a request. */
  readonly ns: number
  readonly overNs: number
  readonly value: number
  readonly goal: Line['goal']
  readonly held: boolean
  readonly rounds: readonly Round[]
}

/** Rounds in the place of those that do not count, for each that is wanted. */
const EXTRA_ROUNDS = 1
/** Each line runs so long unmeasured: after less, the first lines were those of code that is not compiled yet. */
const WARM_UP_MS = 1_500
/** About as long as a round's stretch is to take. */
const STRETCH_NS = 10e6

export async function measure(
  movers: Movers,
  line: Line,
  wanted: number,
  signal: AbortSignal,
): Promise<Judged> {
  const path = (count: number, seed: number): number | Promise<number> =>
    movers.by[line.by](line.load, count, seed)
  const { over } = line
  const other = (count: number, seed: number): number | Promise<number> =>
    over === null ? Number.NaN : movers.by[over.by](over.load, count, seed)
  const count = await stretch(path, other)
  const rounds: Round[] = []
  const steady: Round[] = []
  const most = wanted * (1 + EXTRA_ROUNDS)
  for (let round = 1; round <= most && steady.length < wanted; round++) {
    await pause(signal)
    const before = movers.probe()
    const ns = await path(count, round)
    const overNs = await other(count, round)
    const found: Round = { probesNs: [before, movers.probe()], ns, overNs }
    rounds.push(found)
    if (isOneSpeed(...found.probesNs)) steady.push(found)
  }
  return judge(line, steady.length > 0 ? steady : rounds)
}

/** Warms both up until their code is compiled, and finds how many requests make a stretch by then. */
async function stretch(
  path: (count: number, seed: number) => number | Promise<number>,
  other: (count: number, seed: number) => number | Promise<number>,
): Promise<number> {
  const untilMs = performance.now() + WARM_UP_MS
  let count = 64
  for (;;) {
    const ns = (await path(count, 1)) * count
    await other(count, 1)
    if (ns < STRETCH_NS) count *= 2
    else if (performance.now() >= untilMs) return count
  }
}

function judge({ what, goal }: Line, rounds: readonly Round[]): Judged {
  const ns = median(rounds.map((round) => round.ns))
  const overNs = median(rounds.map((round) => round.overNs))
  const ratio = median(rounds.map((round) => round.ns / round.overNs))
  const value = { rate: 1 / ratio, time: ratio, 'per-second': 1e9 / ns }[goal.is]
  const held = goal.is === 'time' ? value <= goal.value : value >= goal.value
  return { what, ns, overNs, value, goal, held, rounds }
}

export function report(judged: readonly Judged[]): string {
  return [
    '',
    ...alignTable(
      ['median of rounds', 'ns', 'least, ns', 'found', 'goal', ''],
      judged.map(({ what, ns, overNs, value, goal, held }) => [
        what,
        ns.toFixed(0),
        Number.isNaN(overNs) ? '' : overNs.toFixed(0),
        goal.is === 'per-second' ? `${(value / 1e6).toFixed(2)} M/s` : value.toFixed(2),
        goalText(goal),
        held ? 'held' : 'MISSED',
      ]),
    ),
  ].join('\n')
}

function goalText(goal: Line['goal']): string {
  switch (goal.is) {
    case 'rate':
      return `at least ${goal.value} of it`
    case 'time':
      return `within ${goal.value}x`
    case 'per-second':
      return `at least ${goal.value / 1e6} M/s`
  }
}
