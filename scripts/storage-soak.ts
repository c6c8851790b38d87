// The long data check: four guests with disks of every format write and read blocks that carry their address and generation, with
// requests of mixed sizes, while disks come and go beside them. Any block that is not what was written last ends it.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { startHost, type DiskOptions, type Vm } from '@guestyard/management'
import { readEnvironment } from '@guestyard/scenario'

import { readScriptFlags, wholeNumber } from './script-flags.ts'
import { abortable, runScript } from './script-run.ts'

const HELP = `Checks for a long time that disks keep what guests write to them.

  npx node scripts/storage-soak.ts [options]

  --minutes M    how long (10)
  --seed S       of what is written where (drawn; printed)
  --json FILE    writes what was done, with machine and Node
  --help         this text

Four guests: a raw file with blocks of 4096 bytes, a dynamic and a fixed VHDX and a VHD with blocks of 512; contiguous and scattered
pages; a disk in memory comes and goes at one of them. VHDX images go through qemu-img check afterwards, where that is installed.

Exit codes: 0 every block was right, 1 one was not (the line names it), 2 a wrong flag, 130 interrupted.
`

const MIB = 2 ** 20
const SIZE_BYTES = 64 * MIB
const GUEST = new URL('guests/block-checker.ts', import.meta.url)
const ROUND_MS = 20_000
const WORKERS = 6
const SEEDS = 2 ** 20

interface Flags {
  readonly minutes: number
  readonly seed: number
  readonly json: string | null
}

/** What a guest says it did. */
interface Checked {
  readonly requests: number
  readonly blocksWritten: number
  readonly blocksRead: number
  readonly flushes: number
}

interface Machine {
  readonly name: string
  readonly vm: Vm
  readonly total: { -readonly [K in keyof Checked]: number }
}

const DISKS: readonly (readonly [string, Omit<DiskOptions, 'file'>])[] = [
  ['raw', { format: 'raw', blockBytes: 4096 }],
  ['vhdx', { format: 'vhdx' }],
  ['vhdx-fixed', { format: 'vhdx', fixed: true }],
  ['vhd', { format: 'vhd' }],
]

await runScript(readFlags, async (flags, signal) => {
  const folder = mkdtempSync(join(tmpdir(), 'guestyard-storage-'))
  console.log(`seed ${flags.seed}`)
  let failure: string | null = null
  let totals: readonly (Checked & { readonly name: string })[] = []
  try {
    totals = await soak(flags, folder, signal)
    checkImages(folder)
  } catch (error) {
    if (signal.aborted) throw error
    failure = (error as Error).message
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  for (const { name, requests, blocksWritten, blocksRead, flushes } of totals) {
    console.log(
      `${name.padEnd(11)} ${requests} requests: ${blocksWritten} blocks written, ${blocksRead} read, ${flushes} flushes`,
    )
  }
  if (failure !== null) console.log(`FAILED: ${failure}`)
  if (flags.json !== null) {
    const environment = await readEnvironment()
    const record = { script: 'storage-soak', environment, flags, totals, failure }
    writeFileSync(flags.json, `${JSON.stringify(record, null, 2)}\n`)
  }
  return failure === null
})

function readFlags(): Flags | null {
  const values = readScriptFlags({ minutes: 'text', seed: 'text', json: 'text' }, HELP)
  if (values === null) return null
  const drawn = Math.floor(Math.random() * SEEDS)
  return {
    minutes: wholeNumber('--minutes', values.minutes, { least: 1, most: 10_000, otherwise: 10 }),
    seed: wholeNumber('--seed', values.seed, { least: 0, most: SEEDS - 1, otherwise: drawn }),
    json: values.json ?? null,
  }
}

async function soak(
  { minutes, seed }: Flags,
  folder: string,
  signal: AbortSignal,
): Promise<readonly (Checked & { readonly name: string })[]> {
  await using host = await startHost({ log: { level: 'silent' } })
  const machines: Machine[] = DISKS.map(([name, disk], index) => ({
    name,
    vm: host.createVm({
      name,
      memoryBytes: 32 * MIB,
      program: GUEST,
      placement: index % 2 === 0 ? 'contiguous' : 'scattered',
      disks: [{ ...disk, file: join(folder, name), sizeBytes: SIZE_BYTES }],
    }),
    total: { requests: 0, blocksWritten: 0, blocksRead: 0, flushes: 0 },
  }))
  await abortable(Promise.all(machines.map(({ vm }) => vm.start())), signal)
  const untilMs = Date.now() + minutes * 60_000
  for (let round = 0; Date.now() < untilMs; round += 1) {
    const milliseconds = Math.min(ROUND_MS, Math.max(1, untilMs - Date.now()))
    const checks = machines.map((machine, index) =>
      check(machine, { seed: seed * 100 + round * 10 + index, milliseconds, workers: WORKERS }),
    )
    const visits = visit(machines[round % machines.length]!.vm, seed + round, milliseconds, signal)
    await abortable(Promise.all([...checks, visits]), signal)
    console.log(`${((minutes * 60_000 - (untilMs - Date.now())) / 60_000).toFixed(1)} min`)
  }
  await Promise.all(machines.map(({ vm }) => vm.stop()))
  return machines.map(({ name, total }) => ({ name, ...total }))
}

async function check({ vm, name, total }: Machine, asked: object): Promise<void> {
  let done: Checked
  try {
    done = (await vm.call('check', asked)) as Checked
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error })
  }
  total.requests += done.requests
  total.blocksWritten += done.blocksWritten
  total.blocksRead += done.blocksRead
  total.flushes += done.flushes
}

/** A disk that comes, is checked and goes, again and again. */
async function visit(
  vm: Vm,
  seed: number,
  milliseconds: number,
  signal: AbortSignal,
): Promise<void> {
  const untilMs = Date.now() + milliseconds
  while (Date.now() < untilMs && !signal.aborted) {
    const place = await vm.attachDisk({ memoryBytes: 4 * MIB })
    await vm.call('check', { disk: `scsi0:${place.controllerLocation}`, seed, requests: 50 })
    await vm.detachDisk(place)
  }
}

function checkImages(folder: string): void {
  for (const name of ['vhdx', 'vhdx-fixed']) {
    const path = join(folder, name)
    const found = spawnSync('qemu-img', ['check', '-f', 'vhdx', path], { encoding: 'utf8' })
    if (found.error !== undefined) return console.log('qemu-img is not there to check images with')
    if (found.status === 0) continue
    throw new Error(`${name}: qemu-img check: ${found.stdout}${found.stderr}`)
  }
}
