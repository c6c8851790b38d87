/** The flags of `npm start`. */

import { accessSync, constants, statSync } from 'node:fs'

import { checkWritable } from '@guestyard/cli'
import { InputError } from '@guestyard/scenario'

import { readScriptFlags } from '../script-flags.ts'

export interface MainFlags {
  /** The file that is streamed. */
  readonly file: string
  readonly json: string | null
  readonly quick: boolean
}

const HELP = `npm start -- [--file PATH] [--json FILE] [--quick]

Boots a host and two guests, streams a file from one to the other through the root, and measures the
channel beside postMessage and ringbuf.js.

  --file PATH   the file to stream (default: the running Node executable)
  --json FILE   write everything that was measured
  --quick       fewer sizes and rounds
  --help        this text

Exit codes: 0 done, 1 the file or a packet did not arrive whole, 2 a wrong flag, 130 interrupted.
`

/** Reads and checks the flags; `null` when help was asked for and printed. */
export function readMainFlags(args: readonly string[]): MainFlags | null {
  const kinds = { file: 'text', json: 'text', quick: 'switch' } as const
  const flags = readScriptFlags(kinds, HELP, args)
  if (flags === null) return null
  const file = flags.file ?? process.execPath
  const status = statSync(file, { throwIfNoEntry: false })
  if (status === undefined) throw new InputError('--file', `no file ${file}`)
  if (!status.isFile()) throw new InputError('--file', `${file} is not a file`)
  checkReadable(file)
  if (flags.json !== undefined) checkWritable(flags.json, '--json')
  return { file, json: flags.json ?? null, quick: flags.quick === true }
}

function checkReadable(file: string): void {
  try {
    accessSync(file, constants.R_OK)
  } catch {
    throw new InputError('--file', `${file} cannot be read`)
  }
}
