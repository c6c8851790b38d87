/**
 * The bus beside bare rings of the same size, batch and payload, in every direction and over several channels: what
 * the machine around a ring costs.
 */

import {
  alignTable,
  formatBytes,
  formatCount,
  loadSettings,
  median,
  medianRatio,
  parseByteSize,
  runLoads,
} from '@guestyard/scenario'
import type { LoadOptions, LoadTarget, ScenarioContext } from '@guestyard/scenario'

import { PeerPair } from '../peers/peer-pair.ts'
import { disturbance, isOneSpeed, SteadyRounds } from '../peers/steady-rounds.ts'
import type { Round } from '../peers/steady-rounds.ts'
import { abortable } from '../script-run.ts'
import type { Way } from './ways.ts'

export interface BareRingOptions {
  readonly rounds: number
  readonly ways: readonly Way[]
  /** Each ratio must reach it; null when nobody judges. */
  readonly leastRatio: number | null
}

/** One combination of way, payload, batch and waiting. Packets a second, of both directions where there are two. */
export interface BareRingComparison {
  readonly direction: Way['direction']
  readonly channels: number
  readonly payloadBytes: number
  readonly batch: number
  readonly waiting: string
  readonly busPacketsPerSecond: number
  readonly ringPacketsPerSecond: number
  /** Bus over ring: the median of the rounds' ratios. */
  readonly ratio: number
  readonly rounds: readonly Round<Turns>[]
}

/** What one round found: each had two turns, the ring's between those of the bus. */
interface Turns {
  readonly bus: readonly [number, number]
  readonly ring: readonly [number, number]
}

/** Of each turn, of which a round has two for the bus and two for the ring. */
const WARM_UP_MS = 60
const MEASURE_MS = 150
const BATCH_DEFAULT = 32

/** Compares each of `loads` on one guest, whatever its direction, in every way that is asked for. */
export async function compareWithBareRing(
  context: ScenarioContext,
  loads: readonly LoadOptions[],
  options: BareRingOptions,
): Promise<{ readonly bareRing: readonly BareRingComparison[] }> {
  const comparable = loads.filter((load) => load.rate === undefined)
  if (options.rounds === 0 || comparable.length === 0) return { bareRing: [] }
  const [guest] = context.vms.all.list
  if (guest === undefined) throw new Error('a load test has a guest')
  const peers = new PeerPair()
  try {
    const bareRing: BareRingComparison[] = []
    for (const load of comparable) {
      for (const way of options.ways) {
        bareRing.push(await compareOne({ context, guest, peers, load, way }, options.rounds))
      }
    }
    context.log(comparisonLines(bareRing).join('\n'))
    const probesNs = bareRing.flatMap((of) => of.rounds.flatMap((round) => round.probesNs))
    const disturbed = disturbance(probesNs)
    if (disturbed !== undefined) context.log(disturbed)
    if (options.leastRatio !== null) {
      for (const of of bareRing) {
        context
          .expect(of.ratio, `${nameOf(of)}: bus over bare ring`)
          .toBeAtLeast(options.leastRatio)
      }
    }
    return { bareRing }
  } finally {
    await peers.close()
  }
}

interface Comparison {
  readonly context: ScenarioContext
  readonly guest: LoadTarget
  readonly peers: PeerPair
  readonly load: LoadOptions
  readonly way: Way
}

async function compareOne(of: Comparison, wanted: number): Promise<BareRingComparison> {
  const { direction, channels } = of.way
  const payload = parseByteSize(of.load.payload ?? 64)
  const payloadBytes = payload.ok ? payload.value : 0 //  the flags were checked
  const batch = of.load.batch ?? BATCH_DEFAULT
  const waiting = of.load.waiting ?? 'adaptive'
  const bus = (): Promise<number> =>
    busTurn(of, { direction, channels, payload: payloadBytes, batch, waiting })
  const ring = (): Promise<number> => ringTurn(of, payloadBytes, batch)
  const rounds = await new SteadyRounds(of.peers, wanted, { extraRounds: wanted }).run(
    async (): Promise<Turns> => {
      const firstBus = await bus()
      const bare = [await ring(), await ring()] as const
      return { bus: [firstBus, await bus()], ring: bare }
    },
    // A turn that had to share its processors is over before the next probe sees anything of it.
    (turns) => isOneSpeed(...turns.bus) && isOneSpeed(...turns.ring),
  )
  const busRates = rounds.map(({ found }) => (found.bus[0] + found.bus[1]) / 2)
  const ringRates = rounds.map(({ found }) => (found.ring[0] + found.ring[1]) / 2)
  return {
    direction,
    channels,
    payloadBytes,
    batch,
    waiting,
    busPacketsPerSecond: median(busRates),
    ringPacketsPerSecond: median(ringRates),
    ratio: medianRatio(busRates, ringRates),
    rounds,
  }
}

async function busTurn(of: Comparison, options: LoadOptions): Promise<number> {
  const stretch = { warmUp: `${WARM_UP_MS} ms`, duration: `${MEASURE_MS} ms`, repeats: 1 }
  // Beside the report's own loads: these are only one side of a ratio.
  const settings = loadSettings({ ...options, ...stretch }, 1)
  const [report] = await runLoads([of.guest], [settings], { signal: of.context.signal })
  if (report === undefined) throw new Error('a load has a report')
  if (report.sequenceErrors > 0) throw new Error('packets were lost or out of order on the bus')
  return report.packetsPerSecond
}

async function ringTurn(of: Comparison, payloadBytes: number, batch: number): Promise<number> {
  const task = {
    payloadBytes,
    batch,
    channels: of.way.channels,
    bothWays: of.way.direction === 'both',
    warmUpMs: WARM_UP_MS,
    measureMs: MEASURE_MS,
  }
  const found = await abortable(of.peers.bareRing(task), of.context.signal)
  if (found.errors > 0) throw new Error('packets were lost or out of order in the bare ring')
  return found.packetsPerSecond
}

function nameOf(of: BareRingComparison): string {
  const channels = of.channels === 1 ? '' : `${of.channels} channels, `
  return `${of.direction}, ${channels}${formatBytes(of.payloadBytes)}, batch ${of.batch}, ${of.waiting}`
}

function comparisonLines(comparisons: readonly BareRingComparison[]): readonly string[] {
  const rows = comparisons.map((of) => [
    nameOf(of),
    formatCount(of.busPacketsPerSecond),
    formatCount(of.ringPacketsPerSecond),
    of.ratio.toFixed(2),
    String(of.rounds.length),
  ])
  const header = ['Bus beside bare ring', 'bus packets/s', 'bare ring packets/s', 'ratio', 'rounds']
  return [...alignTable(header, rows), '']
}
