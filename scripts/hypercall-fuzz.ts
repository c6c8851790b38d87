// The long run of test/hostile/hypercall-fuzz.test.ts: hypercalls with random input values, registers and pages, a million times
// and more, and everything that must hold is checked after each. One thread and a seed: a failure can be run again.

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import { hvStatusName } from '@guestyard/hvdef'
import { InputError, readEnvironment } from '@guestyard/scenario'

import { HypercallFuzzer, type FuzzReport } from '../test/hostile/hypercall-fuzzer.ts'
import { flagError, runScript } from './script-run.ts'

const SEEDS = 2 ** 32
const INPUTS_PER_SEED = 5_000
const PROGRESS_MS = 5_000

const HELP = `Makes hypercalls with random inputs, from the root and from children, and checks what must hold after each.

  npx node scripts/hypercall-fuzz.ts [options]

  --inputs N      inputs in all (1000000)
  --seed S        first seed, 0 to 4294967295 (drawn; printed)
  --json FILE     writes what was done, with machine and Node; - is standard output
  --help          this text

Each seed is a machine of its own and makes ${INPUTS_PER_SEED} inputs; then the next begins. Ctrl-C ends after the current machine and
reports what was done. The exit code is 1 when something did not hold; the last line is the command that does it again.

  npx node scripts/hypercall-fuzz.ts --inputs 20000 --seed 7
  npx node scripts/hypercall-fuzz.ts --json -
`

interface Flags {
  readonly inputs: number
  readonly seed: number
  readonly json: string | null
}

interface Outcome {
  readonly inputs: number
  readonly machines: number
  readonly outcomes: Readonly<Record<string, number>>
  readonly byCaller: FuzzReport['byCaller']
  readonly succeeded: readonly string[]
  readonly failure: string | null
  /** The command that meets the failure again. */
  readonly replay: string | null
  readonly interrupted: boolean
  readonly seconds: number
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (flags, signal) => {
    const say = flags.json === '-' ? console.error : console.log
    const outcome = await fuzz(flags, signal, say)
    say(summary(outcome))
    if (outcome.replay !== null) say(outcome.replay)
    if (flags.json !== null) {
      const environment = await readEnvironment()
      const when = new Date().toISOString()
      const record = { script: 'hypercall-fuzz', when, environment, flags, ...outcome }
      const text = `${JSON.stringify(record, null, 2)}\n`
      if (flags.json === '-') process.stdout.write(text)
      else writeFileSync(flags.json, text)
    }
    return outcome.failure === null
  },
)

function readFlags(args: string[]): Flags | null {
  const values = parsed(args)
  if (values.help) {
    process.stdout.write(HELP)
    return null
  }
  const drawn = String(Math.floor(Math.random() * SEEDS))
  return {
    inputs: wholeNumber('--inputs', values.inputs ?? '1000000', 1, Number.MAX_SAFE_INTEGER),
    seed: wholeNumber('--seed', values.seed ?? drawn, 0, SEEDS - 1),
    json: values.json ?? null,
  }
}

function parsed(args: string[]): {
  readonly inputs?: string
  readonly seed?: string
  readonly json?: string
  readonly help?: boolean
} {
  const text = { type: 'string' } as const
  try {
    const options = { inputs: text, seed: text, json: text, help: { type: 'boolean' } } as const
    return parseArgs({ args, options }).values
  } catch (error) {
    throw flagError(error)
  }
}

function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isSafeInteger(value) && value >= least && value <= most) {
    return value
  }
  throw new InputError(flag, `"${text}" is not a whole number from ${least} to ${most}`)
}

async function fuzz(
  { inputs, seed }: Flags,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<Outcome> {
  const outcomes = new Map<string, number>()
  const succeeded = new Set<string>()
  const byCaller = { root: 0, child: 0 }
  const started = performance.now()
  let shown = started
  let failure: string | null = null
  let replay: string | null = null
  let machines = 0
  let done = 0
  while (done < inputs && !signal.aborted && failure === null) {
    const current = (seed + machines) % SEEDS
    const fuzzer = new HypercallFuzzer(current)
    try {
      fuzzer.run(Math.min(INPUTS_PER_SEED, inputs - done))
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error)
      const { inputs: made } = fuzzer.report()
      replay = `npx node scripts/hypercall-fuzz.ts --seed ${current} --inputs ${made}`
    }
    const report = fuzzer.report()
    machines += 1
    done += report.inputs
    byCaller.root += report.byCaller.root
    byCaller.child += report.byCaller.child
    for (const name of report.succeeded) succeeded.add(name)
    for (const [outcome, count] of Object.entries(report.outcomes)) {
      const name = nameOf(Number(outcome))
      outcomes.set(name, (outcomes.get(name) ?? 0) + count)
    }
    if (performance.now() - shown > PROGRESS_MS) {
      shown = performance.now()
      say(`${done} of ${inputs} inputs, seed ${current}`)
    }
    // Ctrl-C is heard between two machines.
    await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    inputs: done,
    machines,
    outcomes: Object.fromEntries([...outcomes].toSorted(([, a], [, b]) => b - a)),
    byCaller,
    succeeded: [...succeeded].toSorted(),
    failure,
    replay,
    interrupted: signal.aborted,
    seconds: (performance.now() - started) / 1000,
  }
}

function summary(outcome: Outcome): string {
  const { inputs, machines, byCaller, succeeded, outcomes, failure, seconds } = outcome
  const most = Object.entries(outcomes)
    .slice(0, 8)
    .map(([name, count]) => `  ${name.padEnd(34)} ${count}`)
  const verdict = failure === null ? 'everything held' : `DID NOT HOLD: ${failure}`
  return [
    `${inputs} inputs on ${machines} machines in ${seconds.toFixed(1)} s (${byCaller.root} root's, ${byCaller.child} children's)`,
    ...most,
    `  ${succeeded.length} calls had SUCCESS at least once`,
    verdict,
  ].join('\n')
}

/** Outcomes below 0 are no statuses: what the processor meets instead. */
function nameOf(outcome: number): string {
  if (outcome === -1) return '#UD'
  if (outcome === -2) return 'memory intercept'
  return outcome === -3 ? 'continued' : hvStatusName(outcome)
}
