/** `guestyard trace FILE`: a trace as lines, or as JSON lines. */

import { once } from 'node:events'

import { Command } from 'commander'

import { InputError } from '@guestyard/scenario'
import {
  TRACE_KINDS,
  TraceFileError,
  describeRecord,
  printable,
  recordLine,
} from '@guestyard/trace'
import type { DescribedRecord } from '@guestyard/trace'

import type { CommandOutput } from './command-output.ts'

interface TraceFlags {
  readonly actor?: readonly string[]
  readonly kind?: readonly string[]
  readonly json?: boolean
}

export function traceCommand(output: CommandOutput): Command {
  const repeated = (value: string, before: readonly string[] = []): readonly string[] => [
    ...before,
    value,
  ]
  return new Command('trace')
    .description('Print a trace: what happened, when, by whom, and which record led to it.')
    .argument('<file>', 'as run --engine virtual --trace wrote it')
    .option(
      '--actor <name>',
      'only what this actor did: root, host, a machine; may be repeated',
      repeated,
    )
    .option('--kind <name>', 'only records of this kind; may be repeated; see below', repeated)
    .option('--json', 'one JSON object a line')
    .addHelpText('after', HELP)
    .action((path: string, flags: TraceFlags) => printTrace(path, flags, output))
}

const HELP = `
Kinds: ${TRACE_KINDS.map((row) => row.name).join(', ')}

Examples:
  guestyard trace out.trace | less
  guestyard trace out.trace --actor writer --kind hypercall --kind interrupt
  guestyard trace out.trace --json | jq 'select(.kind == "packets-taken") | .fields.bytes'`

async function printTrace(path: string, flags: TraceFlags, output: CommandOutput): Promise<void> {
  for (const kind of flags.kind ?? []) {
    if (!TRACE_KINDS.some((row) => row.name === kind)) {
      throw new InputError(
        '--kind',
        `no kind '${kind}': ${TRACE_KINDS.map((row) => row.name).join(', ')}`,
      )
    }
  }
  // Only here: no other command has a use for a decoder.
  const { readTraceFile } = await import('@guestyard/trace/node')
  const actors = new Map<number, string>()
  const isWanted = (record: DescribedRecord): boolean =>
    (flags.actor?.includes(record.actor) ?? true) && (flags.kind?.includes(record.kind) ?? true)
  try {
    for await (const entry of readTraceFile(path)) {
      if (entry.is === 'actor') actors.set(entry.actor, entry.name)
      if (entry.is !== 'record') continue
      const record = describeRecord(entry.record, actors)
      if (!isWanted(record)) continue
      const line = flags.json === true ? printable(JSON.stringify(record)) : recordLine(record)
      if (!output.stdout.write(`${line}\n`)) await once(output.stdout, 'drain')
    }
  } catch (error) {
    // Whoever reads has seen enough.
    if (codeOf(error) === 'EPIPE') return
    throw asInputError(path, error)
  }
  for (const actor of flags.actor ?? []) {
    if (![...actors.values()].includes(actor)) {
      throw new InputError(
        '--actor',
        `no actor '${printable(actor)}': ${printable([...new Set(actors.values())].join(', '))}`,
      )
    }
  }
}

function asInputError(path: string, error: unknown): unknown {
  if (error instanceof TraceFileError) return new InputError(path, error.message)
  const { code, syscall } = Object(error) as NodeJS.ErrnoException
  // Anything else that a path or a disk refuses is no fault of ours either; what is written is standard output.
  if (code === undefined || syscall === undefined || syscall === 'write') return error
  if (code === 'ENOENT') return new InputError(path, 'no such file')
  if (code === 'EISDIR') return new InputError(path, 'is not a file')
  if (code === 'EACCES') return new InputError(path, 'cannot be read')
  return new InputError(path, `cannot be read (${code})`)
}

function codeOf(error: unknown): unknown {
  return (Object(error) as { code?: unknown }).code
}
