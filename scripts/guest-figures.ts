/**
 * What guests cost beside their traffic: how fast they boot, what an idle one takes of memory and processor, and how
 * fast channels open and close. Real threads, through the management service, as any program starts them.
 */

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startHost, type Host } from '@guestyard/management'
import {
  alignTable,
  describeEnvironment,
  formatBytes,
  median,
  readEnvironment,
} from '@guestyard/scenario'

import {
  GUESTS_AT_ONCE,
  measureBoots,
  type BootFigures,
  type BootTimes,
} from './guest-figures/boot.ts'
import {
  measureIdle,
  startIdleGuests,
  type IdleFigures,
  type MemoryFigures,
} from './guest-figures/idle.ts'
import { flagError, runScript } from './script-run.ts'

const HELP = `What guests cost: boot, idle memory, idle processor time, channels opened and closed.

  node scripts/guest-figures.ts [options]

  --json FILE   writes every figure with machine, Node, V8 and commit
  --quick       fewer boots and rounds, and 5 seconds of idling
  --help        this text

Takes about half a minute; nothing else should run beside it.
`

const ROUNDS_PROGRAM = new URL('./guest-figures/rounds-worker.ts', import.meta.url)
/** Sixteen idle guests together, percent of one core. */
const IDLE_PERCENT_GOAL = 0.5

interface Flags {
  readonly json: string | null
  readonly boots: number
  readonly rounds: number
  readonly idleSeconds: number
}

interface Figures {
  readonly boot: BootFigures
  readonly memory: MemoryFigures
  /** The host alone, and with the idle guests. */
  readonly idle: readonly [IdleFigures, IdleFigures]
  readonly roundsPerSecond: number
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (flags, signal) => {
    const environment = await readEnvironment()
    console.log(describeEnvironment(environment))
    const figures = await measure(flags, signal)
    console.log(report(figures))
    if (flags.json !== null) {
      const record = {
        script: 'guest-figures',
        when: new Date().toISOString(),
        environment,
        flags,
        figures,
      }
      writeFileSync(flags.json, `${JSON.stringify(record, null, 2)}\n`)
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
      ? { boots: 5, rounds: 100, idleSeconds: 5 }
      : { boots: 21, rounds: 1_000, idleSeconds: 20 }
    return { json: values.json ?? null, ...sizes }
  } catch (error) {
    throw flagError(error)
  }
}

async function measure(flags: Flags, signal: AbortSignal): Promise<Figures> {
  // Idling comes first, in a process that has done nothing else: code that once ran hot is compiled for some time after.
  const idling = await withHost(async (host) => {
    const alone = await measureIdle(host, [], flags.idleSeconds / 2, signal)
    const { vms, memory } = await startIdleGuests(host, signal)
    const together = await measureIdle(host, vms, flags.idleSeconds, signal)
    return { memory, idle: [alone, together] as const }
  })
  const boot = await withHost((host) => measureBoots(host, flags.boots, signal))
  const roundsPerSecond = await withHost((host) => measureRounds(host, flags.rounds))
  return { ...idling, boot, roundsPerSecond }
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

function report({ boot, memory, idle, roundsPerSecond }: Figures): string {
  const [alone, together] = idle
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
    `memory: an idle guest takes ${formatBytes(memory.bytesPerGuest)} beyond its RAM ` +
      `(${formatBytes(memory.ramBytesPerGuest)} of RAM, resident where touched)`,
    '',
    ...alignTable(
      ['idle, % of one core', 'all', 'root', 'guests', 'rest', 'root wakes/s', 'guest wakes/s'],
      [idleRow('host alone', alone), idleRow(`${together.guests} guests`, together)],
    ),
    `${together.guests} idle guests cost ${together.percentOfCore.toFixed(2)} % of one core together ` +
      `(goal: under ${IDLE_PERCENT_GOAL} %)`,
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

function idleRow(what: string, figures: IdleFigures): string[] {
  const { percentOfCore, rootPercent, guestsPercent, restPercent, seconds } = figures
  return [
    what,
    ...[percentOfCore, rootPercent, guestsPercent, restPercent].map((value) => value.toFixed(2)),
    ...[figures.rootWakes, figures.guestWakes].map((wakes) => (wakes / seconds).toFixed(1)),
  ]
}
