/** `guestyard run SCENARIO`. */

import { Command } from 'commander'

import { createProgress, exitCodeOf, loadScenario, runScenario } from '@guestyard/scenario'

import type { CommandOutput } from './command-output.ts'
import { addEngineOption, checkEngine } from './engine-flag.ts'
import { interruptible } from './interrupt.ts'
import { addOutputOptions, checkOutputFlags, logOptions, writeReport } from './output-files.ts'
import type { OutputFlags } from './output-files.ts'

interface RunFlags extends OutputFlags {
  readonly engine: string
}

export function runScenarioCommand(
  output: CommandOutput,
  done: (exitCode: number) => void,
): Command {
  const command = new Command('run')
    .description('Run a scenario file: a module whose default export is defineScenario({ … }).')
    .argument('<scenario>', 'the file, .ts or .js')
  addEngineOption(addOutputOptions(command))
  return command
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, flags: RunFlags) => done(await run(path, flags, output)))
}

const EXAMPLES = `
Examples:
  guestyard run scripts/two-guests.ts
  guestyard run scripts/two-guests.ts --json - | jq .checks
  guestyard run scripts/two-guests.ts --report out.html`

async function run(path: string, flags: RunFlags, output: CommandOutput): Promise<number> {
  checkEngine(flags.engine)
  checkOutputFlags(flags)
  const plan = await loadScenario(path)
  return interruptible(async (signal) => {
    const report = await runScenario(plan, {
      signal,
      progress: createProgress(output.stderr),
      host: { log: logOptions(flags) },
    })
    await writeReport(report, flags, output)
    return exitCodeOf(report)
  })
}
