/**
 * What a guest that answers requests has to suffer from guests that compute for ever, under each scheduling policy: its
 * latency and its throughput beside none of them and beside several.
 */

import { parseArgs } from 'node:util'
import { startHost } from '@guestyard/management'
import {
  alignTable,
  createProgress,
  describeEnvironment,
  readEnvironment,
} from '@guestyard/scenario'

import type { PulseRequest, PulseResult } from './guests/pulse.ts'
import { latenciesOf, type Latencies } from './noisy-neighbour/latencies.ts'
import { tableStream, writeJson } from './json-file.ts'
import { abortable, flagError, runScript } from './script-run.ts'

const HELP = `What a guest suffers from noisy neighbours, under each scheduling policy.

  npx node scripts/noisy-neighbour.ts [options]

  --json FILE      writes every figure with machine, Node, V8 and commit; - for standard output
  --neighbours N   guests that compute for ever (default 6)
  --rounds N       requests that the victim answers in each part (default 200)
  --help           this text

  npx node scripts/noisy-neighbour.ts --neighbours 12 --json noisy.json

The victim rests for 5 ms, then computes for 500 µs: a tenth of a processor. Two logical processors; under the core policy they are
the threads of one core. The scenarios noisy-root, noisy-classic and noisy-core are the same in virtual time, where figures are exact. Takes about half a minute; nothing else should run beside it.
`

const MIB = 1024 * 1024
const REST_MS = 5
const MICROSECONDS = 500
const POLICIES = ['root', 'classic', 'core'] as const
const PULSE = new URL('./guests/pulse.ts', import.meta.url)
const BURNER = new URL('./guests/burner.ts', import.meta.url)

interface Flags {
  readonly json: string | null
  readonly neighbours: number
  readonly rounds: number
}

interface Figures extends Latencies {
  readonly policy: (typeof POLICIES)[number]
  readonly neighbours: number
  /** Microseconds the victim was ready without a processor, a dispatch; null where the policy does not know. */
  readonly waitPerDispatchUs: number | null
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (flags, signal) => {
    const environment = await readEnvironment()
    const progress = createProgress(process.stderr)
    const figures: Figures[] = []
    for (const policy of POLICIES) {
      for (const neighbours of [0, flags.neighbours]) {
        progress.update(`${policy}: beside ${neighbours}`)
        figures.push(await measure(policy, neighbours, flags.rounds, signal))
      }
    }
    progress.end()
    const when = new Date().toISOString()
    const record = { script: 'noisy-neighbour', when, environment, flags, figures }
    tableStream(flags.json).write(`${describeEnvironment(environment)}\n${report(figures)}\n`)
    if (flags.json !== null) writeJson(flags.json, record)
    return true
  },
)

function readFlags(args: string[]): Flags | null {
  try {
    const { values } = parseArgs({
      args,
      options: {
        json: { type: 'string' },
        neighbours: { type: 'string' },
        rounds: { type: 'string' },
        help: { type: 'boolean' },
      },
    })
    if (values.help) {
      process.stdout.write(HELP)
      return null
    }
    return {
      json: values.json ?? null,
      neighbours: whole('--neighbours', values.neighbours ?? '6', 1, 60),
      rounds: whole('--rounds', values.rounds ?? '200', 10, 100_000),
    }
  } catch (error) {
    throw flagError(error)
  }
}

function whole(flag: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new Error(`'${flag}' is a whole number from ${min} to ${max}, not ${text}`)
}

async function measure(
  policy: Figures['policy'],
  neighbours: number,
  rounds: number,
  signal: AbortSignal,
): Promise<Figures> {
  const threadsPerCore = policy === 'core' ? 2 : 1
  const host = await startHost({
    logicalProcessors: 2,
    scheduler: policy,
    threadsPerCore,
    log: { level: 'error' },
  })
  try {
    const victim = host.createVm({ name: 'victim', memoryBytes: 2 * MIB, program: PULSE })
    const noise = Array.from({ length: neighbours }, (_, index) =>
      host.createVm({ name: `noise${index}`, memoryBytes: 2 * MIB, program: BURNER }),
    )
    await abortable(Promise.all([victim, ...noise].map((vm) => vm.start())), signal)
    const request: PulseRequest = { rounds, restMs: REST_MS, microseconds: MICROSECONDS }
    // Once for the compiler, once for the record.
    await abortable(victim.call('pulse', { ...request, rounds: Math.ceil(rounds / 4) }), signal)
    const before = await victimOf(host)
    const result = (await abortable(victim.call('pulse', request), signal)) as PulseResult
    const after = await victimOf(host)
    const dispatches = after.dispatches - before.dispatches
    return {
      policy,
      neighbours,
      ...latenciesOf(result),
      waitPerDispatchUs:
        policy === 'root' || dispatches === 0
          ? null
          : (after.waitTime - before.waitTime) / dispatches / 10,
    }
  } finally {
    await host.close()
  }
}

async function victimOf(host: Awaited<ReturnType<typeof startHost>>) {
  const { partitions, scheduler } = await host.inspect()
  const id = partitions.find(({ name }) => name === 'victim')?.partitionId
  const vp = scheduler.vps.find(({ partitionId }) => partitionId === id)
  if (vp === undefined) throw new Error('the victim is gone')
  return vp
}

function report(figures: readonly Figures[]): string {
  return alignTable(
    ['policy', 'beside', 'p50, ms', 'p99, ms', 'max, ms', 'requests/s', 'wait/dispatch, µs'],
    figures.map((one) => [
      one.policy,
      String(one.neighbours),
      one.p50Ms.toFixed(3),
      one.p99Ms.toFixed(3),
      one.maxMs.toFixed(3),
      one.requestsPerSecond.toFixed(1),
      one.waitPerDispatchUs === null ? '' : one.waitPerDispatchUs.toFixed(0),
    ]),
  ).join('\n')
}
