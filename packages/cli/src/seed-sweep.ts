/** `guestyard run SCENARIO --seeds A..B`: many interleavings, until one fails. */

import { InputError, VirtualPool, createProgress, textReport } from '@guestyard/scenario'
import type { RunReport } from '@guestyard/scenario'

import type { CommandOutput } from './command-output.ts'
import type { VirtualFlags } from './engine-flag.ts'
import { writeOutput } from './output-files.ts'
import type { OutputFlags } from './output-files.ts'

/** The lowest seed that failed, and what it left. */
interface Failure {
  readonly seed: number
  /** `null`: the run left none, and `message` says why. */
  readonly report: RunReport | null
  readonly message: string | null
}

interface Sweep {
  next: number
  /** Seeds that ended and passed. */
  passed: number
  failure: Failure | null
}

/** A sweep has no page and no log: those are of one run. */
export function checkSweepFlags(flags: OutputFlags): void {
  const stray = flags.report === undefined ? (flags.log === undefined ? null : '--log') : '--report'
  if (stray !== null) throw new InputError(stray, 'is of one run: give --seed in place of --seeds')
}

/** Runs every seed. The exit code: 0, 1 for a failure, 130 when interrupted. */
export async function runSweep(
  path: string,
  virtual: VirtualFlags,
  flags: OutputFlags,
  output: CommandOutput,
  signal: AbortSignal,
): Promise<number> {
  const { seeds, costs, timeLimitMs } = virtual
  const pool = new VirtualPool()
  const progress = createProgress(output.stderr)
  const sweep: Sweep = { next: seeds.from, passed: 0, failure: null }
  const count = seeds.to - seeds.from + 1
  progress.line(`${path}: seeds ${seeds.from}..${seeds.to}, ${pool.threads} at a time`)
  const runSeeds = async (): Promise<void> => {
    // A failure ends the sweep, but lower seeds that are running may fail as well: the lowest is the answer.
    while (sweep.next <= seeds.to && sweep.failure === null && !signal.aborted) {
      const seed = sweep.next
      sweep.next += 1
      const job = { path, seed, costs, trace: null, log: null, timeLimitMs }
      try {
        const report = await pool.run(job, { signal })
        if (report.outcome === 'passed') sweep.passed += 1
        else if (report.outcome === 'failed') noteFailure(sweep, { seed, report, message: null })
      } catch (error) {
        // It hangs, or fails where it is loaded: a failure of this seed like any other.
        if (signal.aborted) throw error
        const message = error instanceof Error ? error.message : String(error)
        noteFailure(sweep, { seed, report: null, message })
      }
      progress.update(`${path}: ${sweep.passed} of ${count} seeds passed`)
    }
  }
  try {
    await Promise.all(Array.from({ length: pool.threads }, runSeeds))
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    progress.end()
    await pool.close()
  }
  await say(sweep, path, virtual, flags, output, signal.aborted)
  if (signal.aborted) return 130
  return sweep.failure === null ? 0 : 1
}

function noteFailure(sweep: Sweep, failure: Failure): void {
  if (sweep.failure === null || failure.seed < sweep.failure.seed) sweep.failure = failure
}

async function say(
  sweep: Sweep,
  path: string,
  virtual: VirtualFlags,
  flags: OutputFlags,
  output: CommandOutput,
  isInterrupted: boolean,
): Promise<void> {
  const { from, to } = virtual.seeds
  const { failure, passed } = sweep
  const text = flags.json === '-' ? output.stderr : output.stdout
  const replay = failure === null ? null : replayCommand(path, failure.seed, virtual)
  if (failure !== null) {
    text.write(failure.report === null ? `${failure.message}\n` : textReport(failure.report))
    text.write(`seed ${failure.seed} failed, ${passed} passed. To see it again:\n  ${replay}\n`)
  } else {
    const end = isInterrupted ? ', then interrupted' : ''
    text.write(`seeds ${from}..${to}: ${passed} passed${end}\n`)
  }
  if (flags.json === undefined) return
  const found = failure === null ? null : { ...failure, replay }
  const json = `${JSON.stringify({ scenario: path, seeds: { from, to }, passed, failure: found }, null, 2)}\n`
  if (flags.json === '-') output.stdout.write(json)
  else await writeOutput('--json', flags.json, json)
}

function replayCommand(path: string, seed: number, virtual: VirtualFlags): string {
  const costs = Object.entries(virtual.costs).map(([name, ns]) => ` --cost ${name}=${ns}`)
  const limit = virtual.timeLimit === null ? '' : ` --time-limit ${quoted(virtual.timeLimit)}`
  return `guestyard run ${quoted(path)} --engine virtual --seed ${seed}${costs.join('')}${limit}`
}

/** As a POSIX shell takes it for one word. */
function quoted(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
