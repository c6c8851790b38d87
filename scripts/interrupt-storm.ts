/**
 * Interrupts as fast as providers can raise them, for many guests at once: how many are taken a second, how many packets each stands for,
 * whether the guests get the same, and what a quiet guest beside them notices.
 *
 *     npx node scripts/interrupt-storm.ts --guests 16 --ms 2000
 *     guestyard run scripts/interrupt-storm.ts --engine virtual --seed 7
 */

import process from 'node:process'
import {
  alignTable,
  defineScenario,
  formatCount,
  formatNs,
  InputError,
  type Scenario,
  type VmDefinition,
} from '@guestyard/scenario'

import { stormOf, quietAlone, type Phase, type PhaseFigures } from './storms/interrupts.ts'
import { runStorm, usualScenario, type Storm, type StormScript } from './storms/storm-run.ts'

const SCRIPT: StormScript<'guests' | 'ms' | 'rate', readonly PhaseFigures[]> = {
  name: 'interrupt-storm',
  help: 'Interrupts as fast as providers can raise them, and a quiet guest beside them.\n',
  sizes: {
    guests: { what: 'guests that storm', from: 1, to: 64, usual: 6 },
    ms: { what: 'milliseconds of each storm', from: 50, to: 60_000, usual: 1_000 },
    rate: { what: 'packets a second of the quiet guest', from: 1, to: 10_000, usual: 200 },
  },
  refuse: ({ ms, rate }) =>
    (ms / 1_000) * rate >= QUIET_PACKETS_LEAST
      ? null
      : new InputError('--rate', `${rate} packets a second are too few to measure in ${ms} ms`),
  make: interruptStorm,
}

/** Fewer packets of the quiet guest are no latency. */
const QUIET_PACKETS_LEAST = 5

/** Nothing that a neighbour does may hold a quiet guest's interrupt up for longer: a slice of each storming guest and more. */
const QUIET_P99_MOST_NS = 2_000_000_000
/** Who runs is the platform's choice where threads are many and busy; nobody gets nothing all the same. */
const FAIRNESS_LEAST = 0.25

const PHASES: readonly Phase[] = [
  { what: 'one packet at a time, answered', direction: 'echo', batch: 1 },
  { what: 'packets one by one', direction: 'root-to-guest', batch: 1 },
  { what: 'packets by 32', direction: 'root-to-guest', batch: 32 },
]

export default usualScenario(SCRIPT)
if (import.meta.main) await runStorm(SCRIPT, process.argv.slice(2))

function interruptStorm(sizes: {
  readonly guests: number
  readonly ms: number
  readonly rate: number
}): Storm<readonly PhaseFigures[]> {
  let figures: readonly PhaseFigures[] | null = null
  const storming = Array.from({ length: sizes.guests }, (_, index) => `storm-${index}`)
  const names = ['quiet', ...storming]
  const scenario: Scenario = defineScenario({
    name: `interrupt storm of ${sizes.guests} guests`,
    vms: Object.fromEntries(
      names.map((name): [string, VmDefinition] => [name, { memory: '4 MiB' }]),
    ),
    async run({ vms, expect, log, signal }) {
      await vms.all.started()
      const [quiet, ...others] = vms.all.list
      if (quiet === undefined) throw new Error('there is always a quiet guest')
      const found = [await quietAlone(quiet, sizes)]
      for (const phase of PHASES) {
        signal.throwIfAborted()
        found.push(await stormOf(quiet, others, phase, sizes))
      }
      figures = found
      for (const line of tableOf(found)) log(line)
      for (const { what, fairness, quietP99Ns, errors } of found) {
        expect(errors, `${what}: packets lost or out of order`).toBe(0)
        expect(fairness, `${what}: fairness`).toBeGreaterThan(FAIRNESS_LEAST)
        expect(quietP99Ns, `${what}: the quiet guest’s p99, ns`).toBeLessThan(QUIET_P99_MOST_NS)
      }
    },
  })
  return { scenario, figures: () => figures }
}

function tableOf(found: readonly PhaseFigures[]): string[] {
  const header = [
    'storm',
    'guests',
    'interrupts/s',
    'packets/s',
    'packets each',
    'fairness',
    'round trip p50',
    'p99',
    'quiet p50',
    'p99',
  ]
  const time = (ns: number | null): string => (ns === null ? '–' : formatNs(ns))
  return alignTable(
    header,
    found.map((of) => [
      of.what,
      String(of.guests),
      formatCount(of.interruptsPerSecond),
      formatCount(of.packetsPerSecond),
      of.interruptsPerSecond === 0
        ? '–'
        : (of.packetsPerSecond / of.interruptsPerSecond).toFixed(1),
      of.fairness.toFixed(3),
      time(of.stormP50Ns),
      time(of.stormP99Ns),
      time(of.quietP50Ns),
      time(of.quietP99Ns),
    ]),
  )
}
