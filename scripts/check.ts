// Everything that must hold, as `npm test` runs it: two steps at a time, every step's result even when one fails,
// the tests last so that their runner's closing lines end the output.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { lintTarballs, packAll } from './house/pack.ts'
import { inParallel, run } from './house/run.ts'
import { ROOT, workspaceEnvironment } from './house/workspace.ts'

interface Step {
  readonly name: string
  readonly what: string
  /** A name in the list above this one: that step's result is needed. */
  readonly after?: string
  /** Answers with what is wrong, as the tool says it; undefined when nothing is. */
  readonly check: () => Promise<string | undefined>
}

const SOURCES = ['packages', 'scripts', 'test']

const steps: readonly Step[] = [
  {
    name: 'types',
    what: 'the packages build; tests, scripts, examples and benches agree with them',
    check: () => tools(['tsc', '-b', 'tsconfig.build.json'], ['tsc', '-p', 'tsconfig.json']),
  },
  { name: 'lint', what: 'oxlint, with types', check: () => tools(['oxlint', '--format=unix']) },
  { name: 'format', what: 'oxfmt', check: () => tools(['oxfmt', '--check']) },
  {
    name: 'layers',
    what: 'rows, families and doors, by dependency-cruiser',
    check: () => tools(['depcruise', '--config', '.dependency-cruiser.cjs', ...SOURCES]),
  },
  {
    name: 'knip',
    what: 'no dead file, export or dependency',
    check: () => tools(['knip', '--cache', '--no-progress', '--no-config-hints']),
  },
  {
    name: 'packages',
    what: 'each packs, and publint and attw accept the tarball',
    after: 'types',
    check: checkTarballs,
  },
]

const TESTS = 'tests'
const names = [...steps.map(({ name }) => name), TESTS]

const usage = `npx node scripts/check.ts [--only STEP,…]

${steps.map(({ name, what }) => `  ${name.padEnd(10)}${what}`).join('\n')}
  ${TESTS.padEnd(10)}vitest

Environment: FC_SEED replays the property tests of a run, FC_RUNS sets how many cases each tries.`

const wanted = readCommandLine(process.argv.slice(2))
if (typeof wanted === 'string') {
  console.error(wanted)
  process.exitCode = 2
} else if (wanted.length > 0) {
  const needed = new Set(wanted)
  for (const { name, after } of steps) {
    if (after !== undefined && needed.has(name)) needed.add(after)
  }
  const failed = await checkSteps(steps.filter(({ name }) => needed.has(name)))
  const testsPassed = wanted.includes(TESTS) ? runTests() : true
  // Two hundred lines of green tests hide a red step above them.
  if (failed.length > 0) console.error(`✗ failed beside the tests: ${failed.join(', ')}`)
  process.exitCode = failed.length === 0 && testsPassed ? 0 : 1
}

/** The steps asked for; nothing for --help; a line that says what is wrong. */
function readCommandLine(args: string[]): readonly string[] | string {
  try {
    const { values } = parseArgs({
      args,
      options: { only: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    })
    if (values.help) {
      console.log(usage)
      return []
    }
    const asked = values.only?.split(',') ?? names
    const unknown = asked.find((name) => !names.includes(name))
    return unknown === undefined
      ? asked
      : `--only: no step "${unknown}"; there are ${names.join(', ')}`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The names of the steps that failed. */
async function checkSteps(chosen: readonly Step[]): Promise<string[]> {
  const done = new Map<string, Promise<boolean>>()
  const results = await inParallel(chosen, 2, (step) => {
    const result = checkStep(step, (step.after && done.get(step.after)) || Promise.resolve(true))
    done.set(step.name, result)
    return result
  })
  return chosen.flatMap(({ name }, index) => (results[index] === true ? [] : [name]))
}

async function checkStep(step: Step, before: Promise<boolean>): Promise<boolean> {
  if (!(await before)) {
    console.log(`✗ ${step.name}: not checked, because ${step.after} failed`)
    return false
  }
  const started = performance.now()
  const wrong = await step.check()
  const time = `${((performance.now() - started) / 1000).toFixed(1)} s`
  const heading = `${step.name}: ${step.what} (${time})`
  if (wrong === undefined) console.log(`✓ ${heading}`)
  else console.log(`✗ ${heading}\n\n${wrong.trim().replaceAll(/^/gm, '    ')}\n`)
  return wrong === undefined
}

/** Runs each command; what the failing ones print is what is wrong. */
async function tools(...commands: [string, ...string[]][]): Promise<string | undefined> {
  const wrong: string[] = []
  for (const [command, ...args] of commands) {
    const finished = await run(command, args, { cwd: ROOT })
    if (!finished.ok) wrong.push(`${finished.output}\n${command}: ${finished.reason}`)
  }
  return wrong.length === 0 ? undefined : wrong.join('\n')
}

async function checkTarballs(): Promise<string | undefined> {
  const destination = mkdtempSync(join(tmpdir(), 'guestyard-pack-'))
  try {
    const tarballs = await packAll(destination)
    if (typeof tarballs === 'string') return tarballs
    const complaints = await lintTarballs(tarballs)
    return complaints.length === 0 ? undefined : complaints.join('\n')
  } finally {
    rmSync(destination, { recursive: true, force: true })
  }
}

/** The runner writes to the terminal itself, and has the last word when all else held; into a pipe it writes plain lines. */
function runTests(): boolean {
  console.log()
  const plain = process.stdout.isTTY || 'FORCE_COLOR' in process.env ? {} : { NO_COLOR: '1' }
  const { status } = spawnSync('vitest', ['run'], {
    cwd: ROOT,
    env: { ...workspaceEnvironment(), ...plain },
    stdio: 'inherit',
  })
  return status === 0
}
