/**
 * What StorVSC, StorVSP and the SCSI target cost over the file's own reads and writes: two threads, the rings in the guest's RAM, both
 * ends polling, and bare `readSync` and `writeSync` of the same transfers in turns with them.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describeEnvironment, readEnvironment } from '@guestyard/scenario'

import { tableStream, writeJson } from './json-file.ts'
import { disturbance } from './peers/steady-rounds.ts'
import { readScriptFlags, wholeNumber } from './script-flags.ts'
import { runScript } from './script-run.ts'
import { StorageEnds } from './storage-throughput/guest-end.ts'
import { measure, report } from './storage-throughput/judge.ts'
import type { Judged, Movers } from './storage-throughput/judge.ts'
import { LINES } from './storage-throughput/lines.ts'
import { Machine } from './storage-throughput/machine.ts'

const HELP = `What a disk over the bus costs, over bare transfers of the same file in the same run.

  npx node scripts/storage-throughput.ts [options]

  --rounds N    rounds of each line that are wanted, 3 to 1000; 15 when left out
  --json FILE   writes every figure with machine, Node, V8 and commit; - for standard output
  --help        this text

"guest" is a script guest on a host, as any scenario has it. "ends" are driver and controller alone in two threads that poll, over rings in one RAM:
what is left when bus, interrupts and scheduler are taken away, and where heaps are sampled. A round is a stretch of requests and one of
what they are held to, and counts when two spinning threads met equally fast before and after it. Ratios are medians of rounds.
Takes a minute; two processors should be free.

  npx node scripts/storage-throughput.ts --json storage.json
  npx node scripts/storage-throughput.ts --rounds 5 --json - | jq .judged
`

const DISK_BYTES = 64 * 1024 * 1024
const ROUNDS = 15
/** Requests of the heap's sample. */
const HEAP_REQUESTS = 300_000
/** Heap bytes of a request that are compiled code and bookkeeping of a round, and no garbage. */
const HEAP_BYTES_MAX = 8

interface Flags {
  readonly json: string | null
  readonly rounds: number
}

/** What a request took of the ends' heaps. */
interface Heap {
  readonly requests: number
  readonly driverBytes: number
  readonly hostBytes: number
  readonly goalBytes: number
  readonly held: boolean
}

await runScript(readFlags, async (flags, signal) => {
  const environment = await readEnvironment()
  const out = tableStream(flags.json)
  const say = (text: string): boolean => out.write(`${text}\n`)
  say(describeEnvironment(environment))
  const folder = mkdtempSync(join(tmpdir(), 'guestyard-storage-'))
  try {
    const { judged, heap } = await figures(folder, flags, signal)
    say(report(judged))
    const { requests, driverBytes, hostBytes } = heap
    say(
      `heap of a request, of ${requests}: driver ${driverBytes.toFixed(2)} B, host ${hostBytes.toFixed(2)} B, below ${HEAP_BYTES_MAX}: ${heap.held ? 'held' : 'MISSED'}`,
    )
    const probesNs = judged.flatMap(({ rounds }) => rounds.flatMap((round) => round.probesNs))
    const disturbed = disturbance(probesNs) ?? null
    if (disturbed !== null) say(disturbed)
    if (flags.json !== null) {
      const when = new Date().toISOString()
      const about = { script: 'storage-throughput', when, environment, flags }
      writeJson(flags.json, { ...about, judged, heap, disturbed })
    }
    return heap.held && judged.every(({ held }) => held)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

function readFlags(): Flags | null {
  const flags = readScriptFlags({ json: 'text', rounds: 'text' }, HELP)
  if (flags === null) return null
  const rounds = wholeNumber('--rounds', flags.rounds, { least: 3, most: 1000, otherwise: ROUNDS })
  return { json: flags.json ?? null, rounds }
}

async function figures(
  folder: string,
  { rounds }: Flags,
  signal: AbortSignal,
): Promise<{ readonly judged: readonly Judged[]; readonly heap: Heap }> {
  const rawPath = join(folder, 'raw.img')
  writeFileSync(rawPath, Buffer.alloc(DISK_BYTES, 0xa5))
  const ends = await StorageEnds.start({ diskBytes: DISK_BYTES, rawPath })
  const machine = await Machine.start([
    { name: 'memory', address: 'scsi0:0', options: { memoryBytes: DISK_BYTES } },
    { name: 'raw', address: 'scsi0:1', options: { file: rawPath, format: 'raw' } },
    {
      name: 'vhdx',
      address: 'scsi0:2',
      options: { file: join(folder, 'dynamic.vhdx'), format: 'vhdx', sizeBytes: DISK_BYTES },
    },
  ])
  try {
    await machine.fill('vhdx', DISK_BYTES)
    const movers: Movers = {
      by: {
        guest: (load, requests, seed) => machine.run(load, requests, seed),
        ends: (load, requests, seed) => ends.run(load, requests, seed),
        bare: (load, requests, seed) => ends.bare(load, requests, seed),
      },
      probe: () => ends.probe(),
    }
    const judged: Judged[] = []
    for (const line of LINES) judged.push(await measure(movers, line, rounds, signal))
    const { driverBytes, hostBytes } = ends.heap(LINES[0]!.load, HEAP_REQUESTS)
    const held = driverBytes < HEAP_BYTES_MAX && hostBytes < HEAP_BYTES_MAX
    const heap = {
      requests: HEAP_REQUESTS,
      driverBytes,
      hostBytes,
      goalBytes: HEAP_BYTES_MAX,
      held,
    }
    return { judged, heap }
  } finally {
    await machine.stop()
    await ends.stop()
  }
}
