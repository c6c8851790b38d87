/** How the command ends when something was thrown: what it says, and its exit code. */

import { CommanderError } from 'commander'

import { InputError, RunHangs } from '@guestyard/scenario'
import { FetchError } from '@guestyard/x86-partition/node'

import type { CommandOutput } from './command-output.ts'
import { DiskError } from './disk-report.ts'
import { EXIT_INTERRUPTED, Interrupted } from './interrupt.ts'
import { MachineEnded } from './linux-command.ts'
import { OutputError } from './output-files.ts'

/** Something the caller gave was wrong, and nothing was started. */
const EXIT_BAD_INPUT = 2
const EXIT_FAILED = 1
/** What can go wrong on the way without a bug of ours. */
const FAILURES = [OutputError, DiskError, RunHangs, MachineEnded, FetchError] as const

/** Writes what ended the command, unless it has been said: one line for what is no bug of ours. The exit code. */
export function tellError(error: unknown, stderr: CommandOutput['stderr']): number {
  if (error instanceof CommanderError) {
    if (error.code === 'commander.help') return EXIT_BAD_INPUT //  no subcommand: help on stderr
    return error.exitCode === 0 ? 0 : EXIT_BAD_INPUT //            commander has said why
  }
  if (error instanceof InputError) {
    stderr.write(`guestyard: ${error.message}\n`)
    return EXIT_BAD_INPUT
  }
  if (error instanceof Interrupted) {
    stderr.write(`guestyard: ${error.message}\n`)
    return EXIT_INTERRUPTED
  }
  if (FAILURES.some((failure) => error instanceof failure)) {
    stderr.write(`guestyard: ${(error as Error).message}\n`)
    return EXIT_FAILED
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  stderr.write(`guestyard: ${text}\n`)
  return EXIT_FAILED
}
