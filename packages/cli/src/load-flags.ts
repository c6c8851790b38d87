/** The load generator's knobs as flags; every combination of the listed ones is a load. */

import type { Command } from 'commander'

import {
  baselineRefusals,
  checkMeasured,
  InputError,
  loadSettings,
  parseThreshold,
  planLoadTest,
  readBaseline,
  readEnvironment,
  thresholdMetrics,
} from '@guestyard/scenario'
import type { Judgement, LoadOptions, LoadTest, ScenarioPlan } from '@guestyard/scenario'

import { checkThreads } from './engine-flag.ts'
import { addOutputOptions, checkOutputFlags, checkWritable } from './output-files.ts'
import type { OutputFlags } from './output-files.ts'

/** The flags, as commander hands them over: text, unread. */
export interface LoadFlags extends OutputFlags {
  readonly payload: string
  readonly batch?: string
  readonly window: string
  readonly channels: string
  readonly guests: string
  readonly memory: string
  readonly placement: string
  readonly direction: string
  readonly waiting: string
  readonly rootWaiting: string
  readonly spin: string
  readonly ring: string
  readonly rate?: string
  readonly duration?: string
  readonly packets?: string
  readonly warmUp: string
  readonly repeats: string
  readonly threshold?: readonly string[]
  readonly baseline?: string
  readonly tolerance: string
  readonly saveBaseline?: string
  readonly engine: string
}

/** A load test that can be run: every flag read and checked. */
export interface LoadJob {
  readonly plan: ScenarioPlan
  /** What the plan runs on all of its guests at once. */
  readonly loads: readonly LoadOptions[]
  readonly judgement: Judgement
  readonly rootStrategy: 'event-loop' | 'busy'
  readonly output: OutputFlags
  readonly saveBaseline: string | null
}

type Direction = NonNullable<LoadOptions['direction']>
type Waiting = NonNullable<LoadOptions['waiting']>

const GUESTS_MAX = 64

/** Adds every knob to a command. */
export function addLoadOptions(command: Command): Command {
  const repeated = (value: string, before: readonly string[] = []): readonly string[] => [
    ...before,
    value,
  ]
  command
    .option('--payload <sizes>', 'bytes of a packet, 8 B to 64 KiB; a list runs each', '64')
    .option('--batch <counts>', 'packets published at once, 1..1024; a list (default: 32, echo 1)')
    .option('--direction <name>', 'guest-to-root, root-to-guest, both or echo', 'guest-to-root')
    .option('--window <count>', 'echo packets under way on a channel, 1..4096', '1')
    .option(
      '--waiting <names>',
      'how guests wait: busy, adaptive, block, event-loop; a list',
      'adaptive',
    )
    .option('--root-waiting <name>', 'how the root waits: event-loop or busy', 'event-loop')
    .option('--spin <duration>', 'how long a guest spins before it sleeps', '20us')
    .option('--guests <count>', `machines at once, 1..${GUESTS_MAX}`, '1')
    .option('--channels <count>', 'channels of each guest, 1..16', '1')
    .option('--memory <size>', 'RAM of each guest', '64MiB')
    .option('--ring <size>', 'bytes of each ring, its control page included', '1MiB')
    .option('--placement <name>', "the rings' pages: contiguous or scattered", 'contiguous')
    .option('--rate <packets>', 'packets a second over all channels: an open loop')
    .option('--duration <time>', 'how long is measured (default: 1s)')
    .option(
      '--packets <count>',
      'how many packets are measured on a channel, in place of a duration',
    )
    .option('--warm-up <time>', 'what runs before, unmeasured', '200ms')
    .option('--repeats <count>', 'how often each load is measured, in turns', '3')
    .option(
      '--threshold <bound>',
      `a bound, may be repeated: ${thresholdMetrics().join(', ')}`,
      repeated,
    )
    .option('--baseline <file>', 'hold the figures against an earlier run on this machine')
    .option('--tolerance <percent>', 'how much worse than the baseline is taken', '10%')
    .option('--save-baseline <file>', 'keep the figures for later runs')
    .option('--engine <name>', 'what runs the machines: threads', 'threads')
  return addOutputOptions(command)
}

/** Reads and checks every flag; throws `InputError` naming the one that is wrong. Starts nothing. */
export async function readLoadFlags(flags: LoadFlags, name = 'load'): Promise<LoadJob> {
  checkThreads(flags.engine)
  checkOutputFlags(flags)
  if (flags.saveBaseline !== undefined) checkWritable(flags.saveBaseline, '--save-baseline')
  const guests = wholeNumber('--guests', flags.guests, GUESTS_MAX)
  const loads = combinations(flags)
  const settings = loads.map((options) => loadSettings(options, guests, flagOf))
  const thresholds = (flags.threshold ?? []).map((text) => parseThreshold(text, '--threshold'))
  for (const threshold of thresholds) checkMeasured(threshold, settings, '--threshold')
  const tolerance = percentage('--tolerance', flags.tolerance)
  const rootStrategy = oneOf('--root-waiting', flags.rootWaiting, ['event-loop', 'busy'])
  const placement = oneOf('--placement', flags.placement, ['contiguous', 'scattered'])
  const plan = planOf({ name, guests, memory: flags.memory, placement, loads })
  const baseline =
    flags.baseline === undefined ? null : await readBaseline(flags.baseline, '--baseline')
  if (baseline !== null) {
    const refusals = baselineRefusals(baseline, await readEnvironment(), settings)
    if (refusals.length > 0) {
      throw new InputError(
        '--baseline',
        `${flags.baseline} is not comparable: ${refusals.join('; ')}`,
      )
    }
  }
  return {
    plan,
    loads,
    judgement: { thresholds, baseline, tolerance },
    rootStrategy,
    output: flags,
    saveBaseline: flags.saveBaseline ?? null,
  }
}

function planOf(test: LoadTest): ScenarioPlan {
  try {
    return planLoadTest(test, flagOf)
  } catch (error) {
    if (!(error instanceof InputError) || !error.where.endsWith('.memory')) throw error
    throw new InputError('--memory', error.problem)
  }
}

/** Every combination of the flags that take lists. */
function combinations(flags: LoadFlags): readonly LoadOptions[] {
  const common: LoadOptions = {
    window: number('--window', flags.window),
    channels: number('--channels', flags.channels),
    direction: flags.direction as Direction, //  checked with the rest of the settings
    spin: flags.spin,
    ring: sizeOf(flags.ring),
    warmUp: flags.warmUp,
    repeats: number('--repeats', flags.repeats),
    ...(flags.rate === undefined ? {} : { rate: number('--rate', flags.rate) }),
    ...(flags.duration === undefined ? {} : { duration: flags.duration }),
    ...(flags.packets === undefined ? {} : { packets: number('--packets', flags.packets) }),
  }
  const batches = flags.batch === undefined ? [{}] : list('--batch', flags.batch).map(batchOf)
  return list('--waiting', flags.waiting).flatMap((waiting) =>
    batches.flatMap((batch) =>
      list('--payload', flags.payload).map((payload) => ({
        ...common,
        ...batch,
        waiting: waiting as Waiting,
        payload: sizeOf(payload),
      })),
    ),
  )
}

function batchOf(text: string): LoadOptions {
  return { batch: number('--batch', text) }
}

/** The flag behind an option: `warmUp` is `--warm-up`. */
function flagOf(option: string): string {
  return `--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

function list(flag: string, text: string): readonly string[] {
  const parts = text.split(',').map((part) => part.trim())
  if (parts.includes('')) throw new InputError(flag, `'${text}' has an empty entry`)
  return parts
}

/** A size without a unit is bytes. */
function sizeOf(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text
}

function number(flag: string, text: string): number {
  if (/^\d+(\.\d+)?(e\d+)?$/i.test(text)) return Number(text)
  throw new InputError(flag, `'${text}' is not a number`)
}

function wholeNumber(flag: string, text: string, most: number): number {
  const value = number(flag, text)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new InputError(flag, `must be a whole number from 1 to ${most}, got ${text}`)
}

function percentage(flag: string, text: string): number {
  const digits = /^(\d+(?:\.\d+)?) ?%$/.exec(text)?.[1]
  const value = digits === undefined ? Number.NaN : Number(digits)
  if (value >= 0 && value < 100) return value / 100
  throw new InputError(flag, `'${text}' is not a percentage below 100 such as 10%`)
}

function oneOf<const T extends string>(flag: string, text: string, known: readonly T[]): T {
  const found = known.find((name) => name === text)
  if (found !== undefined) return found
  throw new InputError(flag, `expected ${known.join(' or ')}, got '${text}'`)
}
