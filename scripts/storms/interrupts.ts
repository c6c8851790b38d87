/** Storms of interrupts: loads whose waiting end sleeps at once, so that what is sent must raise an interrupt. */

import {
  loadSettings,
  loadSpec,
  median,
  type LoadOptions,
  type VmHandle,
} from '@guestyard/scenario'

import { fairnessOf } from './spread.ts'

/** What the storming guests do. */
export interface Phase {
  readonly what: string
  /** `echo`: each packet is answered by one. `root-to-guest`: the provider sends as fast as the ring takes it. */
  readonly direction: 'echo' | 'root-to-guest'
  /** Packets that the provider publishes at once. */
  readonly batch: number
}

export interface PhaseFigures {
  readonly what: string
  /** Guests that storm. */
  readonly guests: number
  /** Taken by the storming guests together. */
  readonly interruptsPerSecond: number
  readonly packetsPerSecond: number
  /** Jain's index over their packets. */
  readonly fairness: number
  /** Round trips of a storming guest, the middle one of them; null where packets go one way. */
  readonly stormP50Ns: number | null
  readonly stormP99Ns: number | null
  /** Round trips of the quiet guest, from when each was meant to begin. */
  readonly quietP50Ns: number
  readonly quietP99Ns: number
  /** Packets lost or out of order, of all guests. */
  readonly errors: number
}

export interface PhaseSizes {
  readonly ms: number
  /** Packets a second of the quiet guest. */
  readonly rate: number
}

/** A guest that sleeps as soon as it has nothing to do needs an interrupt for whatever comes then. */
const SLEEPS_AT_ONCE: LoadOptions = {
  waiting: 'event-loop',
  spin: '0 us',
  payload: 64,
  ring: 65_536,
}
/** Storms begin before the quiet guest is measured, and end after it. */
const STORM_MARGIN_MS = 100

/** The quiet guest without a storm. */
export async function quietAlone(quiet: VmHandle, sizes: PhaseSizes): Promise<PhaseFigures> {
  const alone = await measureQuiet(quiet, sizes)
  return {
    what: 'none',
    guests: 0,
    interruptsPerSecond: 0,
    packetsPerSecond: 0,
    fairness: 1,
    stormP50Ns: null,
    stormP99Ns: null,
    ...alone,
  }
}

/** All of `storming` at once, with the quiet guest measured meanwhile. */
export async function stormOf(
  quiet: VmHandle,
  storming: readonly VmHandle[],
  phase: Phase,
  sizes: PhaseSizes,
): Promise<PhaseFigures> {
  const { direction, batch } = phase
  const spec = loadSpec(
    loadSettings(
      {
        ...SLEEPS_AT_ONCE,
        direction,
        batch,
        warmUp: '20 ms',
        duration: `${sizes.ms + 2 * STORM_MARGIN_MS} ms`,
      },
      1,
    ),
  )
  const before = await interruptsOf(storming)
  const beganMs = performance.now()
  const storm = Promise.all(storming.map((vm) => vm.runLoad(spec)))
  const [results, quietly] = await Promise.all([storm, measureQuiet(quiet, sizes)])
  const seconds = (performance.now() - beganMs) / 1000
  const taken = (await interruptsOf(storming)) - before
  const packets = results.map((result) => result.packets)
  const latencies = results.flatMap(({ latency }) => (latency === null ? [] : [latency]))
  const middle = (values: readonly number[]): number | null =>
    values.length === 0 ? null : median(values)
  return {
    what: phase.what,
    guests: storming.length,
    interruptsPerSecond: taken / seconds,
    packetsPerSecond: packets.reduce((sum, count) => sum + count, 0) / seconds,
    fairness: fairnessOf(packets),
    stormP50Ns: middle(latencies.map(({ p50Ns }) => p50Ns)),
    stormP99Ns: middle(latencies.map(({ p99Ns }) => p99Ns)),
    ...quietly,
    errors: quietly.errors + results.reduce((sum, result) => sum + result.sequenceErrors, 0),
  }
}

async function measureQuiet(
  quiet: VmHandle,
  { ms, rate }: PhaseSizes,
): Promise<Pick<PhaseFigures, 'quietP50Ns' | 'quietP99Ns' | 'errors'>> {
  const settings = loadSettings(
    { ...SLEEPS_AT_ONCE, direction: 'echo', rate, warmUp: '50 ms', duration: `${ms} ms` },
    1,
  )
  const { latency, sequenceErrors } = await quiet.runLoad(loadSpec(settings))
  return {
    quietP50Ns: latency?.p50Ns ?? Number.NaN,
    quietP99Ns: latency?.p99Ns ?? Number.NaN,
    errors: sequenceErrors,
  }
}

/** Interrupts that these guests have taken since they booted. */
async function interruptsOf(vms: readonly VmHandle[]): Promise<number> {
  const inspections = await Promise.all(vms.map((vm) => vm.inspect()))
  return inspections.reduce<number>((sum, inspection) => {
    const vp: unknown = Reflect.get(Object(inspection), 'vp')
    return sum + Number(Reflect.get(Object(vp), 'eventInterrupts'))
  }, 0)
}
