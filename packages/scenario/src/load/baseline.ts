/**
 * Baselines: a load's figures kept in a file, and later runs held against them. Figures from another
 * machine, another Node or other settings say nothing, so such a comparison is refused, with the
 * reason; it can be refused before anything has started.
 */

import { readFile, writeFile } from 'node:fs/promises'

import * as v from 'valibot'

import type { Environment } from '../environment.ts'
import type { CheckResult } from '../expect.ts'
import { InputError } from '../input-error.ts'
import { formatCount, formatNs } from '../quantity.ts'
import type { ChannelReport } from './channel-report.ts'
import type { LoadSettings } from './settings.ts'

const FORMAT = 'guestyard-load-baseline-1'

/** One load of a baseline: what was asked, and the figures that later runs are held to. */
export interface BaselineEntry {
  readonly settings: LoadSettings
  readonly packetsPerSecond: number
  readonly p50Ns: number | null
  readonly p99Ns: number | null
}

export interface Baseline {
  readonly format: typeof FORMAT
  readonly taken: string
  readonly environment: Environment
  readonly entries: readonly BaselineEntry[]
}

const text = v.string()
const figure = v.pipe(v.number(), v.finite(), v.minValue(0))

const settingsSchema = v.object({
  name: text,
  guests: figure,
  payloadBytes: figure,
  batch: figure,
  window: figure,
  channels: figure,
  direction: v.picklist(['guest-to-root', 'root-to-guest', 'both', 'echo']),
  waiting: v.picklist(['busy', 'adaptive', 'block', 'event-loop']),
  spinMicroseconds: figure,
  ringBytes: figure,
  ratePerSecond: v.nullable(figure),
  durationMs: v.nullable(figure),
  packets: v.nullable(figure),
  warmUpMs: figure,
  repeats: figure,
})

const baselineSchema = v.object({
  format: v.literal(FORMAT),
  taken: text,
  environment: v.object({
    machine: v.object({
      hostname: text,
      cpuModel: text,
      logicalProcessors: figure,
      memoryBytes: figure,
      platform: text,
      arch: text,
      osRelease: text,
    }),
    node: text,
    v8: text,
    commit: v.nullable(text),
    modified: v.boolean(),
  }),
  entries: v.array(
    v.object({
      settings: settingsSchema,
      packetsPerSecond: figure,
      p50Ns: v.nullable(figure),
      p99Ns: v.nullable(figure),
    }),
  ),
})

/** A baseline of these reports. */
export function createBaseline(
  environment: Environment,
  reports: readonly ChannelReport[],
  taken: Date,
): Baseline {
  return {
    format: FORMAT,
    taken: taken.toISOString(),
    environment,
    entries: reports.map((report) => ({
      settings: report.settings,
      packetsPerSecond: report.packetsPerSecond,
      p50Ns: report.latency?.p50Ns ?? null,
      p99Ns: report.latency?.p99Ns ?? null,
    })),
  }
}

export async function saveBaseline(path: string, baseline: Baseline): Promise<void> {
  await writeFile(path, `${JSON.stringify(baseline, null, 2)}\n`)
}

/** Reads a baseline file; throws `InputError` at `where` when it is none. */
export async function readBaseline(path: string, where: string): Promise<Baseline> {
  const content = await readFile(path, 'utf8').catch((error: unknown) => {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new InputError(
      where,
      isMissing ? `no file ${path}` : `cannot read ${path}: ${messageOf(error)}`,
    )
  })
  const parsed = v.safeParse(baselineSchema, parseJson(content, path, where), { abortEarly: true })
  if (parsed.success) return parsed.output
  const issue = parsed.issues[0]
  const field = v.getDotPath(issue)
  const what =
    field === null ? 'not an object' : `${issue.input === undefined ? 'no' : 'another'} "${field}"`
  throw new InputError(where, `${path}: not a baseline of guestyard (${what})`)
}

/**
 * Why a baseline cannot be compared with a run in this environment and with these settings: each
 * difference as a phrase. Empty when it can.
 */
export function baselineRefusals(
  baseline: Baseline,
  environment: Environment,
  settings: readonly LoadSettings[],
): readonly string[] {
  const { machine: there } = baseline.environment
  const { machine: here } = environment
  const refusals: string[] = []
  const compare = (what: string, before: unknown, now: unknown): void => {
    if (!Object.is(before, now)) refusals.push(`${what} was ${String(before)}, is ${String(now)}`)
  }
  compare('machine', there.hostname, here.hostname)
  compare('processor', there.cpuModel, here.cpuModel)
  compare('logical processors', there.logicalProcessors, here.logicalProcessors)
  compare('platform', `${there.platform} ${there.arch}`, `${here.platform} ${here.arch}`)
  compare('Node', baseline.environment.node, environment.node)
  compare('number of loads', baseline.entries.length, settings.length)
  if (baseline.entries.length !== settings.length) return refusals
  for (const [index, now] of settings.entries()) {
    const before = baseline.entries[index]?.settings
    if (before === undefined) continue
    for (const key of Object.keys(now) as (keyof LoadSettings)[]) {
      if (key !== 'name') compare(`${key} of load ${index + 1}`, before[key], now[key])
    }
  }
  return refusals
}

/**
 * Holds reports against a baseline that was not refused: no figure may be worse by more than the
 * tolerance (0.1: a tenth).
 */
export function compareWithBaseline(
  baseline: Baseline,
  reports: readonly ChannelReport[],
  tolerance: number,
): readonly CheckResult[] {
  return reports.flatMap((report, index) => {
    const before = baseline.entries[index]
    if (before === undefined) return []
    const name = `${report.settings.name}, against the baseline`
    const checks = [
      check(
        `${name}: packets/s`,
        report.packetsPerSecond,
        before.packetsPerSecond * (1 - tolerance),
        'at least',
        formatCount,
      ),
    ]
    for (const [label, was, now] of [
      ['p50', before.p50Ns, report.latency?.p50Ns],
      ['p99', before.p99Ns, report.latency?.p99Ns],
    ] as const) {
      if (was === null || now === undefined) continue
      checks.push(check(`${name}: ${label}`, now, was * (1 + tolerance), 'at most', formatNs))
    }
    return checks
  })
}

function check(
  name: string,
  actual: number,
  bound: number,
  side: 'at least' | 'at most',
  format: (value: number) => string,
): CheckResult {
  return {
    name,
    passed: side === 'at least' ? actual >= bound : actual <= bound,
    actual: format(actual),
    bound: `${side === 'at least' ? '>=' : '<='} ${format(bound)}`,
  }
}

function parseJson(content: string, path: string, where: string): unknown {
  try {
    return JSON.parse(content)
  } catch (error) {
    throw new InputError(where, `${path} is not JSON: ${messageOf(error)}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
