/**
 * The load generator's plan: warm-up and repeats, several guests at once, sizes interleaved. The hot
 * loop itself runs inside the guests; here is only what surrounds it, and nothing is timed here but
 * the CPU that the whole process used meanwhile.
 */

import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'

import { mergeGuests, summarizeRepeats } from './channel-report.ts'
import type { ChannelReport, RepeatReport } from './channel-report.ts'
import { checkGuestResult } from './guest-result.ts'
import type { GuestResult } from './guest-result.ts'
import { loadSettings, loadSpec, sweepSettings } from './settings.ts'
import type { LoadOptions, LoadSettings, SweepOptions } from './settings.ts'

/** What runs load: a machine, as far as the generator needs to know. */
export interface LoadTarget {
  readonly name: string
  runLoad(spec: LoadSpec): Promise<LoadResult>
}

/** Handed to a scenario as `load`. One call at a time measures; a second one waits for the first. */
export interface LoadGenerator {
  /** Runs one load on one machine, or on several at once. */
  channel(vms: LoadTarget | readonly LoadTarget[], options?: LoadOptions): Promise<ChannelReport>
  /** Runs several loads; their repeats take turns. */
  each(
    vms: LoadTarget | readonly LoadTarget[],
    loads: readonly LoadOptions[],
  ): Promise<readonly ChannelReport[]>
  /** Runs the same load at several payload sizes; their repeats take turns. */
  sweep(
    vms: LoadTarget | readonly LoadTarget[],
    options: SweepOptions,
  ): Promise<readonly ChannelReport[]>
}

export interface LoadHooks {
  /** Before each repeat; `text` fits on a line. */
  readonly onProgress?: (text: string) => void
  /** After each load, with its report. */
  readonly onReport?: (report: ChannelReport) => void
  readonly signal?: AbortSignal
  /** How long after its planned end a guest may take to answer; 10 s by default. */
  readonly answerWithinMs?: number
  /** CPU time of the process so far, milliseconds; for tests. */
  readonly cpuMs?: () => number
  /** For tests. */
  readonly nowMs?: () => number
}

const ANSWER_WITHIN_MS = 10_000

export function createLoadGenerator(hooks: LoadHooks = {}): LoadGenerator {
  let last: Promise<unknown> = Promise.resolve()
  // Two loads at once would measure each other; the second starts when the first is done.
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work, work)
    last = turn.catch(() => undefined)
    return turn
  }
  return {
    async channel(vms, options = {}) {
      const targets = asList(vms)
      const settings = loadSettings(options, targets.length)
      const [report] = await inTurn(() => runLoads(targets, [settings], hooks))
      if (report === undefined) throw new Error('a load of one setting has one report')
      return report
    },
    async each(vms, loads) {
      const targets = asList(vms)
      const settings = loads.map((options) => loadSettings(options, targets.length))
      return inTurn(() => runLoads(targets, settings, hooks))
    },
    async sweep(vms, options) {
      const targets = asList(vms)
      const settings = sweepSettings(options, targets.length)
      return inTurn(() => runLoads(targets, settings, hooks))
    },
  }
}

/**
 * Runs each setting `repeats` times on all targets at once. The repeats of different settings take
 * turns, so that a machine which changes its speed meanwhile changes it for all of them.
 */
export async function runLoads(
  targets: readonly LoadTarget[],
  settings: readonly LoadSettings[],
  hooks: LoadHooks = {},
): Promise<readonly ChannelReport[]> {
  const names = targets.map((target) => target.name)
  const found = settings.map((of) => ({
    of,
    repeats: [] as RepeatReport[],
    latencies: [] as string[],
  }))
  const rounds = Math.max(...settings.map((of) => of.repeats))
  for (let round = 0; round < rounds; round++) {
    for (const { of, repeats, latencies } of found) {
      if (round >= of.repeats) continue
      hooks.signal?.throwIfAborted()
      hooks.onProgress?.(`${of.name}: ${round + 1} of ${of.repeats}`)
      const { results, report } = await runOnce(targets, of, hooks)
      repeats.push(report)
      for (const result of results) {
        if (result.latency !== null) latencies.push(result.latency.histogram)
      }
    }
  }
  const reports = found.map(({ of, repeats, latencies }) =>
    summarizeRepeats(of, names, repeats, latencies),
  )
  for (const report of reports) hooks.onReport?.(report)
  return reports
}

async function runOnce(
  targets: readonly LoadTarget[],
  settings: LoadSettings,
  hooks: LoadHooks,
): Promise<{ readonly results: readonly GuestResult[]; readonly report: RepeatReport }> {
  const nowMs = hooks.nowMs ?? (() => performance.now())
  const cpuMs = hooks.cpuMs ?? processCpuMs
  const spec = loadSpec(settings)
  const startedMs = nowMs()
  const cpuBefore = cpuMs()
  const answers = targets.map((target) => inTime(target, settings, spec, hooks))
  const said = await orAborted(Promise.all(answers), hooks.signal)
  const cost = { wallMs: nowMs() - startedMs, cpuMs: cpuMs() - cpuBefore }
  const results = said.map((result, index) => checkGuestResult(targets[index]?.name ?? '', result))
  return { results, report: mergeGuests(results, cost) }
}

/** A guest's answer. One that stays away fails a load that is measured by time; a count may take as long as it takes. */
async function inTime(
  target: LoadTarget,
  settings: LoadSettings,
  spec: LoadSpec,
  hooks: LoadHooks,
): Promise<LoadResult> {
  const answer = target.runLoad(spec)
  if (settings.durationMs === null) return answer
  const patienceMs = hooks.answerWithinMs ?? ANSWER_WITHIN_MS
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => {
      const after = `${patienceMs} ms after the planned end`
      late.reject(new Error(`${settings.name}: no answer from ${target.name} ${after}`))
    },
    settings.warmUpMs + settings.durationMs + patienceMs,
  )
  try {
    return await Promise.race([answer, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** The promise, or the signal's reason if that comes first; no listener stays behind. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason as Error)
  // The race is held even when it is lost already: `work` may reject later, and somebody must have heard.
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function processCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function asList<T>(one: T | readonly T[]): readonly T[] {
  return Array.isArray(one) ? (one as readonly T[]) : [one as T]
}
