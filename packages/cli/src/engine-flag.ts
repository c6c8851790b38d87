/** `--engine` and what belongs to the virtual one: seeds, trace, costs, the limit of its time. */

import type { Command } from 'commander'

import { COST_MEANINGS, DEFAULT_COSTS, SEED_MAX, costModel } from '@guestyard/engine/virtual'
import { InputError, parseDurationMs } from '@guestyard/scenario'

import { checkWritable, refuseStandardOutput } from './output-files.ts'

/** The flags, as commander hands them over. */
export interface EngineFlags {
  readonly engine?: string
  readonly seed?: string
  readonly seeds?: string
  readonly trace?: string
  readonly cost?: readonly string[]
  readonly timeLimit?: string
}

/** Seeds from the first to the last, both included. */
export interface SeedRange {
  readonly from: number
  readonly to: number
}

/** How a scenario is to run in virtual time. */
export interface VirtualFlags {
  readonly seeds: SeedRange
  /** Many seeds: a sweep, though the range may hold one. */
  readonly isSweep: boolean
  readonly trace: string | null
  readonly costs: Readonly<Record<string, number>>
  readonly timeLimitMs: number
  /** The limit as it was written; `null`: the default. */
  readonly timeLimit: string | null
}

/** More than a sweep gets through in weeks. */
const SEEDS_MAX = 1e9
const TIME_LIMIT_MIN_MS = 1
/** Nanoseconds of it are whole numbers. */
const TIME_LIMIT_MAX_MS = 1000 * 3_600_000
const ONLY_VIRTUAL = ['seed', 'seeds', 'trace', 'cost', 'timeLimit'] as const
const FLAG_NAMES = {
  seed: '--seed',
  seeds: '--seeds',
  trace: '--trace',
  cost: '--cost',
  timeLimit: '--time-limit',
} as const

export function addEngineOptions(command: Command): Command {
  const repeated = (value: string, before: readonly string[] = []): readonly string[] => [
    ...before,
    value,
  ]
  return command
    .option('--engine <name>', 'what runs the machines: threads or virtual (default: threads)')
    .option('--seed <number>', `virtual: which interleaving, 0..${SEED_MAX} (default: 1)`)
    .option('--seeds <range>', 'virtual: many, such as 1..1000; ends at the first that fails')
    .option('--trace <file>', 'virtual: write what happened and what led to it')
    .option('--cost <name=ns>', 'virtual: what work costs, may be repeated; see below', repeated)
    .option('--time-limit <time>', 'virtual: time after which a run fails (default: 1h)')
}

/** The declared costs, for the help of a command. */
export function costHelp(): string {
  const rows = Object.entries(COST_MEANINGS).map(([name, meaning]) => {
    const ns = String(DEFAULT_COSTS[name as keyof typeof DEFAULT_COSTS])
    return `  ${name.padEnd(10)} ${ns.padStart(6)}  ${meaning}`
  })
  return `\nCosts in virtual time, nanoseconds:\n${rows.join('\n')}\n`
}

/** What is asked of the virtual engine; `null`: the threads run it. Refuses what does not go together. */
export function readEngineFlags(flags: EngineFlags): VirtualFlags | null {
  const { engine = flags.seeds === undefined ? 'threads' : 'virtual' } = flags
  if (engine !== 'threads' && engine !== 'virtual') {
    throw new InputError('--engine', `expected threads or virtual, got '${engine}'`)
  }
  if (engine === 'threads') {
    const stray = ONLY_VIRTUAL.find((name) => flags[name] !== undefined)
    if (stray !== undefined) throw new InputError(FLAG_NAMES[stray], 'needs --engine virtual')
    return null
  }
  if (flags.seeds !== undefined) {
    if (flags.seed !== undefined) throw new InputError('--seeds', 'stands in place of --seed')
    if (flags.trace !== undefined) {
      throw new InputError('--trace', 'is of one run: give --seed in place of --seeds')
    }
  }
  if (flags.trace !== undefined) {
    refuseStandardOutput('--trace', flags.trace, 'a trace')
    checkWritable(flags.trace, '--trace')
  }
  return {
    seeds: flags.seeds === undefined ? oneSeed(flags.seed ?? '1') : seedRange(flags.seeds),
    isSweep: flags.seeds !== undefined,
    trace: flags.trace ?? null,
    costs: costsOf(flags.cost ?? []),
    timeLimitMs: timeLimitMs(flags.timeLimit ?? '1h'),
    timeLimit: flags.timeLimit ?? null,
  }
}

/** For `load`, which measures real threads. */
export function checkThreads(engine: string): void {
  if (engine === 'threads') return
  if (engine === 'virtual') {
    throw new InputError('--engine', 'load measures threads; run a scenario with --engine virtual')
  }
  throw new InputError('--engine', `expected threads, got '${engine}'`)
}

function oneSeed(text: string): SeedRange {
  const seed = seedOf('--seed', text)
  return { from: seed, to: seed }
}

function seedRange(text: string): SeedRange {
  const [, first, last] = /^(\d+)\.\.(\d+)$/.exec(text) ?? []
  if (first === undefined || last === undefined) {
    throw new InputError('--seeds', `expected a range such as 1..1000, got '${text}'`)
  }
  const range = { from: seedOf('--seeds', first), to: seedOf('--seeds', last) }
  if (range.to < range.from) throw new InputError('--seeds', `'${text}' ends before it begins`)
  if (range.to - range.from >= SEEDS_MAX) {
    throw new InputError('--seeds', `'${text}' are more than ${SEEDS_MAX}`)
  }
  return range
}

function seedOf(flag: string, text: string): number {
  const seed = Number(text)
  if (/^\d+$/.test(text) && seed <= SEED_MAX) return seed
  throw new InputError(flag, `expected a whole number from 0 to ${SEED_MAX}, got '${text}'`)
}

function costsOf(texts: readonly string[]): Readonly<Record<string, number>> {
  // Without a prototype, whose names would be taken for costs that are there.
  const costs = Object.create(null) as Record<string, number>
  for (const text of texts) {
    const [, name, ns] = /^(\w+)=(\d+)$/.exec(text) ?? []
    if (name === undefined || ns === undefined) {
      throw new InputError('--cost', `expected name=nanoseconds such as vpUnit=300, got '${text}'`)
    }
    costs[name] = Number(ns)
  }
  try {
    costModel(costs)
  } catch (error) {
    if (error instanceof RangeError) throw new InputError('--cost', error.message)
    throw error
  }
  return costs
}

function timeLimitMs(text: string): number {
  const parsed = parseDurationMs(text)
  if (!parsed.ok) throw new InputError('--time-limit', parsed.problem)
  if (parsed.value >= TIME_LIMIT_MIN_MS && parsed.value <= TIME_LIMIT_MAX_MS) return parsed.value
  throw new InputError('--time-limit', `must be from 1ms to 1000h, got '${text}'`)
}
