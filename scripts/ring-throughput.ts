// How fast the bare ring is between two threads: beside C++ of the same layout and protocol,
// postMessage and ringbuf.js.
//
//   npx node scripts/ring-throughput.ts [--quick] [--rounds N] [--measure-ms N] [--check] [--json FILE]
//
// A machine's speed changes from second to second, so that only ratios within a round mean
// anything: every round gives each peer its turn, between two probes of the machine's speed. Both
// sides of every peer check every packet's sequence number.

import { writeFileSync } from 'node:fs'

import {
  InputError,
  alignTable,
  describeEnvironment,
  formatCount,
  formatNs,
  readEnvironment,
} from '@guestyard/scenario'

import { PeerPair } from './peers/peer-pair.ts'
import { disturbance } from './peers/steady-rounds.ts'
import {
  FLOOR_EIGHT_SENDERS,
  FLOOR_ONE_BY_ONE,
  FLOOR_OVER_NATIVE,
  FLOOR_OVER_POST,
  FLOOR_OVER_RINGBUF,
  FLOOR_SCATTERED,
  MOST_ASLEEP_OVER_FUTEX,
  MOST_BUSY_OVER_NATIVE,
  MOST_BUSY_OVER_PORT,
  MOST_OVER_BARE_WAIT,
  atLeast,
  atMost,
  judgedLine,
} from './ring-throughput/floors.ts'
import type { Judged } from './ring-throughput/floors.ts'
import { NativePeer } from './ring-throughput/native-peer.ts'
import {
  BARE_COPIES,
  eightSenders,
  oneWay,
  ratioOf,
  roundTrips,
} from './ring-throughput/sections.ts'
import type { Bench, Section } from './ring-throughput/sections.ts'
import { readScriptFlags, wholeNumber } from './script-flags.ts'
import { runScript } from './script-run.ts'

const HELP = `npx node scripts/ring-throughput.ts [options]

The bare ring between two threads, beside C++, postMessage and ringbuf.js.

  --quick          two payload sizes, fewer and shorter rounds
  --rounds N       rounds of each measurement (default 5)
  --measure-ms N   milliseconds of each peer in each round (default 120)
  --only WHAT      one-way, senders or round-trips
  --check          exit with 1 when a floor is missed
  --json FILE      write every round, with machine, Node, V8 and commit
  --help           this text

C++ is built with $CXX or g++ where there is one, and left out where there is not.
`

interface Flags {
  readonly quick: boolean
  readonly rounds: number
  readonly measureMs: number
  readonly only: string | null
  readonly check: boolean
  readonly json: string | null
}

const PAYLOADS = [64, 256, 1024, 4096, 16_384]
const QUICK_PAYLOADS = [64, 4096]
const SECTIONS = ['one-way', 'senders', 'round-trips']

await runScript(readFlags, run)

function readFlags(): Flags | null {
  const flags = readScriptFlags(
    {
      quick: 'switch',
      rounds: 'text',
      'measure-ms': 'text',
      only: 'text',
      check: 'switch',
      json: 'text',
    },
    HELP,
  )
  if (flags === null) return null
  const quick = flags.quick === true
  const range = { least: 1, most: 100_000 }
  return {
    quick,
    rounds: wholeNumber('--rounds', flags.rounds, { ...range, otherwise: quick ? 2 : 5 }),
    measureMs: wholeNumber('--measure-ms', flags['measure-ms'], {
      ...range,
      otherwise: quick ? 60 : 120,
    }),
    only: section(flags.only),
    check: flags.check === true,
    json: flags.json ?? null,
  }
}

function section(name: string | undefined): string | null {
  if (name === undefined) return null
  if (!SECTIONS.includes(name)) {
    throw new InputError('--only', `${SECTIONS.join(', ')}, not "${name}"`)
  }
  return name
}

async function run(flags: Flags, signal: AbortSignal): Promise<boolean> {
  const environment = await readEnvironment()
  console.log(describeEnvironment(environment))
  const native = await NativePeer.build()
  if (typeof native === 'string') console.log(native)
  const peers = new PeerPair()
  const bench: Bench = {
    peers,
    native: typeof native === 'string' ? null : native,
    rounds: flags.rounds,
    measureMs: flags.measureMs,
    signal,
    show,
  }
  try {
    const wanted = (name: string): boolean => flags.only === null || flags.only === name
    const payloads = flags.quick ? QUICK_PAYLOADS : PAYLOADS
    const ways = wanted('one-way') ? await oneWay(bench, payloads) : []
    const eight = wanted('senders') ? await eightSenders(bench) : null
    const trips = wanted('round-trips') ? await roundTrips(bench) : null
    const judged = judge(ways, eight, trips).filter(({ ratio }) => !Number.isNaN(ratio))
    console.log(`\n${judged.map(judgedLine).join('\n')}`)
    console.log(`\n${boundLines(ways, trips).join('\n')}`)
    const all = [...ways, eight, trips].filter((one) => one !== null)
    const errors = all.reduce((sum, one) => sum + one.errors, 0)
    console.log(`\npackets lost or out of order, of all peers: ${errors}`)
    if (flags.json !== null) {
      const text = JSON.stringify({ environment, flags, ways, eight, trips, judged }, null, 2)
      writeFileSync(flags.json, `${text}\n`)
    }
    return errors === 0 && (!flags.check || judged.every(({ held }) => held))
  } finally {
    await peers.close()
  }
}

function show(section: Section): void {
  const first = Object.keys(section.medians)[0] ?? ''
  const rows = Object.entries(section.medians).map(([peer, value]) => [
    peer,
    section.unit === 'ns' ? formatNs(value) : `${formatCount(value)}/s`,
    peer === first ? '' : `${ratioOf(section, peer, first).toFixed(3)} × ${first}`,
  ])
  const probes = section.rounds.flatMap((round) => round.probesNs)
  const probe = `${formatNs(Math.min(...probes))} to ${formatNs(Math.max(...probes))}`
  console.log(`\n${section.title} (${section.rounds.length} rounds, probes ${probe})`)
  const disturbed = disturbance(probes)
  if (disturbed !== undefined) console.log(disturbed)
  console.log(alignTable(['', 'median', 'ratio'], rows).join('\n'))
  if (section.unit === 'ns') return
  const [sender, receiver] = section.heapBytesPerPacket
  console.log(`heap bytes a packet: sender ${sender.toFixed(3)}, receiver ${receiver.toFixed(3)}`)
}

function judge(ways: readonly Section[], eight: Section | null, trips: Section | null): Judged[] {
  const judged = ways.flatMap(judgeOneWay)
  if (eight !== null) {
    const ratio = ratioOf(eight, 'ring', 'C++')
    judged.push(atLeast(`${eight.title}: over C++`, ratio, FLOOR_EIGHT_SENDERS))
  }
  return trips === null ? judged : [...judged, ...judgeRoundTrips(trips)]
}

/** What the machine and the platform allow, where a floor hangs on it: no judgement, but the reason of one. */
function boundLines(ways: readonly Section[], trips: Section | null): string[] {
  const bounds = ways.map((way): [string, number] => [
    `${way.title}: scattered over contiguous, of bare copies in C++`,
    ratioOf(way, BARE_COPIES.scattered, BARE_COPIES.contiguous),
  ])
  if (trips !== null) {
    bounds.push(
      [
        'round trip, bare Atomics.waitAsync over C++ futex',
        ratioOf(trips, 'bare waitAsync', 'C++ futex'),
      ],
      [
        'round trip, C++ that sleeps in epoll over C++ futex',
        ratioOf(trips, 'C++ epoll', 'C++ futex'),
      ],
    )
  }
  return bounds
    .filter(([, ratio]) => !Number.isNaN(ratio))
    .map(([what, ratio]) => `bound   ${what}: ${ratio.toFixed(2)}`)
}

function judgeOneWay(way: Section): Judged[] {
  const payloadBytes = Number.parseInt(way.title, 10)
  const oneByOne = way.title.endsWith('batch 1')
  const least = (peer: string, limit: number | undefined): Judged[] =>
    limit === undefined
      ? []
      : [atLeast(`${way.title}: over ${peer}`, ratioOf(way, 'ring', peer), limit)]
  const scattered = ratioOf(way, 'ring, scattered', 'ring')
  return [
    ...least('C++', oneByOne ? FLOOR_ONE_BY_ONE : FLOOR_OVER_NATIVE.get(payloadBytes)),
    ...least('ringbuf.js', FLOOR_OVER_RINGBUF),
    ...least('postMessage', oneByOne ? undefined : FLOOR_OVER_POST.get(payloadBytes)),
    atLeast(`${way.title}: scattered over contiguous`, scattered, FLOOR_SCATTERED),
  ]
}

function judgeRoundTrips(trips: Section): Judged[] {
  const most = (wait: string, peer: string, limit: number): Judged =>
    atMost(`round trip, ${wait} over ${peer}`, ratioOf(trips, wait, peer), limit)
  return [
    most('busy', 'C++ spin', MOST_BUSY_OVER_NATIVE),
    most('busy', 'MessagePort', MOST_BUSY_OVER_PORT),
    most('blocking', 'C++ futex', MOST_ASLEEP_OVER_FUTEX),
    most('event loop', 'C++ futex', MOST_ASLEEP_OVER_FUTEX),
    // The platform's share of the line above, and what is ours on top of it.
    most('event loop', 'bare waitAsync', MOST_OVER_BARE_WAIT),
  ]
}
