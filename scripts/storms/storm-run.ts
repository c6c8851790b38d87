/** A storm is a scenario with sizes: run as it is by `guestyard run`, on either engine, or with flags by itself. */

import { parseArgs, type ParseArgsConfig } from 'node:util'
import {
  createProgress,
  describeEnvironment,
  InputError,
  planScenario,
  readEnvironment,
  runScenario,
  type Scenario,
} from '@guestyard/scenario'

import { tableStream, writeJson } from '../json-file.ts'
import { flagError, runScript } from '../script-run.ts'

/** A whole number that a flag sets. */
export interface Size {
  readonly what: string
  readonly from: number
  readonly to: number
  readonly usual: number
}

/** What `run` of a storm reports, beside its checks. */
export interface Storm<Figures> {
  readonly scenario: Scenario
  /** What was found, once it has run. */
  readonly figures: () => Figures | null
}

export interface StormScript<Name extends string, Figures> {
  /** Of the file, without its extension. */
  readonly name: string
  readonly help: string
  readonly sizes: Readonly<Record<Name, Size>>
  /** Why these sizes measure nothing; `null` when they do. */
  readonly refuse?: (sizes: Readonly<Record<Name, number>>) => InputError | null
  readonly make: (sizes: Readonly<Record<Name, number>>) => Storm<Figures>
}

interface Flags<Name extends string> {
  readonly json: string | null
  readonly sizes: Readonly<Record<Name, number>>
}

/** The scenario in its usual size, as `guestyard run` takes it. */
export function usualScenario<Name extends string, Figures>(
  script: StormScript<Name, Figures>,
): Scenario {
  return script.make(usualSizes(script)).scenario
}

/** Runs the storm on threads, in the sizes that the command line asks for. */
export async function runStorm<Name extends string, Figures>(
  script: StormScript<Name, Figures>,
  args: readonly string[],
): Promise<void> {
  await runScript(
    () => readFlags(script, args),
    async ({ json, sizes }, signal) => {
      const out = tableStream(json)
      const environment = await readEnvironment()
      out.write(`${describeEnvironment(environment)}\n`)
      const { scenario, figures } = script.make(sizes)
      const progress = createProgress(json === '-' ? process.stderr : process.stdout)
      const report = await runScenario(planScenario(scenario, { where: script.name }), {
        signal,
        progress,
        // What fails the run is in its report.
        host: { log: { level: 'silent' } },
      })
      if (json !== null) {
        const { outcome, error, checks, startedAt } = report
        const found = { sizes, figures: figures(), outcome, error, checks }
        writeJson(json, { script: script.name, when: startedAt, environment, ...found })
      }
      if (report.outcome === 'interrupted') return false
      for (const { name, passed, actual, bound } of report.checks) {
        if (!passed) process.stderr.write(`${name}: ${actual}, asked for ${bound}\n`)
      }
      if (report.error !== null) process.stderr.write(`${report.error.message}\n`)
      return report.outcome === 'passed'
    },
  )
}

function usualSizes<Name extends string, Figures>(
  script: StormScript<Name, Figures>,
): Record<Name, number> {
  const sizes = Object.entries<Size>(script.sizes).map(([name, { usual }]) => [name, usual])
  return Object.fromEntries(sizes) as Record<Name, number>
}

function readFlags<Name extends string, Figures>(
  script: StormScript<Name, Figures>,
  args: readonly string[],
): Flags<Name> | null {
  const options: NonNullable<ParseArgsConfig['options']> = {
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  }
  for (const name of Object.keys(script.sizes)) options[name] = { type: 'string' }
  let values: Record<string, unknown>
  try {
    values = parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw flagError(error)
  }
  if (values['help'] === true) {
    process.stdout.write(helpOf(script))
    return null
  }
  const sizes = usualSizes(script)
  for (const [name, size] of Object.entries<Size>(script.sizes)) {
    const given = values[name]
    if (typeof given === 'string') sizes[name as Name] = inRange(`--${name}`, given, size)
  }
  const refused = script.refuse?.(sizes) ?? null
  if (refused !== null) throw refused
  const { json } = values
  return { json: typeof json === 'string' ? json : null, sizes }
}

function inRange(flag: string, text: string, { from, to }: Size): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= from && value <= to) return value
  throw new InputError(flag, `must be a whole number from ${from} to ${to}, got ${text}`)
}

function helpOf<Name extends string, Figures>(script: StormScript<Name, Figures>): string {
  const rows = Object.entries<Size>(script.sizes).map(
    ([name, { what, from, to, usual }]) =>
      `  --${name.padEnd(12)}${what}, ${from}..${to} (default: ${usual})`,
  )
  return `${script.help}
  npx node scripts/${script.name}.ts [options]

${rows.join('\n')}
  --json FILE   writes the figures; - is standard output
  --help        this text

Examples:
  npx node scripts/${script.name}.ts --json ${script.name}.json
  npx guestyard run scripts/${script.name}.ts
  npx guestyard run scripts/${script.name}.ts --engine virtual --seed 7
`
}
