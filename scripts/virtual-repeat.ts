// Shows that a run in virtual time is the same everywhere: every scenario, with every seed, on every Node asked for, twice. The
// trace, the report and the log of all of them must be the same bytes; seeds must differ from each other.

import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { InputError } from '@guestyard/scenario'

import { run, stopRunning } from './house/run.ts'
import { ROOT } from './house/workspace.ts'
import { abortable, flagError, runScript } from './script-run.ts'

const HELP = `Runs scenarios in virtual time on several Nodes and compares every byte they leave.

  npx node scripts/virtual-repeat.ts [options] [scenario …]

  --node LIST   versions, from the npm registry (22.21.0,24.21.0,26.10.0)
  --seeds LIST  seeds (1,7)
  --json FILE   writes the hashes; - for standard output
  --help        this text

Without scenarios it takes scripts/two-guests.ts and the life of every kind of guest (packages/scenario/test/scenarios/life-cycle.ts).

Examples:
  npx node scripts/virtual-repeat.ts
  npx node scripts/virtual-repeat.ts --seeds 1,2,3 --node 26.10.0 scripts/two-guests.ts --json -

Exit codes: 0 all the same, 1 something differs or failed, 2 a wrong flag, 130 interrupted.
`

const SCENARIOS = ['scripts/two-guests.ts', 'packages/scenario/test/scenarios/life-cycle.ts']
const COMMAND = 'packages/cli/bin/guestyard.js'
const TIMEOUT_MS = 600_000
const TIMES = 2
/** Virtual: a scenario may sleep for an hour. */
const TIME_LIMIT = '3h'

interface Flags {
  readonly scenarios: readonly string[]
  readonly nodes: readonly string[]
  readonly seeds: readonly string[]
  readonly json: string | null
}

/** One run: what it left, as one hash, or why it left nothing. */
interface Left {
  readonly scenario: string
  readonly seed: string
  readonly node: string
  readonly hash: string
  readonly problem: string | null
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (flags, signal) => {
    const folder = mkdtempSync(join(tmpdir(), 'guestyard-repeat-'))
    try {
      const left = await runAll(flags, folder, signal)
      const problems = [...left.flatMap(problemOf), ...differences(left)]
      for (const problem of problems) process.stderr.write(`✗ ${problem}\n`)
      process.stderr.write(`${left.length} runs, ${problems.length} problems\n`)
      writeJson(flags.json, { left, problems })
      return problems.length === 0
    } finally {
      stopRunning()
      rmSync(folder, { recursive: true, force: true })
    }
  },
)

function readFlags(args: string[]): Flags | null {
  const { values, positionals } = parsed(args)
  if (values.help === true) {
    process.stdout.write(HELP)
    return null
  }
  const seeds = (values.seeds ?? '1,7').split(',')
  for (const seed of seeds) {
    if (!/^\d+$/.test(seed)) throw new InputError('--seeds', `expected numbers, got '${seed}'`)
  }
  const nodes = (values.node ?? '22.21.0,24.21.0,26.10.0').split(',')
  for (const node of nodes) {
    if (!/^\d+\.\d+\.\d+$/.test(node)) {
      throw new InputError('--node', `expected versions such as 26.10.0, got '${node}'`)
    }
  }
  const scenarios = positionals.length === 0 ? SCENARIOS : positionals
  for (const scenario of scenarios) {
    if (!existsSync(resolve(ROOT, scenario))) throw new InputError(scenario, 'no such file')
  }
  return { scenarios, nodes, seeds, json: values.json ?? null }
}

function parsed(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        node: { type: 'string' },
        seeds: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw flagError(error)
  }
}

async function runAll(flags: Flags, folder: string, signal: AbortSignal): Promise<Left[]> {
  const left: Left[] = []
  for (const scenario of flags.scenarios) {
    for (const seed of flags.seeds) {
      for (const node of flags.nodes) {
        for (let time = 0; time < TIMES; time += 1) {
          const one = await abortable(runOne(scenario, seed, node, folder), signal)
          left.push(one)
          process.stderr.write(
            `${one.hash.slice(0, 16).padEnd(16)}  ${basename(scenario)}  seed ${seed}  Node ${node}\n`,
          )
        }
      }
    }
  }
  return left
}

async function runOne(scenario: string, seed: string, node: string, folder: string): Promise<Left> {
  const files = ['trace', 'json', 'log'].map((kind) => join(folder, kind))
  const [trace, json, log] = files
  const runtime = `node-${process.platform}-${process.arch}@${node}`
  const finished = await run(
    'npx',
    [
      ...['-y', '-p', runtime, 'node', '--disable-warning=ExperimentalWarning', COMMAND],
      ...['run', scenario, '--engine', 'virtual', '--seed', seed, '--time-limit', TIME_LIMIT],
      ...['--trace', trace!, '--json', json!, '--log', log!],
    ],
    { cwd: ROOT, timeoutMs: TIMEOUT_MS },
  )
  if (!finished.ok) {
    const problem = finished.reason ?? finished.output.trim().split('\n').at(-1) ?? 'it failed'
    return { scenario, seed, node, hash: '', problem }
  }
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(file))
  return { scenario, seed, node, hash: hash.digest('hex'), problem: null }
}

function problemOf({ scenario, seed, node, problem }: Left): string[] {
  return problem === null ? [] : [`${scenario}, seed ${seed}, Node ${node}: ${problem}`]
}

/** One seed leaves one hash wherever it runs; two seeds of a scenario leave two. */
function differences(left: readonly Left[]): string[] {
  const problems: string[] = []
  const hashes = new Map<string, Set<string>>()
  for (const { scenario, seed, hash } of left) {
    if (hash === '') continue
    const key = `${scenario}, seed ${seed}`
    hashes.set(key, (hashes.get(key) ?? new Set()).add(hash))
  }
  const seen = new Map<string, string>()
  for (const [key, found] of hashes) {
    if (found.size > 1) problems.push(`${key}: ${found.size} different results`)
    for (const hash of found) {
      const other = seen.get(hash)
      if (other !== undefined) problems.push(`${key} leaves the same as ${other}`)
      seen.set(hash, key)
    }
  }
  return problems
}

function writeJson(path: string | null, value: unknown): void {
  const text = `${JSON.stringify(value, null, 2)}\n`
  if (path === '-') process.stdout.write(text)
  else if (path !== null) writeFileSync(path, text)
}
