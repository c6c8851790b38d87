/**
 * The channel beside its peers, in one run. Every round measures all of them in turn at one size,
 * between two probes of the machine's speed; a round whose probes disagree is measured again.
 */

import { createLoadGenerator, median, medianRatio } from '@guestyard/scenario'
import type { LoadOptions, LoadTarget, Progress } from '@guestyard/scenario'

import { PeerPair } from '../peers/peer-pair.ts'
import { abortable } from '../script-run.ts'
import { SteadyRounds } from '../peers/steady-rounds.ts'
import type { Round } from '../peers/steady-rounds.ts'

export const THROUGHPUT_PEERS = ['post', 'transfer', 'ringbuf.js'] as const
type PeerName = (typeof THROUGHPUT_PEERS)[number]

/** One size: packets a second of the bus and of its peers. */
export interface ThroughputSize {
  readonly payloadBytes: number
  /** Before and after every round, those that did not count included. */
  readonly probesNs: readonly number[]
  readonly rounds: readonly Round<Readonly<Record<'bus' | PeerName, number>>>[]
  readonly packetsPerSecond: Readonly<Record<'bus' | PeerName, number>>
  /** Bus over peer: medians of the rounds' ratios. */
  readonly busOver: Readonly<Record<PeerName, number>>
  /** Packets lost or out of order, at any end of any of them. */
  readonly errors: number
}

export type WaitName = NonNullable<LoadOptions['waiting']>

/** A round trip of 64 bytes; nanoseconds. */
export interface RoundTrip {
  readonly p50Ns: number
  readonly p99Ns: number
}

export interface RoundTrips {
  readonly bus: Readonly<Record<WaitName, RoundTrip>>
  readonly messagePort: RoundTrip
  /** MessagePort's p50 over the bus's: medians of the rounds' ratios. */
  readonly portOverBus: Readonly<Record<WaitName, number>>
  /** Before and after every round, those that did not count included. */
  readonly probesNs: readonly number[]
  readonly errors: number
}

const SIZES = [64, 256, 1024, 4096, 16_384]
const QUICK_SIZES = [64, 4096]
const BATCH = 32
const ROUNDS = 3
const WAITS: readonly WaitName[] = ['busy', 'adaptive', 'event-loop', 'block']
const WARM_UP_MS = 50
const MEASURE_MS = 150
/** No more rounds after this: on a busy machine every one of them takes longer, and the whole stays under a minute. */
const THROUGHPUT_MS = 22_000
const ROUND_TRIPS_MS = 8_000

export async function measureThroughput(
  guest: LoadTarget,
  quick: boolean,
  show: Progress,
  signal: AbortSignal,
): Promise<readonly ThroughputSize[]> {
  show.line(
    'Throughput, guest → root, batches of 32, rings of 1 MiB; every sequence number checked',
  )
  const load = createLoadGenerator({ signal })
  const peers = new PeerPair()
  try {
    const sizes: ThroughputSize[] = []
    const startedMs = performance.now()
    const wanted = quick ? QUICK_SIZES : SIZES
    for (const payloadBytes of wanted) {
      let errors = 0
      const untilMs = startedMs + (THROUGHPUT_MS * (sizes.length + 1)) / wanted.length
      const rounds = new SteadyRounds(peers, quick ? 1 : ROUNDS, { untilMs })
      const kept = await rounds.run(async (round) => {
        show.update(`  ${payloadBytes} B, round ${round}`)
        const bus = await load.channel(guest, busOptions({ payload: payloadBytes, batch: BATCH }))
        errors += bus.sequenceErrors
        const found = { bus: bus.packetsPerSecond, post: 0, transfer: 0, 'ringbuf.js': 0 }
        for (const peer of THROUGHPUT_PEERS) {
          const task = { peer, payloadBytes, batch: BATCH, ...STRETCH }
          const measured = await abortable(peers.throughput(task), signal)
          errors += measured.errors
          found[peer] = measured.packetsPerSecond
        }
        return found
      })
      sizes.push(summarizeSize(payloadBytes, rounds.probesNs, kept, errors))
    }
    return sizes
  } finally {
    await peers.close()
  }
}

export async function measureRoundTrips(
  guest: LoadTarget,
  quick: boolean,
  show: Progress,
  signal: AbortSignal,
): Promise<RoundTrips> {
  show.line('Round trips of 64 B, one at a time')
  const load = createLoadGenerator({ signal })
  const peers = new PeerPair()
  let errors = 0
  try {
    const untilMs = performance.now() + ROUND_TRIPS_MS
    const rounds = new SteadyRounds(peers, quick ? 1 : ROUNDS, { untilMs })
    const kept = await rounds.run(async (round) => {
      const trips: Record<string, RoundTrip> = {}
      for (const waiting of WAITS) {
        show.update(`  ${waiting}, round ${round}`)
        const echo = await load.channel(guest, busOptions({ direction: 'echo', waiting }))
        errors += echo.sequenceErrors
        trips[waiting] = { p50Ns: echo.latency?.p50Ns ?? 0, p99Ns: echo.latency?.p99Ns ?? 0 }
      }
      show.update(`  MessagePort, round ${round}`)
      const port = await abortable(peers.roundTrips({ peer: 'port', ...STRETCH }), signal)
      trips['port'] = { p50Ns: quantile(port, 0.5), p99Ns: quantile(port, 0.99) }
      return trips
    })
    return summarizeTrips(rounds.probesNs, kept, errors)
  } finally {
    await peers.close()
  }
}

const STRETCH = { warmUpMs: WARM_UP_MS, measureMs: MEASURE_MS }

function busOptions(options: LoadOptions): LoadOptions {
  return { ...options, warmUp: `${WARM_UP_MS} ms`, duration: `${MEASURE_MS} ms`, repeats: 1 }
}

function summarizeSize(
  payloadBytes: number,
  probesNs: readonly number[],
  rounds: ThroughputSize['rounds'],
  errors: number,
): ThroughputSize {
  const of = (name: 'bus' | PeerName): number[] => rounds.map((round) => round.found[name])
  return {
    payloadBytes,
    probesNs,
    rounds,
    packetsPerSecond: {
      bus: median(of('bus')),
      post: median(of('post')),
      transfer: median(of('transfer')),
      'ringbuf.js': median(of('ringbuf.js')),
    },
    busOver: {
      post: medianRatio(of('bus'), of('post')),
      transfer: medianRatio(of('bus'), of('transfer')),
      'ringbuf.js': medianRatio(of('bus'), of('ringbuf.js')),
    },
    errors,
  }
}

function summarizeTrips(
  probesNs: readonly number[],
  rounds: readonly Round<Readonly<Record<string, RoundTrip>>>[],
  errors: number,
): RoundTrips {
  const p50s = (name: string): number[] => rounds.map((round) => round.found[name]?.p50Ns ?? 0)
  const trip = (name: string): RoundTrip => ({
    p50Ns: median(p50s(name)),
    p99Ns: median(rounds.map((round) => round.found[name]?.p99Ns ?? 0)),
  })
  const each = <T>(of: (name: WaitName) => T): Record<WaitName, T> => ({
    busy: of('busy'),
    adaptive: of('adaptive'),
    'event-loop': of('event-loop'),
    block: of('block'),
  })
  return {
    bus: each(trip),
    messagePort: trip('port'),
    portOverBus: each((name) => medianRatio(p50s('port'), p50s(name))),
    probesNs,
    errors,
  }
}

function quantile(values: Float64Array, share: number): number {
  const sorted = values.toSorted()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
