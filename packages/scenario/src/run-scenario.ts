/**
 * Runs a plan: host up, machines made and started, `run` called, everything stopped, always. What
 * happened comes back as a report; only a host that cannot be closed throws.
 */

import { startHost as startRealHost } from '@guestyard/management'
import type { HostOptions, VmExit, VmState } from '@guestyard/management'

import { readEnvironment } from './environment.ts'
import type { RunEnvironment } from './environment.ts'
import { callSite, createExpect } from './expect.ts'
import type { CheckResult } from './expect.ts'
import type { ChannelReport } from './load/channel-report.ts'
import { createLoadGenerator, orAborted } from './load/load-generator.ts'
import type { ScenarioPlan } from './plan.ts'
import { placeIn } from './place.ts'
import { silentProgress } from './progress.ts'
import type { Progress } from './progress.ts'
import type { ScenarioContext } from './scenario.ts'
import { groupOf, trackVm } from './vm-handle.ts'
import type { ScenarioHost, StartHost, TrackedVm, VmHandle } from './vm-handle.ts'

export interface RunOptions {
  /** Interrupts the run; everything is stopped all the same. */
  readonly signal?: AbortSignal
  /** Where the reader follows; nobody by default. */
  readonly progress?: Progress
  /** More for the host: how the root waits, where its log goes. */
  readonly host?: Pick<HostOptions, 'log' | 'rootStrategy' | 'rootSpinMicroseconds'>
  /** `startHost` of management by default. */
  readonly startHost?: StartHost
  /** What the figures depend on; this machine by default. */
  readonly environment?: RunEnvironment
  /** Processor time used so far, milliseconds; this process's by default. */
  readonly cpuMs?: () => number
  /** What ended a run, for its report. */
  readonly describeError?: (error: unknown, fileUrl: string | undefined) => RunError
}

/** One machine in a report. */
export interface VmReport {
  readonly name: string
  /** RAM at its end, what was added included. */
  readonly memoryBytes: number
  /** As it was when `run` ended. */
  readonly state: VmState
  readonly startMs: number | null
  readonly exit: VmExit | null
}

/** What ended a run before its time. */
export interface RunError {
  /** The error's class; `null` when what was thrown is none. */
  readonly name: string | null
  readonly message: string
  /** Where it passed through the scenario file, such as `two-guests.ts:31`; `null` when it did not. */
  readonly place: string | null
  readonly stack: string | null
}

/** What a run leaves. */
export interface RunReport {
  readonly scenario: string
  readonly outcome: 'passed' | 'failed' | 'interrupted'
  /** Why it failed, when something else than a check did. */
  readonly error: RunError | null
  readonly checks: readonly CheckResult[]
  readonly loads: readonly ChannelReport[]
  readonly vms: readonly VmReport[]
  readonly log: readonly { readonly atMs: number; readonly text: string }[]
  readonly startedAt: string
  readonly durationMs: number
  readonly environment: RunEnvironment
}

/** What is kept while a run goes on. */
interface Records {
  readonly checks: CheckResult[]
  readonly loads: ChannelReport[]
  readonly log: { readonly atMs: number; readonly text: string }[]
  vms: readonly VmReport[]
  error: RunError | null
}

/** Runs a scenario to its end, and stops everything it started. */
export async function runScenario(
  plan: ScenarioPlan,
  options: RunOptions = {},
): Promise<RunReport> {
  const environment = options.environment ?? (await readEnvironment())
  const startedAt = new Date()
  const startedMs = performance.now()
  const records: Records = { checks: [], loads: [], log: [], vms: [], error: null }
  const progress = options.progress ?? silentProgress
  try {
    await runOnHost(plan, options, progress, records, startedMs)
  } catch (error) {
    records.error = (options.describeError ?? describeError)(error, plan.fileUrl)
  } finally {
    progress.end()
  }
  const interrupted = options.signal?.aborted === true
  const failed = records.error !== null || records.checks.some((check) => !check.passed)
  return {
    scenario: plan.name,
    outcome: interrupted ? 'interrupted' : failed ? 'failed' : 'passed',
    ...records,
    startedAt: startedAt.toISOString(),
    durationMs: performance.now() - startedMs,
    environment,
  }
}

/** The exit code that says how a run went: 0, 1, or 130 as for any interrupted program. */
export function exitCodeOf(report: Pick<RunReport, 'outcome'>): 0 | 1 | 130 {
  switch (report.outcome) {
    case 'passed':
      return 0
    case 'failed':
      return 1
    case 'interrupted':
      return 130
  }
}

/** The report with more checks held against it: its outcome follows. */
export function withChecks(report: RunReport, more: readonly CheckResult[]): RunReport {
  const failed = more.some((check) => !check.passed)
  return {
    ...report,
    checks: [...report.checks, ...more],
    outcome: failed && report.outcome === 'passed' ? 'failed' : report.outcome,
  }
}

async function runOnHost(
  plan: ScenarioPlan,
  options: RunOptions,
  progress: Progress,
  records: Records,
  startedMs: number,
): Promise<void> {
  const { signal = new AbortController().signal, startHost = startRealHost } = options
  signal.throwIfAborted()
  progress.update('starting the host')
  const host = await startHost({
    ...options.host,
    ...(plan.logicalProcessors === undefined ? {} : { logicalProcessors: plan.logicalProcessors }),
    scheduler: plan.scheduler,
    threadsPerCore: plan.threadsPerCore,
    sliceMs: plan.sliceMs,
    switches: plan.switches,
    ...(plan.hostMemoryBytes === undefined ? {} : { hostMemoryBytes: plan.hostMemoryBytes }),
  })
  let tracked: readonly TrackedVm[] = []
  try {
    signal.throwIfAborted()
    tracked = startVms(plan, host)
    progress.update(`starting ${tracked.length} ${tracked.length === 1 ? 'guest' : 'guests'}`)
    const context = contextOf(
      plan,
      host,
      tracked,
      { ...options, signal },
      progress,
      records,
      startedMs,
    )
    await orAborted(Promise.resolve(plan.run(context)), signal)
  } finally {
    records.vms = tracked.map((of, index) => vmReport(of, plan.vms[index]?.memoryBytes ?? 0))
    progress.update('stopping')
    await host.close()
  }
  const unnoticed = tracked.flatMap((of) => {
    const failure = of.unnoticedFailure()
    return failure === undefined ? [] : [`vms.${of.vm.name} ${failure}`]
  })
  if (unnoticed.length > 0) throw new Error(unnoticed.join('; '))
}

/** All machines are made before the first one starts, so that a refused one costs nothing. */
function startVms(plan: ScenarioPlan, host: ScenarioHost): readonly TrackedVm[] {
  const vms = plan.vms.map((vm) =>
    host.createVm({
      name: vm.name,
      memoryBytes: vm.memoryBytes,
      memoryMaximumBytes: vm.memoryMaximumBytes,
      program: vm.program,
      linux: vm.linux,
      args: vm.args,
      weight: vm.weight,
      cap: vm.cap,
      reserve: vm.reserve,
      relay: vm.relay,
      placement: vm.placement,
      disks: vm.disks,
      nics: vm.nics,
    }),
  )
  return vms.map((vm) => trackVm(vm, undefined, plan.fileUrl))
}

function contextOf(
  plan: ScenarioPlan,
  host: ScenarioHost,
  tracked: readonly TrackedVm[],
  options: RunOptions & { readonly signal: AbortSignal },
  progress: Progress,
  records: Records,
  startedMs: number,
): ScenarioContext {
  const { signal, cpuMs, environment } = options
  const handles = tracked.map((of) => of.handle)
  const vms: Record<string, VmHandle> = {}
  for (const handle of handles) vms[handle.name] = handle
  return {
    // The plan's names are the definition's names: `planScenario` made one from the other.
    vms: { ...vms, all: groupOf(handles) } as ScenarioContext['vms'],
    host: { inspect: () => host.inspect() },
    load: createLoadGenerator({
      signal,
      ...(cpuMs === undefined ? {} : { cpuMs }),
      onProgress: (text) => progress.update(text),
      onReport: (report) => records.loads.push(report),
    }),
    expect: createExpect(records.checks, () => callSite(plan.fileUrl, records.checks.length)),
    log(text) {
      records.log.push({ atMs: performance.now() - startedMs, text })
      progress.line(text)
    },
    signal,
    engine: environment !== undefined && 'engine' in environment ? environment.engine : 'threads',
  }
}

function vmReport(of: TrackedVm, startupBytes: number): VmReport {
  const { vm } = of
  const memoryBytes = of.grownBytes() ?? startupBytes
  return { name: vm.name, memoryBytes, state: vm.state, startMs: of.startMs(), exit: vm.lastExit }
}

function describeError(error: unknown, fileUrl: string | undefined): RunError {
  if (!(error instanceof Error)) {
    return { name: null, message: String(error), place: null, stack: null }
  }
  const { name, message, stack = null } = error
  const place = fileUrl === undefined || stack === null ? null : (placeIn(fileUrl, stack) ?? null)
  return { name, message, place, stack }
}
