/**
 * Ethernet frames from one script guest to another: drivers, both buses, NetVSP and the switch in the root's thread between them; and the same payloads
 * over `net` sockets of two Node threads, in turns with them.
 */

import { alignTable, describeEnvironment, median, readEnvironment } from '@guestyard/scenario'

import { tableStream, writeJson } from './json-file.ts'
import { Sockets } from './network-throughput/sockets.ts'
import { switchHeap } from './network-throughput/switch-heap.ts'
import { TwoGuests } from './network-throughput/two-guests.ts'
import { PeerPair } from './peers/peer-pair.ts'
import { SteadyRounds, disturbance } from './peers/steady-rounds.ts'
import type { Round } from './peers/steady-rounds.ts'
import { readScriptFlags, wholeNumber } from './script-flags.ts'
import { pause, runScript } from './script-run.ts'

const HELP = `What the virtual switch carries between two script guests, over sockets of the same payloads in the same run.

  npx node scripts/network-throughput.ts [options]

  --rounds N    rounds that are wanted, 3 to 1000; 9 when left out
  --json FILE   writes every figure with machine, Node, V8 and commit; - for standard output
  --help        this text

A round is a stretch of each kind, and counts when two spinning threads met equally fast before and after it. Guests acknowledge 1,024
frames at a time; a lost frame ends the run. Three threads share the processors: two guests and the root. Payloads of sockets are as long as
the frames; both ends of either leave the bytes as they are. A bare round trip is that of two threads that spin on a word each; the spinning one is from one adapter of a guest to another of
the same guest, so that its threads are two.

  npx node scripts/network-throughput.ts --json network.json
`

const ROUNDS = 9
/** Ethernet's header with 1,500 bytes of payload. */
const LARGE_BYTES = 1514
const LARGE_PAYLOAD_BYTES = 1500
const SMALL_BYTES = 64
const SMALL_FRAMES = 400_000
const LARGE_FRAMES = 150_000
const SMALL_WRITES = 40_000
const LARGE_WRITES = 20_000
const PINGS = 4_000
const SOCKET_PINGS = 1_000
const HEAP_FRAMES = 500_000
const WARM_ROUNDS = 3
/** Compiled code and what a run is kept in, and no garbage. */
const HEAP_BYTES_MAX = 8

interface Flags {
  readonly json: string | null
  readonly rounds: number
}

/** Nanoseconds, of a frame, a write or a round trip. */
interface Stretch {
  readonly small: number
  readonly large: number
  readonly ping: number
  readonly spinningPing: number
  readonly socketSmall: number
  readonly socketLarge: number
  readonly socketPing: number
}

interface Line {
  readonly what: string
  readonly found: number
  readonly unit: string
  /** Least, or most for a time; null: printed only. */
  readonly goal: number | null
  readonly held: boolean
}

await runScript(readFlags, async (flags, signal) => {
  const environment = await readEnvironment()
  const out = tableStream(flags.json)
  const say = (text: string): boolean => out.write(`${text}\n`)
  say(describeEnvironment(environment))
  const peers = new PeerPair()
  const guests = await TwoGuests.start()
  const sockets = await Sockets.start()
  try {
    const steady = new SteadyRounds(peers, flags.rounds)
    for (let warm = 0; warm < WARM_ROUNDS; warm += 1) await stretch(guests, sockets, signal)
    const rounds = await steady.run(() => stretch(guests, sockets, signal))
    const heapBytes = switchHeap(SMALL_BYTES, HEAP_FRAMES)
    const lines = judge(rounds, heapBytes)
    say('')
    for (const row of table(lines)) say(row)
    const drops = await guests.drops()
    const disturbed = disturbance(steady.probesNs) ?? null
    if (disturbed !== null) say(disturbed)
    if (flags.json !== null) {
      const when = new Date().toISOString()
      const about = { script: 'network-throughput', when, environment, flags }
      writeJson(flags.json, { ...about, lines, rounds, heapBytes, drops, disturbed })
    }
    return lines.every(({ held }) => held)
  } finally {
    await sockets.stop()
    await guests.stop()
    await peers.close()
  }
})

function readFlags(): Flags | null {
  const flags = readScriptFlags({ json: 'text', rounds: 'text' }, HELP)
  if (flags === null) return null
  const rounds = wholeNumber('--rounds', flags.rounds, { least: 3, most: 1000, otherwise: ROUNDS })
  return { json: flags.json ?? null, rounds }
}

async function stretch(guests: TwoGuests, sockets: Sockets, signal: AbortSignal): Promise<Stretch> {
  await pause(signal)
  const small = await guests.send(SMALL_BYTES, SMALL_FRAMES)
  const socketSmall = await sockets.send(SMALL_BYTES, SMALL_WRITES)
  const large = await guests.send(LARGE_BYTES, LARGE_FRAMES)
  const socketLarge = await sockets.send(LARGE_PAYLOAD_BYTES, LARGE_WRITES)
  const ping = await guests.ping('other', PINGS)
  const spinningPing = await guests.ping('self', PINGS)
  const socketPing = await sockets.ping(SMALL_BYTES, SOCKET_PINGS)
  return { small, large, ping, spinningPing, socketSmall, socketLarge, socketPing }
}

function judge(rounds: readonly Round<Stretch>[], heapBytes: number): readonly Line[] {
  const of = (value: (one: Stretch, probeNs: number) => number): number =>
    median(rounds.map(({ found, probesNs }) => value(found, (probesNs[0] + probesNs[1]) / 2)))
  const least = (what: string, found: number, unit: string, goal: number | null): Line => ({
    what,
    found,
    unit,
    goal,
    held: goal === null || found >= goal,
  })
  const most = (what: string, found: number, unit: string, goal: number): Line => ({
    ...least(what, found, unit, goal),
    held: found <= goal,
  })
  const gbits = (ns: number): number => (LARGE_PAYLOAD_BYTES * 8) / ns
  return [
    least(
      '64-byte frames',
      of(({ small }) => 1e3 / small),
      'M/s',
      3,
    ),
    least(
      '1,500-byte payloads',
      of(({ large }) => gbits(large)),
      'Gbit/s',
      20,
    ),
    most(
      'round trip, spinning, over a bare one',
      of((one, bare) => one.spinningPing / bare),
      'x',
      3,
    ),
    least(
      'round trip, spinning',
      of((one) => one.spinningPing),
      'ns',
      null,
    ),
    least(
      'round trip of three threads',
      of(({ ping }) => ping),
      'ns',
      null,
    ),
    least(
      '64 bytes over sockets',
      of((one) => one.socketSmall / one.small),
      'x',
      3,
    ),
    least(
      '1,500 bytes over sockets',
      of((one) => one.socketLarge / one.large),
      'x',
      3,
    ),
    least(
      'sockets’ round trip over ours, spinning',
      of((one) => one.socketPing / one.spinningPing),
      'x',
      3,
    ),
    most('heap of a frame, driver to driver', heapBytes, 'B', HEAP_BYTES_MAX),
  ]
}

function table(lines: readonly Line[]): readonly string[] {
  return alignTable(
    ['median of rounds', 'found', 'goal', ''],
    lines.map(({ what, found, unit, goal, held }) => [
      what,
      `${found.toFixed(2)} ${unit}`,
      goal === null ? '' : `${goal} ${unit}`,
      held ? (goal === null ? '' : 'held') : 'MISSED',
    ]),
  )
}
