/** `guestyard run SCENARIO`. */

import { Command } from 'commander'

import {
  VirtualPool,
  createProgress,
  exitCodeOf,
  loadScenario,
  runScenario,
} from '@guestyard/scenario'
import type { RunReport, VirtualJob } from '@guestyard/scenario'

import type { CommandOutput } from './command-output.ts'
import { addEngineOptions, costHelp, readEngineFlags } from './engine-flag.ts'
import type { EngineFlags, VirtualFlags } from './engine-flag.ts'
import { interruptible } from './interrupt.ts'
import {
  OutputError,
  addOutputOptions,
  checkOutputFlags,
  logOptions,
  writeReport,
} from './output-files.ts'
import type { OutputFlags } from './output-files.ts'
import { checkSweepFlags, runSweep } from './seed-sweep.ts'

type RunFlags = OutputFlags & EngineFlags

export function runScenarioCommand(
  output: CommandOutput,
  done: (exitCode: number) => void,
): Command {
  const command = new Command('run')
    .description('Run a scenario file: a module whose default export is defineScenario({ … }).')
    .argument('<scenario>', 'the file, .ts or .js')
  addEngineOptions(addOutputOptions(command))
  return command
    .addHelpText('after', `${costHelp()}${EXAMPLES}`)
    .action(async (path: string, flags: RunFlags) => done(await run(path, flags, output)))
}

const EXAMPLES = `
Examples:
  guestyard run scripts/two-guests.ts
  guestyard run scripts/two-guests.ts --json - | jq .checks
  guestyard run scripts/two-guests.ts --report out.html
  guestyard run scripts/two-guests.ts --engine virtual --seed 7 --trace out.trace
  guestyard run scripts/two-guests.ts --seeds 1..1000`

async function run(path: string, flags: RunFlags, output: CommandOutput): Promise<number> {
  const virtual = readEngineFlags(flags)
  checkOutputFlags(flags, flags.trace)
  if (virtual?.isSweep === true) {
    checkSweepFlags(flags)
    await loadScenario(path)
    return interruptible((signal) => runSweep(path, virtual, flags, output, signal))
  }
  // Read here as well when another thread runs it: what is wrong with it is said before anything is started.
  const plan = await loadScenario(path)
  return interruptible(async (signal) => {
    if (virtual !== null) {
      return runInVirtualTime(jobOf(path, virtual, flags), flags, output, signal)
    }
    const progress = createProgress(output.stderr)
    const report = await runScenario(plan, { signal, progress, host: { log: logOptions(flags) } })
    await writeReport(report, flags, output)
    return exitCodeOf(report)
  })
}

function jobOf(path: string, virtual: VirtualFlags, flags: RunFlags): VirtualJob {
  const { seeds, trace, costs, timeLimitMs } = virtual
  const log = flags.log === undefined ? null : ({ path: flags.log, level: 'debug' } as const)
  return { path, seed: seeds.from, costs, trace, log, timeLimitMs }
}

async function runInVirtualTime(
  job: VirtualJob,
  flags: RunFlags,
  output: CommandOutput,
  signal: AbortSignal,
): Promise<number> {
  const pool = new VirtualPool({ threads: 1 })
  const progress = createProgress(output.stderr)
  let report: RunReport
  let traceProblem: string | null = null
  const onTraceProblem = (problem: string): void => void (traceProblem = problem)
  try {
    report = await pool.run(job, { progress, signal, onTraceProblem })
  } finally {
    progress.end()
    await pool.close()
  }
  await writeReport(report, flags, output)
  if (traceProblem !== null) throw new OutputError('--trace', String(job.trace), traceProblem)
  return exitCodeOf(report)
}
