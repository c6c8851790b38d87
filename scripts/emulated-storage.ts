/**
 * What enlightenment saves: 4 KiB reads of one image, by one guest program, over the synthetic SCSI controller and over the emulated IDE
 * controller by the bus master and by ports, with the exits of each.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startHost, type Host } from '@guestyard/management'
import {
  alignTable,
  createProgress,
  describeEnvironment,
  readEnvironment,
} from '@guestyard/scenario'

import type { ReadRequest, ReadTimes } from './guests/block-reader.ts'
import { tableStream, writeJson } from './json-file.ts'
import { abortable, flagError, runScript } from './script-run.ts'

const HELP = `What enlightened storage saves over emulated storage.

  npx node scripts/emulated-storage.ts [options]

  --json FILE   writes every figure with machine, Node, V8 and commit; - for standard output
  --rounds N    rounds, each of every path (default 5)
  --help        this text

  npx node scripts/emulated-storage.ts --json emulated.json

4 KiB reads at depth 1 from one raw image in the page cache: SCSI over VMBus; IDE by bus-master DMA; IDE by programmed I/O. An exit is a
message to the VM's worker process and its answer. The medians of the rounds are printed. Nothing else should run beside it.
`

const MIB = 1024 * 1024
const PROGRAM = new URL('./guests/block-reader.ts', import.meta.url)
/** Reads of one round: as many as take some tens of milliseconds. */
const PATHS = [
  { path: 'scsi0:0', label: 'SCSI over VMBus', controllerType: 'scsi', reads: 4000 },
  { path: 'ide0:0', label: 'IDE, bus master', controllerType: 'ide', reads: 100 },
  { path: 'pio', label: 'IDE, programmed I/O', controllerType: 'ide', reads: 3 },
] as const

interface Flags {
  readonly json: string | null
  readonly rounds: number
}

interface Figures {
  readonly path: string
  readonly label: string
  /** Of the rounds, the median of the median read, in microseconds. */
  readonly microseconds: number
  readonly readsPerSecond: number
  readonly exitsPerRead: number
  /** How many times as long as over VMBus. */
  readonly ratio: number
}

interface Round {
  readonly microseconds: number
  readonly exitsPerRead: number
}

await runScript(
  () => readFlags(process.argv.slice(2)),
  async (flags, signal) => {
    const environment = await readEnvironment()
    const progress = createProgress(process.stderr)
    const folder = mkdtempSync(join(tmpdir(), 'guestyard-emulated-'))
    const image = join(folder, 'disk.img')
    const rounds = new Map<string, Round[]>()
    try {
      writeImage(image)
      for (let round = 1; round <= flags.rounds; round++) {
        for (const one of PATHS) {
          progress.update(`round ${round} of ${flags.rounds}: ${one.label}`)
          const measured = await measure(one, image, signal)
          rounds.set(one.path, [...(rounds.get(one.path) ?? []), measured])
        }
      }
    } finally {
      progress.end()
      rmSync(folder, { recursive: true, force: true })
    }
    const figures = figuresOf(rounds)
    const when = new Date().toISOString()
    tableStream(flags.json).write(`${describeEnvironment(environment)}\n${report(figures)}\n`)
    if (flags.json !== null) {
      writeJson(flags.json, { script: 'emulated-storage', when, environment, flags, figures })
    }
    return true
  },
)

function readFlags(args: string[]): Flags | null {
  try {
    const { values } = parseArgs({
      args,
      options: {
        json: { type: 'string' },
        rounds: { type: 'string' },
        help: { type: 'boolean' },
      },
    })
    if (values.help) {
      process.stdout.write(HELP)
      return null
    }
    const rounds = Number(values.rounds ?? '5')
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) {
      throw new Error(`'--rounds' is a whole number from 1 to 100, not ${values.rounds}`)
    }
    return { json: values.json ?? null, rounds }
  } catch (error) {
    throw flagError(error)
  }
}

/** Every block begins with its number. */
function writeImage(file: string): void {
  const bytes = new Uint8Array(16 * MIB)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < bytes.length; at += 512) view.setUint32(at, at / 512, true)
  writeFileSync(file, bytes)
}

async function measure(
  { path, controllerType, reads }: (typeof PATHS)[number],
  file: string,
  signal: AbortSignal,
): Promise<Round> {
  const host = await startHost({ log: { level: 'error' } })
  try {
    const vm = host.createVm({
      name: 'reader',
      memoryBytes: 4 * MIB,
      program: PROGRAM,
      disks: [{ file, format: 'raw', controllerType }],
    })
    await abortable(vm.start(), signal)
    const read = async (count: number): Promise<ReadTimes> => {
      const request: ReadRequest = { path, reads: count }
      return (await abortable(vm.call('read', request), signal)) as ReadTimes
    }
    // Once for the compiler, once for the record.
    await read(Math.ceil(reads / 2))
    const before = await exitsOf(host)
    const times = await read(reads)
    const exits = (await exitsOf(host)) - before
    return { microseconds: median(times), exitsPerRead: exits / reads }
  } finally {
    await host.close()
  }
}

async function exitsOf(host: Host): Promise<number> {
  const { partitions } = await host.inspect()
  return partitions.reduce((sum, { intercepts }) => sum + intercepts.owned, 0)
}

function figuresOf(rounds: ReadonlyMap<string, readonly Round[]>): readonly Figures[] {
  const medians = PATHS.map(({ path, label }) => {
    const all = rounds.get(path) ?? []
    return {
      path,
      label,
      microseconds: median(all.map((round) => round.microseconds)),
      exitsPerRead: median(all.map((round) => round.exitsPerRead)),
    }
  })
  const base = medians[0]?.microseconds ?? 1
  return medians.map((one) => ({
    ...one,
    readsPerSecond: 1e6 / one.microseconds,
    ratio: one.microseconds / base,
  }))
}

function report(figures: readonly Figures[]): string {
  const rows = figures.map((one) => [
    one.label,
    one.microseconds.toFixed(1),
    one.readsPerSecond.toFixed(0),
    one.exitsPerRead.toFixed(1),
    `${one.ratio.toFixed(1)}x`,
  ])
  return alignTable(['4 KiB read', 'µs', 'reads/s', 'exits', 'of SCSI'], rows).join('\n')
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
