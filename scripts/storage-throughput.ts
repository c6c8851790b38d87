/**
 * What StorVSC, StorVSP and the SCSI target cost over the file's own reads and writes: two threads, the rings in the guest's RAM, both
 * ends polling, and bare `readSync` and `writeSync` of the same transfers in turns with them.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { alignTable, describeEnvironment, median, readEnvironment } from '@guestyard/scenario'

import { tableStream, writeJson } from './json-file.ts'
import { disturbance, isOneSpeed } from './peers/steady-rounds.ts'
import { readScriptFlags, wholeNumber } from './script-flags.ts'
import { pause, runScript } from './script-run.ts'
import { Access, Lun } from './storage-throughput/ends-protocol.ts'
import { StorageEnds } from './storage-throughput/guest-end.ts'
import type { Load } from './storage-throughput/guest-end.ts'

const HELP = `What a disk over the bus costs, over bare transfers of the same file in the same run.

  npx node scripts/storage-throughput.ts [options]

  --rounds N    rounds of each line that are wanted, 3 to 1000; 21 when left out
  --json FILE   writes every figure with machine, Node, V8 and commit; - for standard output
  --help        this text

The driver is in one thread, controller, target and disks in another; both poll. A round is a stretch of requests through them and
one of bare transfers by the host's thread, and counts when two spinning threads met equally fast before and after it. Ratios are medians of rounds.
Takes half a minute; two processors should be free.

  npx node scripts/storage-throughput.ts --json storage.json
  npx node scripts/storage-throughput.ts --rounds 5 --json - | jq .judged
`

const DISK_BYTES = 64 * 1024 * 1024
const KIB = 1024
const ROUNDS = 21
/** Rounds in the place of those that do not count, for each that is wanted. */
const EXTRA_ROUNDS = 1
/** About as long as a round's stretch is to take. */
const STRETCH_NS = 10e6
/** Heap bytes of a request that are compiled code and bookkeeping of a round, and no garbage. */
const HEAP_BYTES_MAX = 8

interface Line {
  readonly what: string
  readonly load: Load
  /** The least that it is held to: bare transfers, or another load. */
  readonly over: 'bare' | Load | null
  /** What is judged: a rate over the other's, a time over the other's, or requests a second. */
  readonly goal: { readonly is: 'rate' | 'time' | 'per-second'; readonly value: number }
}

const random4k = (lun: Lun, depth: number): Load => ({
  lun,
  access: Access.RANDOM_READ,
  bytes: 4 * KIB,
  depth,
})
const sequential = (access: Access): Load => ({ lun: Lun.RAW, access, bytes: 256 * KIB, depth: 4 })

const LINES: readonly Line[] = [
  {
    what: '4 KiB random reads, depth 32, file',
    load: random4k(Lun.RAW, 32),
    over: 'bare',
    goal: { is: 'rate', value: 0.7 },
  },
  {
    what: '4 KiB random reads, depth 32, memory',
    load: random4k(Lun.MEMORY, 32),
    over: null,
    goal: { is: 'per-second', value: 1_000_000 },
  },
  {
    what: '4 KiB random reads, depth 1, file',
    load: random4k(Lun.RAW, 1),
    over: 'bare',
    goal: { is: 'time', value: 3 },
  },
  {
    what: '256 KiB sequential reads, file',
    load: sequential(Access.SEQUENTIAL_READ),
    over: 'bare',
    goal: { is: 'rate', value: 0.9 },
  },
  {
    what: '256 KiB sequential writes, file',
    load: sequential(Access.SEQUENTIAL_WRITE),
    over: 'bare',
    goal: { is: 'rate', value: 0.9 },
  },
  {
    what: '4 KiB random reads, depth 32, VHDX over file',
    load: random4k(Lun.VHDX, 32),
    over: random4k(Lun.RAW, 32),
    goal: { is: 'rate', value: 0.9 },
  },
]

interface Round {
  readonly probesNs: readonly [number, number]
  readonly ns: number
  readonly overNs: number
}

interface Judged {
  readonly what: string
  /** Medians, nanoseconds of a request. */
  readonly ns: number
  readonly overNs: number
  readonly value: number
  readonly goal: Line['goal']
  readonly held: boolean
  readonly rounds: readonly Round[]
}

await runScript(readFlags, async (flags, signal) => {
  const environment = await readEnvironment()
  const out = tableStream(flags.json)
  const say = (text: string): boolean => out.write(`${text}\n`)
  say(describeEnvironment(environment))
  const folder = mkdtempSync(join(tmpdir(), 'guestyard-storage-'))
  try {
    const rawPath = join(folder, 'raw.img')
    writeFileSync(rawPath, Buffer.alloc(DISK_BYTES, 0xa5))
    const ends = await StorageEnds.start({
      diskBytes: DISK_BYTES,
      rawPath,
      vhdxPath: join(folder, 'dynamic.vhdx'),
    })
    const judged: Judged[] = []
    for (const line of LINES) {
      if (!ends.luns.includes(line.load.lun)) say(`left out, no such disk: ${line.what}`)
      else judged.push(await measure(ends, line, flags.rounds, signal))
    }
    const heap = {
      requests: ends.requests,
      guestBytes: ends.guestHeapBytes / ends.requests,
      hostBytes: ends.hostHeapBytes / ends.requests,
    }
    await ends.stop()
    const isClean = heap.guestBytes < HEAP_BYTES_MAX && heap.hostBytes < HEAP_BYTES_MAX
    say(report(judged))
    say(
      `heap of a request, of ${heap.requests}: driver ${heap.guestBytes.toFixed(2)} B, host ${heap.hostBytes.toFixed(2)} B, below ${HEAP_BYTES_MAX}: ${isClean ? 'held' : 'MISSED'}`,
    )
    const disturbed = disturbance(judged.flatMap((one) => one.rounds.flatMap((of) => of.probesNs)))
    if (disturbed !== undefined) say(disturbed)
    if (flags.json !== null) {
      const when = new Date().toISOString()
      const record = {
        script: 'storage-throughput',
        when,
        environment,
        flags,
        judged,
        heap,
        disturbed,
      }
      writeJson(flags.json, record)
    }
    return isClean && judged.every(({ held }) => held)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

function readFlags(): { readonly json: string | null; readonly rounds: number } | null {
  const flags = readScriptFlags({ json: 'text', rounds: 'text' }, HELP)
  if (flags === null) return null
  const rounds = wholeNumber('--rounds', flags.rounds, { least: 3, most: 1000, otherwise: ROUNDS })
  return { json: flags.json ?? null, rounds }
}

async function measure(
  ends: StorageEnds,
  line: Line,
  wanted: number,
  signal: AbortSignal,
): Promise<Judged> {
  const { load, over } = line
  const path = (count: number, seed: number): number => ends.run(load, count, seed)
  const other = (count: number, seed: number): number => {
    if (over === null) return Number.NaN
    return over === 'bare' ? ends.bare(load, count, seed) : ends.run(over, count, seed)
  }
  const count = stretch(path, other)
  const rounds: Round[] = []
  const steady: Round[] = []
  const most = wanted * (1 + EXTRA_ROUNDS)
  for (let round = 1; round <= most && steady.length < wanted; round++) {
    await pause(signal)
    const before = ends.probe()
    const ns = path(count, round)
    const overNs = other(count, round)
    const found: Round = { probesNs: [before, ends.probe()], ns, overNs }
    rounds.push(found)
    if (isOneSpeed(...found.probesNs)) steady.push(found)
  }
  return judge(line, steady.length > 0 ? steady : rounds)
}

/** Warms both up, and finds how many requests make a stretch. */
function stretch(
  path: (count: number, seed: number) => number,
  other: (count: number, seed: number) => number,
): number {
  let count = 64
  for (;;) {
    const ns = path(count, 1) * count
    other(count, 1)
    if (ns >= STRETCH_NS) return count
    count *= 2
  }
}

function judge({ what, goal }: Line, rounds: readonly Round[]): Judged {
  const ns = median(rounds.map((round) => round.ns))
  const overNs = median(rounds.map((round) => round.overNs))
  const ratio = median(rounds.map((round) => round.ns / round.overNs))
  const value = { rate: 1 / ratio, time: ratio, 'per-second': 1e9 / ns }[goal.is]
  const held = goal.is === 'time' ? value <= goal.value : value >= goal.value
  return { what, ns, overNs, value, goal, held, rounds }
}

function report(judged: readonly Judged[]): string {
  return [
    '',
    ...alignTable(
      ['median of rounds', 'ns', 'least, ns', 'found', 'goal', ''],
      judged.map(({ what, ns, overNs, value, goal, held }) => [
        what,
        ns.toFixed(0),
        Number.isNaN(overNs) ? '' : overNs.toFixed(0),
        goal.is === 'per-second' ? `${(value / 1e6).toFixed(2)} M/s` : value.toFixed(2),
        goalText(goal),
        held ? 'held' : 'MISSED',
      ]),
    ),
  ].join('\n')
}

function goalText(goal: Line['goal']): string {
  switch (goal.is) {
    case 'rate':
      return `at least ${goal.value} of it`
    case 'time':
      return `within ${goal.value}x`
    case 'per-second':
      return `at least ${goal.value / 1e6} M/s`
  }
}
