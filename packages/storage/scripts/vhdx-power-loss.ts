// The long run of test/backends/vhdx/power-loss.test.ts: random workloads on VHDX images, and a power loss after every change that they
// make to the file.

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'

import { losePower, type PowerLossOptions } from '../test/support/vhdx-power-loss.ts'

const SEEDS = 2 ** 32
const KINDS: readonly PowerLossOptions['kind'][] = ['dynamic', 'fixed', 'differencing', 'growing']
const COMMAND = 'npx node packages/storage/scripts/vhdx-power-loss.ts'

const HELP = `Cuts the power after every change that random workloads make to VHDX images, and checks what is left.

  ${COMMAND} [options]

  --cuts N        cuts in all (100000)
  --steps N       requests of each workload (200)
  --seed S        first seed, 0 to 4294967295 (drawn; printed)
  --json FILE     writes what was done, with machine and Node; - is standard output
  --help          this text

Each seed runs a dynamic, a fixed, a differencing and a growing image, with syncs that are done at once and with slow ones. The exit code is 1
when a flushed write was lost, something appeared that nobody wrote, or a file was damaged; the last line does it again.

  ${COMMAND} --cuts 5000 --seed 7
  ${COMMAND} --json -
`

interface Flags {
  readonly cuts: number
  readonly steps: number
  readonly seed: number
  readonly json: string | null
}

const flags = readFlags()
if (flags !== null) run(flags)

function readFlags(): Flags | null {
  const text = { type: 'string' } as const
  const options = {
    cuts: text,
    steps: text,
    seed: text,
    json: text,
    help: { type: 'boolean' },
  } as const
  try {
    const { values } = parseArgs({ options })
    if (values.help === true) {
      process.stdout.write(HELP)
      return null
    }
    const drawn = Math.floor(Math.random() * SEEDS)
    return {
      cuts: wholeNumber('--cuts', values.cuts, 1, 2 ** 40, 100_000),
      steps: wholeNumber('--steps', values.steps, 1, 10_000, 200),
      seed: wholeNumber('--seed', values.seed, 0, SEEDS - 1, drawn),
      json: values.json ?? null,
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 2
    return null
  }
}

function wholeNumber(
  flag: string,
  text: string | undefined,
  least: number,
  most: number,
  otherwise: number,
): number {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least && value <= most) return value
  throw new Error(`${flag}: a whole number from ${least} to ${most}, not "${text}"`)
}

function run({ cuts: wanted, steps, seed: first, json }: Flags): void {
  const say = json === '-' ? console.error : console.log
  const started = performance.now()
  let failure: string | null = null
  let replay: string | null = null
  let cuts = 0
  let workloads = 0
  while (cuts < wanted && failure === null) {
    const seed = (first + Math.floor(workloads / 8)) % SEEDS
    const kind = KINDS[workloads % 4]!
    try {
      cuts += losePower({ seed, steps, kind, slowSyncs: workloads % 8 >= 4 })
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error)
      replay = `${COMMAND} --seed ${seed} --steps ${steps} --cuts ${wanted}`
    }
    workloads += 1
    if (workloads % 40 === 0) say(`${cuts} of ${wanted} cuts, seed ${seed}`)
  }
  const verdict = failure ?? 'nothing was lost, and nothing appeared'
  say(`${cuts} cuts of ${workloads} workloads, from seed ${first}: ${verdict}`)
  if (replay !== null) say(replay)
  process.exitCode = failure === null ? 0 : 1
  if (json === null) return
  const record = {
    script: 'vhdx-power-loss',
    when: new Date().toISOString(),
    node: process.version,
    machine: cpus()[0]?.model ?? '',
    flags: { cuts: wanted, steps, seed: first },
    cuts,
    workloads,
    failure,
    replay,
    seconds: (performance.now() - started) / 1000,
  }
  const text = `${JSON.stringify(record, null, 2)}\n`
  if (json === '-') process.stdout.write(text)
  else writeFileSync(json, text)
}
