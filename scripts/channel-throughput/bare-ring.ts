/** The bus beside a bare ring of the same size, batch and payload: what the machine around a ring costs. */

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
import type { LoadOptions, ScenarioContext } from '@guestyard/scenario'

import { PeerPair } from '../peers/peer-pair.ts'
import { disturbance, SteadyRounds } from '../peers/steady-rounds.ts'
import type { Round } from '../peers/steady-rounds.ts'
import { abortable } from '../script-run.ts'

/** One combination of payload, batch and waiting. */
export interface BareRingComparison {
  readonly payloadBytes: number
  readonly batch: number
  readonly waiting: string
  readonly busPacketsPerSecond: number
  readonly ringPacketsPerSecond: number
  /** Bus over ring: the median of the rounds' ratios. */
  readonly ratio: number
  readonly rounds: readonly Round<{ readonly bus: number; readonly ring: number }>[]
}

const WARM_UP_MS = 100
const MEASURE_MS = 300
const BATCH_DEFAULT = 32

/** Compares every load that sends one way from one guest; the others have no bare counterpart. */
export async function compareWithBareRing(
  context: ScenarioContext,
  loads: readonly LoadOptions[],
  rounds: number,
  leastRatio: number | null,
): Promise<{ readonly bareRing: readonly BareRingComparison[] }> {
  const comparable = loads.filter(
    (load) => (load.direction ?? 'guest-to-root') === 'guest-to-root' && load.rate === undefined,
  )
  if (rounds === 0 || comparable.length === 0) return { bareRing: [] }
  const peers = new PeerPair()
  try {
    const bareRing: BareRingComparison[] = []
    for (const load of comparable) bareRing.push(await compareOne(context, peers, load, rounds))
    context.log(comparisonLines(bareRing).join('\n'))
    const probesNs = bareRing.flatMap((of) => of.rounds.flatMap((round) => round.probesNs))
    const disturbed = disturbance(probesNs)
    if (disturbed !== undefined) context.log(disturbed)
    for (const { payloadBytes, batch, waiting, ratio } of bareRing) {
      const name = `${formatBytes(payloadBytes)}, batch ${batch}, ${waiting}: bus over bare ring`
      if (leastRatio !== null) context.expect(ratio, name).toBeAtLeast(leastRatio)
    }
    return { bareRing }
  } finally {
    await peers.close()
  }
}

async function compareOne(
  context: ScenarioContext,
  peers: PeerPair,
  load: LoadOptions,
  wanted: number,
): Promise<BareRingComparison> {
  const [guest] = context.vms.all.list
  if (guest === undefined) throw new Error('a load test has a guest')
  const payload = parseByteSize(load.payload ?? 64)
  const payloadBytes = payload.ok ? payload.value : 0 //  the flags were checked
  const batch = load.batch ?? BATCH_DEFAULT
  const options: LoadOptions = {
    payload: payloadBytes,
    batch,
    waiting: load.waiting ?? 'adaptive',
    warmUp: `${WARM_UP_MS} ms`,
    duration: `${MEASURE_MS} ms`,
    repeats: 1,
  }
  const settings = loadSettings(options, 1)
  const rounds = await new SteadyRounds(peers, wanted).run(async () => {
    // Beside the report's own loads: these are only one side of a ratio.
    const [bus] = await runLoads([guest], [settings], { signal: context.signal })
    const task = { payloadBytes, batch, warmUpMs: WARM_UP_MS, measureMs: MEASURE_MS }
    const ring = await abortable(peers.throughput({ peer: 'ring', ...task }), context.signal)
    if (bus === undefined) throw new Error('a load has a report')
    if (bus.sequenceErrors + ring.errors > 0) throw new Error('packets were lost or out of order')
    return { bus: bus.packetsPerSecond, ring: ring.packetsPerSecond }
  })
  const bus = rounds.map((round) => round.found.bus)
  const ring = rounds.map((round) => round.found.ring)
  return {
    payloadBytes,
    batch,
    waiting: options.waiting ?? 'adaptive',
    busPacketsPerSecond: median(bus),
    ringPacketsPerSecond: median(ring),
    ratio: medianRatio(bus, ring),
    rounds,
  }
}

function comparisonLines(comparisons: readonly BareRingComparison[]): readonly string[] {
  const rows = comparisons.map((of) => [
    formatBytes(of.payloadBytes),
    String(of.batch),
    of.waiting,
    formatCount(of.busPacketsPerSecond),
    formatCount(of.ringPacketsPerSecond),
    of.ratio.toFixed(2),
  ])
  const header = [
    'Payload',
    'batch',
    'guest waits',
    'bus packets/s',
    'bare ring packets/s',
    'ratio',
  ]
  return [...alignTable(header, rows), '']
}
