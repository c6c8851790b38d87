/** Where results go besides the terminal: `--json FILE|-` and `--report FILE`. */

import { accessSync, closeSync, constants, openSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import type { Command } from 'commander'

import type { LogOptions } from '@guestyard/management'
import { htmlReport, InputError, textReport } from '@guestyard/scenario'
import type { RunReport } from '@guestyard/scenario'

import type { CommandOutput } from './command-output.ts'

/** The run is over, but something that was asked for could not be written: one line, exit code 1. */
export class OutputError extends Error {
  override readonly name = 'OutputError'

  constructor(flag: string, path: string, problem: string) {
    super(`${flag}: cannot write ${path}: ${problem.replaceAll(/\s+/g, ' ')}`)
  }
}

/** The flags, as commander hands them over. */
export interface OutputFlags {
  readonly json?: string
  readonly report?: string
  readonly log?: string
}

export function addOutputOptions(command: Command): Command {
  return command
    .option('--json <file>', 'write everything that was measured as JSON; - for standard output')
    .option('--report <file>', 'write one self-contained HTML page with charts')
    .option('--log <file>', "write the host's and the guests' log to a file (JSON lines)")
}

/** Refuses files that could not be written, before anything has started. */
export function checkOutputFlags(flags: OutputFlags, trace?: string): void {
  refuseStandardOutput('--report', flags.report, 'a page')
  refuseStandardOutput('--log', flags.log, 'a log')
  const toFile = flags.json === '-' ? undefined : flags.json
  refuseSameFile('--json', toFile, '--report', flags.report)
  refuseSameFile('--json', toFile, '--log', flags.log)
  refuseSameFile('--report', flags.report, '--log', flags.log)
  refuseSameFile('--json', toFile, '--trace', trace)
  refuseSameFile('--report', flags.report, '--trace', trace)
  refuseSameFile('--log', flags.log, '--trace', trace)
  if (toFile !== undefined) checkWritable(toFile, '--json')
  if (flags.report !== undefined) checkWritable(flags.report, '--report')
  if (flags.log !== undefined) checkWritable(flags.log, '--log')
}

/** Only JSON goes there: `-` would be a file of that name. */
export function refuseStandardOutput(flag: string, path: string | undefined, what: string): void {
  if (path !== '-') return
  throw new InputError(flag, `${what} does not go to standard output: name a file`)
}

/** One would overwrite the other. */
function refuseSameFile(
  flag: string,
  path: string | undefined,
  otherFlag: string,
  otherPath: string | undefined,
): void {
  if (path === undefined || otherPath === undefined || resolve(path) !== resolve(otherPath)) return
  throw new InputError(otherFlag, `${otherPath} is the file of ${flag} already`)
}

/** Refuses a file that cannot be written, or one that cannot be made in its folder. */
export function checkWritable(path: string, flag: string): void {
  const status = statSync(path, { throwIfNoEntry: false })
  if (status?.isDirectory() === true) throw new InputError(flag, `${path} is a folder`)
  if (status !== undefined) {
    if (!canWrite(path, status.isFile())) throw new InputError(flag, `cannot write ${path}`)
    return
  }
  const folder = dirname(path)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new InputError(flag, `no folder ${folder}`)
  }
  if (!hasWriteAccess(folder)) throw new InputError(flag, `cannot write in ${folder}`)
}

/** Opening tells most, and changes nothing of a file; a pipe's reader would take it for the end. */
function canWrite(path: string, isFile: boolean): boolean {
  if (!isFile) return hasWriteAccess(path)
  try {
    closeSync(openSync(path, constants.O_WRONLY))
    return true
  } catch {
    return false
  }
}

function hasWriteAccess(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** The host's log: in the file that was asked for, else nowhere; what fails a run is in its report. */
export function logOptions(flags: OutputFlags): LogOptions {
  return flags.log === undefined ? { level: 'silent' } : { level: 'debug', destination: flags.log }
}

/**
 * Writes the report wherever it was asked for; the text goes to standard error beside JSON on output, and first,
 * so that a file which cannot be written after all does not take the figures with it.
 */
export async function writeReport(
  report: RunReport,
  flags: OutputFlags,
  output: CommandOutput,
): Promise<void> {
  const text = flags.json === '-' ? output.stderr : output.stdout
  text.write(textReport(report))
  const json = `${JSON.stringify(report, null, 2)}\n`
  if (flags.json === '-') output.stdout.write(json)
  else if (flags.json !== undefined) await writeOutput('--json', flags.json, json)
  if (flags.report !== undefined) await writeOutput('--report', flags.report, htmlReport(report))
}

/** Rejects with an OutputError for what the file system refuses. */
export async function writeOutput(flag: string, path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text)
  } catch (error) {
    throw new OutputError(flag, path, error instanceof Error ? error.message : String(error))
  }
}
