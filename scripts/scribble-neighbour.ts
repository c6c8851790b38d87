/**
 * What a guest pays for a neighbour that scribbles: its packets a second beside nobody, beside an idle guest, beside an
 * honest guest that is as busy, and beside one whose second thread writes over its rings. Real threads, in turns in one run.
 *
 * Four threads want the processors in the last two cases: the neighbour, the root, the other guest and its second thread.
 * "At full speed" is therefore what is left beside an honest guest that does the same work: it opens a channel, loads
 * it both ways without end while its second thread does the same writes to memory of its own, closes it, and begins again.
 * Its first thread takes as many turns as that of the scribbler, which signals in each.
 */

import type { LoadSpec } from '@guestyard/load-device/protocol'
import { startHost } from '@guestyard/management'
import type { Host, Vm } from '@guestyard/management'
import {
  InputError,
  alignTable,
  describeEnvironment,
  formatCount,
  median,
  medianRatio,
  readEnvironment,
} from '@guestyard/scenario'

import { tableStream, writeJson } from './json-file.ts'
import { PeerPair } from './peers/peer-pair.ts'
import { SteadyRounds } from './peers/steady-rounds.ts'
import type { Round } from './peers/steady-rounds.ts'
import { readScriptFlags, wholeNumber } from './script-flags.ts'
import { abortable, runScript } from './script-run.ts'

const HELP = `What a guest pays for a neighbour that scribbles over its rings.

  npx node scripts/scribble-neighbour.ts [options]

  --rounds N        rounds that count (7)
  --measure-ms N    milliseconds of each case in each round (300)
  --least-ratio R   exit with 1 when scribbling over honest is below R, 0 to 1 (0.9)
  --json FILE       writes every round, with machine and Node; - for standard output
  --help            this text

Examples:
  npx node scripts/scribble-neighbour.ts
  npx node scripts/scribble-neighbour.ts --rounds 3 --measure-ms 150 --json -

Exit codes: 0 the neighbour went on at full speed, 1 it did not or lost packets, 2 a wrong flag, 130 interrupted.
`

const MIB = 1024 * 1024
const PROGRAM = new URL('../test/hostile/guests/scribbles.ts', import.meta.url)
const WRITES_PER_CHANNEL = 20_000
const CASES = ['absent', 'idle', 'honest', 'scribbling'] as const
type Case = (typeof CASES)[number]
const HEADER = ['The other guest is', "neighbour's packets/s", 'over absent', 'channels it opened']

interface Flags {
  readonly rounds: number
  readonly measureMs: number
  readonly leastRatio: number
  readonly json: string | null
}

/** Packets a second of the neighbour, and channels that the busy guests went through. */
interface Found {
  readonly rates: Readonly<Record<Case, number>>
  readonly channels: { readonly honest: number; readonly scribbling: number }
}

await runScript(readFlags, async (flags, signal) => {
  const environment = await readEnvironment()
  const out = tableStream(flags.json)
  out.write(`${describeEnvironment(environment)}\n`)
  const rounds = await measure(flags, signal, (line) => out.write(`${line}\n`))
  const figures = figuresOf(rounds)
  out.write(`${alignTable(HEADER, rowsOf(figures)).join('\n')}\n`)
  const { scribblingOverHonest } = figures
  const held = scribblingOverHonest >= flags.leastRatio
  const verdict = `${held ? 'held  ' : 'MISSED'}  beside scribbling over beside an honest guest as busy`
  out.write(`${verdict}: ${scribblingOverHonest.toFixed(2)} (at least ${flags.leastRatio})\n`)
  if (flags.json !== null) {
    const when = new Date().toISOString()
    const record = { script: 'scribble-neighbour', when, environment, flags, figures, rounds }
    writeJson(flags.json, record)
  }
  return held
})

function readFlags(): Flags | null {
  const kinds = {
    rounds: 'text',
    'measure-ms': 'text',
    'least-ratio': 'text',
    json: 'text',
  } as const
  const flags = readScriptFlags(kinds, HELP)
  if (flags === null) return null
  const least = flags['least-ratio'] ?? '0.9'
  if (!/^(0?\.\d+|0|1)$/.test(least)) {
    throw new InputError('--least-ratio', `a number from 0 to 1, not "${least}"`)
  }
  return {
    rounds: wholeNumber('--rounds', flags.rounds, { least: 1, most: 1000, otherwise: 7 }),
    measureMs: wholeNumber('--measure-ms', flags['measure-ms'], {
      least: 50,
      most: 60_000,
      otherwise: 300,
    }),
    leastRatio: Number(least),
    json: flags.json ?? null,
  }
}

async function measure(
  flags: Flags,
  signal: AbortSignal,
  progress: (line: string) => void,
): Promise<readonly Round<Found>[]> {
  const host = await startHost({ log: { level: 'fatal' } })
  const peers = new PeerPair()
  try {
    const neighbour = await started(host, 'neighbour', null)
    const spec = loadFor(flags.measureMs)
    // For the compiler.
    await rateOf(neighbour, spec)
    const rounds = new SteadyRounds(peers, flags.rounds, { extraRounds: flags.rounds })
    return await rounds.run(async (round) => {
      const found = await abortable(oneRound(host, neighbour, spec, round), signal)
      const rates = CASES.map((name) => `${name} ${formatCount(found.rates[name])}/s`)
      progress(`round ${round}: ${rates.join(', ')}`)
      return found
    })
  } finally {
    await Promise.all([host.close(), peers.close()])
  }
}

async function oneRound(host: Host, neighbour: Vm, spec: LoadSpec, round: number): Promise<Found> {
  const absent = await rateOf(neighbour, spec)
  const other = await started(host, `other ${round}`, PROGRAM)
  try {
    const idle = await rateOf(neighbour, spec)
    const busy = { honest: { rate: 0, channels: 0 }, scribbling: { rate: 0, channels: 0 } }
    const order = ['honest', 'scribbling'] as const
    // Neither is always the one that finds the machine warmer.
    for (const name of round % 2 === 0 ? order : order.toReversed()) {
      busy[name] = await besideBusy(neighbour, other, name, spec)
    }
    return {
      rates: { absent, idle, honest: busy.honest.rate, scribbling: busy.scribbling.rate },
      channels: { honest: busy.honest.channels, scribbling: busy.scribbling.channels },
    }
  } finally {
    await other.turnOff()
  }
}

async function besideBusy(
  neighbour: Vm,
  other: Vm,
  name: 'honest' | 'scribbling',
  spec: LoadSpec,
): Promise<{ rate: number; channels: number }> {
  const call = name === 'honest' ? 'honest' : 'rings'
  const order = { rounds: Number.MAX_SAFE_INTEGER, writes: WRITES_PER_CHANNEL, seed: 1 }
  const busy = other.call(call, order) as Promise<{ opened: number }>
  const rate = await Promise.race([rateOf(neighbour, spec), busy.then(endedEarly)])
  await other.call('stop', null)
  return { rate, channels: (await busy).opened }
}

/** Packets a second, both ways together. Throws when one was lost or out of order. */
async function rateOf(vm: Vm, spec: LoadSpec): Promise<number> {
  const result = await vm.runLoad(spec)
  if (result.sequenceErrors + result.peerSequenceErrors + result.packetsMissing > 0) {
    throw new Error('the neighbour lost packets')
  }
  return (result.packets / result.elapsedNs) * 1e9
}

function loadFor(measureMs: number): LoadSpec {
  return {
    direction: 'both',
    payloadBytes: 256,
    batch: 16,
    loop: { kind: 'closed', window: 32 },
    warmUp: { kind: 'duration', durationMs: measureMs / 6 },
    measure: { kind: 'duration', durationMs: measureMs },
    channels: 1,
    sendRingBytes: 65_536,
    receiveRingBytes: 65_536,
    waiting: 'event-loop',
    spinMicroseconds: 20,
  }
}

async function started(host: Host, name: string, program: URL | null): Promise<Vm> {
  const vm = host.createVm({ name, memoryBytes: 8 * MIB, program })
  await vm.start()
  return vm
}

function endedEarly(): never {
  throw new Error('the other guest ended before it was told to')
}

interface Figures {
  readonly packetsPerSecond: Readonly<Record<Case, number>>
  readonly idleOverAbsent: number
  readonly honestOverAbsent: number
  readonly scribblingOverAbsent: number
  readonly scribblingOverHonest: number
  /** Channels that the busy guests opened in a case, median. */
  readonly channels: { readonly honest: number; readonly scribbling: number }
}

function figuresOf(rounds: readonly Round<Found>[]): Figures {
  const rates = (name: Case): number[] => rounds.map(({ found }) => found.rates[name])
  const over = (name: Case, other: Case): number => medianRatio(rates(name), rates(other))
  return {
    packetsPerSecond: {
      absent: median(rates('absent')),
      idle: median(rates('idle')),
      honest: median(rates('honest')),
      scribbling: median(rates('scribbling')),
    },
    idleOverAbsent: over('idle', 'absent'),
    honestOverAbsent: over('honest', 'absent'),
    scribblingOverAbsent: over('scribbling', 'absent'),
    scribblingOverHonest: over('scribbling', 'honest'),
    channels: {
      honest: median(rounds.map(({ found }) => found.channels.honest)),
      scribbling: median(rounds.map(({ found }) => found.channels.scribbling)),
    },
  }
}

function rowsOf(figures: Figures): string[][] {
  const row = (name: Case, ratio: number, channels: string): string[] => [
    name,
    formatCount(figures.packetsPerSecond[name]),
    ratio.toFixed(2),
    channels,
  ]
  return [
    row('absent', 1, ''),
    row('idle', figures.idleOverAbsent, ''),
    row('honest', figures.honestOverAbsent, String(figures.channels.honest)),
    row('scribbling', figures.scribblingOverAbsent, String(figures.channels.scribbling)),
  ]
}
