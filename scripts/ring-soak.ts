// Two threads that send to each other over a ring of one page, with random pauses, and sleep
// whenever they can: no wake-up may be lost.
//
//   npx node scripts/ring-soak.ts [--seconds N] [--seed N] [--kernel wasm|typed] [--json FILE]
//
// A lost wake-up shows as a wait that only its timeout ends. Exit codes: 0 nothing was lost, 1
// something was, 2 a wrong flag.

import { writeFileSync } from 'node:fs'

import { InputError, describeEnvironment, formatCount, readEnvironment } from '@guestyard/scenario'

import { soak } from '../test/ring-soak/soak.ts'
import type { SoakResult } from '../test/ring-soak/soak-end.ts'
import { readScriptFlags, wholeNumber } from './script-flags.ts'
import { runScript } from './script-run.ts'

const HELP = `npx node scripts/ring-soak.ts [options]

  --seconds N      how long (default 600)
  --seed N         of the pauses and sizes (default: the time)
  --kernel KIND    wasm or typed (default wasm)
  --json FILE      write what was found
  --help           this text
`

interface Flags {
  readonly seconds: number
  readonly seed: number
  readonly kernel: 'wasm' | 'typed'
  readonly json: string | null
}

await runScript(readFlags, run)

function readFlags(): Flags | null {
  const kinds = { seconds: 'text', seed: 'text', kernel: 'text', json: 'text' } as const
  const flags = readScriptFlags(kinds, HELP)
  if (flags === null) return null
  const kernel = flags.kernel ?? 'wasm'
  if (kernel !== 'wasm' && kernel !== 'typed') {
    throw new InputError('--kernel', `wasm or typed, not "${kernel}"`)
  }
  const range = { least: 0, most: 1_000_000_000 }
  return {
    seconds: wholeNumber('--seconds', flags.seconds, { ...range, least: 1, otherwise: 600 }),
    seed: wholeNumber('--seed', flags.seed, { ...range, otherwise: Date.now() % 1_000_000 }),
    kernel,
    json: flags.json ?? null,
  }
}

async function run(flags: Flags, signal: AbortSignal): Promise<boolean> {
  const environment = await readEnvironment()
  console.log(describeEnvironment(environment))
  console.log(`${flags.seconds} s, seed ${flags.seed}, ${flags.kernel} kernel`)
  const { seconds, seed, kernel } = flags
  const ends = await soak({ milliseconds: seconds * 1000, seed, kernel, signal })
  return report(flags, environment, ends)
}

function report(flags: Flags, environment: unknown, ends: readonly SoakResult[]): boolean {
  const sum = (of: (end: SoakResult) => number): number =>
    ends.reduce((all, end) => all + of(end), 0)
  const timeouts = sum((end) => end.timeouts)
  const errors = sum((end) => end.errors)
  const lost = sum((end) => end.sent) - sum((end) => end.received)
  console.log(
    `${formatCount(sum((end) => end.received))} packets, ${formatCount(sum((end) => end.sleeps))} sleeps, ` +
      `${formatCount(sum((end) => end.signals))} signals, ${formatCount(sum((end) => end.fulls))} full rings`,
  )
  console.log(`lost wake-ups: ${timeouts}; packets lost: ${lost}; out of order: ${errors}`)
  if (flags.json !== null) {
    writeFileSync(flags.json, `${JSON.stringify({ environment, flags, ends }, null, 2)}\n`)
  }
  return timeouts === 0 && errors === 0 && lost === 0
}
