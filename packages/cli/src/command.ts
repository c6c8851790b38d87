/** The `guestyard` command: its subcommands, its exit codes, its one-line refusals. */

import { readFileSync } from 'node:fs'

import { Command } from 'commander'

import type { CommandOutput } from './command-output.ts'
import { diskCommand } from './disk-command.ts'
import { tellError } from './exit-code.ts'
import { guestCommand } from './guest-command.ts'
import { linuxCommand } from './linux-command.ts'
import { loadCommand } from './load-command.ts'
import { runScenarioCommand } from './run-command.ts'
import { traceCommand } from './trace-command.ts'

/**
 * Runs the command and resolves with its exit code: 0 done and every bound held, 1 a bound or the run
 * failed, 2 bad input and nothing started, 130 interrupted.
 */
export async function runCommand(
  args: readonly string[],
  output: CommandOutput = process,
): Promise<number> {
  let exitCode = 0
  const program = new Command('guestyard')
    .description(
      'Run multi-guest scenarios, load tests and a stock Linux on a Hyper-V compatible bus; make their disks.',
    )
    .version(packageVersion(), '--version', 'print the version')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
  const done = (code: number): void => {
    exitCode = code
  }
  program.addCommand(runScenarioCommand(output, done))
  program.addCommand(loadCommand(output, done))
  program.addCommand(traceCommand(output))
  program.addCommand(diskCommand(output, done))
  program.addCommand(linuxCommand(output, done))
  program.addCommand(guestCommand(output))
  for (const command of withSubcommands(program)) {
    command
      .helpOption('-h, --help', 'print this help')
      .exitOverride()
      .configureOutput({
        writeOut: (text) => output.stdout.write(text),
        writeErr: (text) => output.stderr.write(text),
        outputError: (text, write) => write(`guestyard: ${oneLine(text)}\n`),
      })
  }
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    return tellError(error, output.stderr)
  }
  return exitCode
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap((child) => withSubcommands(child))]
}

const EXAMPLES = `
Examples:
  guestyard run scripts/two-guests.ts --report out.html
  guestyard run scripts/two-guests.ts --engine virtual --seed 7 --trace out.trace
  guestyard trace out.trace --kind interrupt
  guestyard load --payload 64,1KiB,16KiB --batch 32 --duration 2s
  guestyard load --direction echo --waiting busy,adaptive --threshold 'p99<50us'
  guestyard disk create db.vhdx --size 1GiB
  guestyard guest fetch linux
  guestyard linux

Exit codes: 0 done, 1 a bound or the run failed, 2 bad input (nothing started), 130 interrupted.`

/** Commander adds a second line with a suggestion; a refusal here is one line. */
function oneLine(text: string): string {
  return text
    .trim()
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  const { version } = manifest as { version: string }
  return version
}
