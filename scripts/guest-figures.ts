/**
 * What guests cost beside their traffic: how fast they boot, what an idle one takes of memory and processor, and how
 * fast channels open and close. Real threads, through the management service, as any program starts them.
 */

import { parseArgs } from 'node:util'
import { startHost, type Host } from '@guestyard/management'
import {
  alignTable,
  createProgress,
  describeEnvironment,
  formatBytes,
  median,
  readEnvironment,
  type Progress,
} from '@guestyard/scenario'

import {
  GUESTS_AT_ONCE,
  measureBoots,
  type BootFigures,
  type BootTimes,
} from './guest-figures/boot.ts'
import { measureIdle, type IdleFigures } from './guest-figures/idle.ts'
import { bareThreadBytes } from './guest-figures/memory.ts'
import { tableStream, writeJson } from './json-file.ts'
import { flagError, runScript } from './script-run.ts'

const HELP = `What guests cost: boot, idle memory, idle processor time, channels opened and closed.

  npx node scripts/guest-figures.ts [options]

  --json FILE   writes every figure with machine, Node, V8 and commit; - is standard output
  --quick       fewer boots and rounds, 16 idle guests only, and 5 seconds of idling
  --help        this text

Examples:
  npx node scripts/guest-figures.ts --quick
  npx node scripts/guest-figures.ts --json figures.json

Takes about six minutes, three with --quick; nothing else should run beside it.
`

const ROUNDS_PROGRAM = new URL('./guest-figures/rounds-worker.ts', import.meta.url)
/** So many idle guests together, percent of one core. */
const IDLE_PERCENT_GOALS: ReadonlyMap<number, number> = new Map([
  [16, 0.5],
  [64, 2],
])
/** An idle guest beyond its RAM. */
const MEMORY_GOAL_BYTES = 6_000_000

interface Flags {
  readonly json: string | null
  readonly boots: number
  readonly rounds: number
  readonly idleSeconds: number
  readonly idleGuests: readonly number[]
}

interface Figures {
  readonly boot: BootFigures
  readonly bareThreadBytes: number
  /** The host alone, then with more and more idle guests. */
  readonly idle: readonly IdleFigures[]
  readonly roundsPerSecond: number
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (flags, signal) => {
    const out = tableStream(flags.json)
    const progress = createProgress(process.stderr)
    const environment = await readEnvironment()
    out.write(`${describeEnvironment(environment)}\n`)
    try {
      const figures = await measure(flags, signal, progress)
      progress.end()
      out.write(`${report(figures)}\n`)
      if (flags.json !== null) {
        const when = new Date().toISOString()
        writeJson(flags.json, { script: 'guest-figures', when, environment, flags, figures })
      }
    } finally {
      progress.end()
    }
    return true
  },
)

function readFlags(args: string[]): Flags | null {
  try {
    const { values } = parseArgs({
      args,
      options: { json: { type: 'string' }, quick: { type: 'boolean' }, help: { type: 'boolean' } },
    })
    if (values.help) {
      process.stdout.write(HELP)
      return null
    }
    const sizes = values.quick
      ? { boots: 5, rounds: 100, idleSeconds: 5, idleGuests: [16] }
      : { boots: 21, rounds: 1_000, idleSeconds: 20, idleGuests: [16, 64] }
    return { json: values.json ?? null, ...sizes }
  } catch (error) {
    throw flagError(error)
  }
}

async function measure(flags: Flags, signal: AbortSignal, progress: Progress): Promise<Figures> {
  // Idling comes first, in a process that has done nothing else: code that once ran hot is compiled for some time after.
  progress.update('threads of Node that load nothing')
  const bare = await bareThreadBytes(signal)
  const idling = { counts: flags.idleGuests, seconds: flags.idleSeconds, signal, progress }
  const idle = await withHost((host) => measureIdle(host, idling))
  progress.update(`${flags.boots} boots, and ${GUESTS_AT_ONCE} at once`)
  const boot = await withHost((host) => measureBoots(host, flags.boots, signal))
  progress.update('channels opened and closed')
  const roundsPerSecond = await withHost((host) => measureRounds(host, flags.rounds))
  return { bareThreadBytes: bare, idle, boot, roundsPerSecond }
}

async function withHost<T>(work: (host: Host) => Promise<T>): Promise<T> {
  const host = await startHost()
  try {
    return await work(host)
  } finally {
    await host.close()
  }
}

async function measureRounds(host: Host, rounds: number): Promise<number> {
  const vm = host.createVm({ name: 'rounds', program: ROUNDS_PROGRAM })
  await vm.start()
  // A tenth first, to warm up.
  await vm.call('rounds', Math.ceil(rounds / 10))
  const elapsedMs = Number(await vm.call('rounds', rounds))
  return (rounds / elapsedMs) * 1000
}

function report({ boot, bareThreadBytes: bare, idle, roundsPerSecond }: Figures): string {
  const lines = [
    '',
    ...alignTable(
      ['boot, ms', 'p50', 'fastest', 'slowest'],
      [
        bootRow('one guest, worker started to channel open', boot.alone, 'workerToChannelMs'),
        bootRow('one guest, start() to running', boot.alone, 'startMs'),
        bootRow(
          `${GUESTS_AT_ONCE} at once, worker started to channel open`,
          boot.atOnce,
          'workerToChannelMs',
        ),
        bootRow(`${GUESTS_AT_ONCE} at once, start() to running`, boot.atOnce, 'startMs'),
      ],
    ),
    `${GUESTS_AT_ONCE} guests are all up after ${boot.allUpMs.toFixed(0)} ms`,
    '',
    ...alignTable(
      ['memory of an idle guest beyond its RAM', 'as it comes up', 'settled'],
      idle
        .slice(1)
        .map((figures) => [
          `${figures.guests} guests`,
          formatBytes(figures.freshBytesPerGuest),
          formatBytes(figures.bytesPerGuest),
        ]),
    ),
    `(aim: under ${formatBytes(MEMORY_GOAL_BYTES)}; a VM has two threads, and one that loads nothing takes ${formatBytes(bare)})`,
    '',
    ...alignTable(
      ['idle, % of one core', 'all', 'root', 'guests', 'rest', 'root wakes/s', 'guest wakes/s'],
      idle.map(idleRow),
    ),
    ...idle.flatMap((figures) => {
      const goal = IDLE_PERCENT_GOALS.get(figures.guests)
      return goal === undefined
        ? []
        : [`${figures.guests} idle guests: goal under ${goal} % of one core together`]
    }),
    '',
    `channels: ${roundsPerSecond.toFixed(0)} rounds a second of open, one packet and close in one guest`,
  ]
  return lines.join('\n')
}

function bootRow(what: string, boots: readonly BootTimes[], field: keyof BootTimes): string[] {
  const times = boots.map((boot) => boot[field])
  return [what, median(times), Math.min(...times), Math.max(...times)].map((value) =>
    typeof value === 'number' ? value.toFixed(1) : value,
  )
}

function idleRow(figures: IdleFigures): string[] {
  const { percentOfCore, rootPercent, guestsPercent, restPercent, seconds } = figures
  return [
    figures.guests === 0 ? 'host alone' : `${figures.guests} guests`,
    ...[percentOfCore, rootPercent, guestsPercent, restPercent].map((value) => value.toFixed(2)),
    ...[figures.rootWakes, figures.guestWakes].map((wakes) => (wakes / seconds).toFixed(1)),
  ]
}
