/** The flags of a script: read once, refused on one line, `--help` printed. */

import { parseArgs } from 'node:util'

import { InputError } from '@guestyard/scenario'

import { flagError } from './script-run.ts'

/** What a flag takes: a value, or nothing. */
export type FlagKind = 'text' | 'switch'

/** What was given, by flag; `undefined` where it was left out. */
export type FlagValues<Kinds extends Readonly<Record<string, FlagKind>>> = {
  readonly [Flag in keyof Kinds]: (Kinds[Flag] extends 'text' ? string : boolean) | undefined
}

/**
 * Reads `args` (those of the process when left out) by `kinds`; `--help`, or `-h`, is known to every script. `null`: help
 * was asked for, and printed. A wrong flag is an `InputError`.
 */
export function readScriptFlags<const Kinds extends Readonly<Record<string, FlagKind>>>(
  kinds: Kinds,
  help: string,
  args: readonly string[] = process.argv.slice(2),
): FlagValues<Kinds> | null {
  const options = Object.fromEntries(
    Object.entries(kinds).map(([flag, kind]) => [
      flag,
      { type: kind === 'text' ? 'string' : 'boolean' } as const,
    ]),
  )
  const values = parsed(args, { ...options, help: { type: 'boolean', short: 'h' } })
  if (values['help'] !== true) return values as FlagValues<Kinds>
  process.stdout.write(help)
  return null
}

/** A whole number from `least` to `most`, or `otherwise` where the flag was left out. */
export function wholeNumber(
  flag: string,
  text: string | undefined,
  of: { readonly least: number; readonly most: number; readonly otherwise: number },
): number {
  if (text === undefined) return of.otherwise
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= of.least && value <= of.most) return value
  throw new InputError(flag, `a whole number from ${of.least} to ${of.most}, not "${text}"`)
}

function parsed(
  args: readonly string[],
  options: NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>['options']>,
): Readonly<Record<string, unknown>> {
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw flagError(error)
  }
}
