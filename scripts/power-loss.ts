// The long run of test/storage/power-loss: processes with machines at work are killed at moments nobody chose, a thousand times, and
// every image they leave is held against what its guest had been told is flushed. The same images go on from cut to cut.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { DiskSource } from '@guestyard/root-partition/worker-protocol'
import { InputError, readEnvironment } from '@guestyard/scenario'

import { checkImage, killed } from '../test/storage/power-loss/cut.ts'
import { Oracle } from '../test/storage/power-loss/work.ts'
import { readScriptFlags, wholeNumber } from './script-flags.ts'
import { abortable, runScript } from './script-run.ts'

const HELP = `Kills processes in the middle of their guests' writes, and checks what is left of their disks.

  npx node scripts/power-loss.ts [options]

  --points N      kills in all (1000)
  --seed S        first seed (drawn; printed)
  --formats LIST  images (raw,vhd,vhd-fixed,vhdx,vhdx-fixed)
  --json FILE     writes what was done, with machine and Node
  --help          this text

A killed process loses what it had in memory; what it gave to the host's page cache is still written. Power that goes from the
host's disk as well is the matter of packages/storage/test. VHDX images also go through qemu-img check, where that is installed.

Exit codes: 0 nothing was lost, 1 something was (the line names image, block and seed), 2 a wrong flag, 130 interrupted.
`

const FORMATS = ['raw', 'vhd', 'vhd-fixed', 'vhdx', 'vhdx-fixed'] as const
type Format = (typeof FORMATS)[number]
const SIZE_BYTES = 64 * 2 ** 20
/** Cuts of one image before it is made anew. */
const CUTS_PER_IMAGE = 20
const BATCHES_MAX = 30
const AFTER_MS_MAX = 6
const SEEDS = 2 ** 31

interface Flags {
  readonly points: number
  readonly seed: number
  readonly formats: readonly Format[]
  readonly json: string | null
}

interface FormatReport {
  readonly format: Format
  cuts: number
  batches: number
  /** Times that qemu-img found the image sound. */
  checked: number
}

await runScript(readFlags, async (flags, signal) => {
  const folder = mkdtempSync(join(tmpdir(), 'guestyard-power-loss-'))
  const reports = flags.formats.map((format) => ({ format, cuts: 0, batches: 0, checked: 0 }))
  let failure: string | null = null
  try {
    failure = await cutAll(flags, reports, folder, signal)
  } finally {
    if (failure === null) rmSync(folder, { recursive: true, force: true })
  }
  for (const { format, cuts, batches, checked } of reports) {
    const text = `${cuts} cuts, ${batches} batches flushed`
    console.log(
      `${format.padEnd(11)} ${text}${checked > 0 ? `, ${checked} checks by qemu-img` : ''}`,
    )
  }
  if (failure !== null) console.log(`FAILED: ${failure}`)
  if (flags.json !== null) {
    const environment = await readEnvironment()
    const record = { script: 'power-loss', environment, flags, reports, failure }
    writeFileSync(flags.json, `${JSON.stringify(record, null, 2)}\n`)
  }
  return failure === null
})

function readFlags(): Flags | null {
  const kinds = { points: 'text', seed: 'text', formats: 'text', json: 'text' } as const
  const values = readScriptFlags(kinds, HELP)
  if (values === null) return null
  const points = { least: 1, most: 1_000_000, otherwise: 1000 }
  const drawn = Math.floor(Math.random() * SEEDS)
  return {
    points: wholeNumber('--points', values.points, points),
    seed: wholeNumber('--seed', values.seed, { least: 0, most: SEEDS - 1, otherwise: drawn }),
    formats: formatsOf(values.formats),
    json: values.json ?? null,
  }
}

function formatsOf(text: string | undefined): readonly Format[] {
  if (text === undefined) return FORMATS
  return text.split(',').map((name) => {
    const format = FORMATS.find((one) => one === name)
    if (format !== undefined) return format
    throw new InputError('--formats', `no format "${name}" (known: ${FORMATS.join(', ')})`)
  })
}

/** Why it ended early, or null. */
async function cutAll(
  { points, seed, formats }: Flags,
  reports: readonly FormatReport[],
  folder: string,
  signal: AbortSignal,
): Promise<string | null> {
  console.log(`first seed ${seed}`)
  let done = 0
  for (let image = 0; done < points; image += 1) {
    const report = reports[image % formats.length]!
    const cuts = Math.min(CUTS_PER_IMAGE, points - done)
    try {
      await abortable(cutImage(report, cuts, (seed + image) % SEEDS, folder, signal), signal)
    } catch (error) {
      if (signal.aborted) return null
      return `${report.format}, seed ${seed + image}: ${(error as Error).message} (in ${folder})`
    }
    done += cuts
    console.log(`${done} of ${points} cuts`)
  }
  return null
}

async function cutImage(
  report: FormatReport,
  cuts: number,
  seed: number,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const path = join(folder, `${report.format}-${seed}.img`)
  const format = report.format.startsWith('vhdx')
    ? 'vhdx'
    : report.format.startsWith('vhd')
      ? 'vhd'
      : 'raw'
  const fixed = report.format.endsWith('fixed')
  const oracle = new Oracle(seed, SIZE_BYTES / 512)
  const disk = { file: path, format, fixed, sizeBytes: SIZE_BYTES } as const
  const source: DiskSource = { is: 'file', path, format, create: null, blockBytes: 512 }
  for (let cut = 0; cut < cuts; cut += 1) {
    const firstBatch = oracle.nextBatch
    const batches = 1 + Math.floor(Math.random() * BATCHES_MAX)
    const afterMs = Math.random() * AFTER_MS_MAX
    const told = await killed({ disk, seed, firstBatch, batches, afterMs }, signal)
    oracle.flushed(told)
    checkImage(source, oracle)
    report.cuts += 1
    report.batches += told - firstBatch + 1
    if (format === 'vhdx' && checkedByQemu(path)) report.checked += 1
  }
  rmSync(path)
}

/** False where there is no qemu-img. Throws what it finds wrong. */
function checkedByQemu(path: string): boolean {
  const { error, status, stdout, stderr } = spawnSync('qemu-img', ['check', '-f', 'vhdx', path], {
    encoding: 'utf8',
  })
  if (error !== undefined) return false
  if (status === 0) return true
  throw new Error(`qemu-img check: ${stdout}${stderr}`)
}
