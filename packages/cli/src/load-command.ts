/** `guestyard load`: the load generator from the command line. */

import { Command } from 'commander'

import {
  createBaseline,
  createProgress,
  exitCodeOf,
  judgeLoadTest,
  runScenario,
  saveBaseline,
} from '@guestyard/scenario'
import type { RunReport, ScenarioContext, ScenarioPlan } from '@guestyard/scenario'

import type { CommandOutput } from './command-output.ts'
import { interruptible } from './interrupt.ts'
import { addLoadOptions, readLoadFlags } from './load-flags.ts'
import type { LoadFlags, LoadJob } from './load-flags.ts'
import { logOptions, writeReport } from './output-files.ts'

export function loadCommand(output: CommandOutput, done: (exitCode: number) => void): Command {
  const command = new Command('load').description(
    'Measure channels between guests and the root: throughput, latency, signals, CPU time.',
  )
  return addLoadOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (flags: LoadFlags) => {
      const job = await readLoadFlags(flags)
      done(await interruptible(async (signal) => exitCodeOf(await runLoadJob(job, output, signal))))
    })
}

const EXAMPLES = `
Examples:
  guestyard load
  guestyard load --payload 64,256,1KiB,4KiB --duration 2s --report out.html
  guestyard load --guests 4 --channels 2 --batch 1,32
  guestyard load --direction echo --waiting busy,adaptive,block
  guestyard load --rate 50000 --duration 5s --threshold 'p99<200us'
  guestyard load --save-baseline base.json
  guestyard load --baseline base.json --tolerance 15%`

/** More to do on a load test's machines, after its loads; what it returns is kept in the JSON. */
export type MoreLoad = (context: ScenarioContext) => Promise<Readonly<Record<string, unknown>>>

/** Runs a load test, writes what was asked for, and resolves with its judged report. */
export async function runLoadJob(
  job: LoadJob,
  output: CommandOutput,
  signal: AbortSignal,
  more: MoreLoad = () => Promise.resolve({}),
): Promise<RunReport> {
  let found: Readonly<Record<string, unknown>> = {}
  const plan: ScenarioPlan = {
    ...job.plan,
    async run(context) {
      await job.plan.run(context)
      found = await more(context)
    },
  }
  const ran = await runScenario(plan, {
    signal,
    progress: createProgress(output.stderr),
    host: { rootStrategy: job.rootStrategy, log: logOptions(job.output) },
  })
  const report = { ...found, ...judgeLoadTest(ran, job.judgement) }
  await writeReport(report, job.output, output)
  const { environment } = report
  const isKept = job.saveBaseline !== null && report.outcome === 'passed'
  if (isKept && !('engine' in environment)) {
    const baseline = createBaseline(environment, report.loads, new Date(report.startedAt))
    await saveBaseline(job.saveBaseline, baseline)
  }
  return report
}
