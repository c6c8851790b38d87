/** Hypercalls and MSR reads on the caller's thread, against an empty WebAssembly call and the atomic accesses they need. */

import { MonotonicClock } from '@guestyard/engine'
import {
  HVCALL_SIGNAL_EVENT,
  HypercallCode,
  SyntheticMsr,
  hypercallInputLow,
} from '@guestyard/hvdef'
import { Doorbell } from '@guestyard/ring'

import { pause } from '../script-run.ts'
import { emptyCall } from './empty-call.ts'
import { CONNECTION, bootVp, openYard } from './yard.ts'

/** Calls between two readings of the clock. */
const CALLS = 20_000

/** One path, timed by turns with what it is held to. Nanoseconds a call, round by round. */
export interface PathFigures {
  readonly what: string
  readonly nanoseconds: readonly number[]
  readonly bareNanoseconds: readonly number[]
  /** Round by round, what both loops share taken off. */
  readonly ratios: readonly number[]
}

interface Path {
  readonly what: string
  /** The path, what it is held to, and what both loops do besides: each does `calls` of them. */
  readonly path: (calls: number) => void
  readonly bare: (calls: number) => void
  readonly shared: (calls: number) => void
}

export async function measureCalls(rounds: number, signal: AbortSignal): Promise<PathFigures[]> {
  const figures: PathFigures[] = []
  for (const path of paths()) figures.push(await measure(path, rounds, signal))
  return figures
}

async function measure(
  { what, path, bare, shared }: Path,
  rounds: number,
  signal: AbortSignal,
): Promise<PathFigures> {
  const nanoseconds: number[] = []
  const bareNanoseconds: number[] = []
  const ratios: number[] = []
  for (const warm of [path, bare, shared]) warm(CALLS * 5)
  for (let round = 0; round < rounds; round++) {
    await pause(signal)
    const rest = timed(shared)
    const own = timed(path) - rest
    const least = timed(bare) - rest
    nanoseconds.push(own)
    bareNanoseconds.push(least)
    ratios.push(own / least)
  }
  return { what, nanoseconds, bareNanoseconds, ratios }
}

function timed(loop: (calls: number) => void): number {
  const began = performance.now()
  loop(CALLS)
  return ((performance.now() - began) * 1e6) / CALLS
}

function paths(): Path[] {
  const clock = new MonotonicClock()
  const rootBell = Doorbell.create()
  const yard = openYard(clock, Doorbell.create())
  const vp = bootVp(yard.handles, yard.memory, rootBell, clock)
  const empty = emptyCall()
  const { msr } = vp
  const signal = hypercallInputLow(HVCALL_SIGNAL_EVENT, true)
  const spinWait = hypercallInputLow(HypercallCode.NOTIFY_LONG_SPIN_WAIT, true)
  const vpPage = new Int32Array(yard.handles.vpPage)
  const bell = Doorbell.create()
  const words = new Int32Array(new SharedArrayBuffer(4096))
  let sum = 0

  // Every call waits for the answer of the one before, as a guest's code does that wants the answer.
  return [
    {
      what: 'VP index, by RDMSR',
      path(calls) {
        let last = 0
        for (let call = 0; call < calls; call++) {
          vp.readMsr(SyntheticMsr.VP_INDEX + last, msr)
          last = msr.low
        }
        sum += last
      },
      bare(calls) {
        let last = 0
        for (let call = 0; call < calls; call++) {
          last = empty(SyntheticMsr.VP_INDEX + last, 0, 0, 0, 0, last)
        }
        sum += last
      },
      shared() {},
    },
    {
      // It needs two: whether the page is enabled, and the count that the root reads.
      what: 'the least hypercall, NotifyLongSpinWait',
      path(calls) {
        let last = 0
        for (let call = 0; call < calls; call++) {
          last = vp.hypercall(spinWait, 0, last, 0, 0, 0)
        }
        sum += last
      },
      bare(calls) {
        let last = 0
        for (let call = 0; call < calls; call++) {
          last = empty(spinWait, Atomics.load(words, 16), last, 0, 0, last)
          Atomics.store(words, 64, call)
        }
        sum += last
      },
      shared() {},
    },
    {
      // It needs whether the page is enabled, the flag, its summary, and the root's doorbell; then the root takes both.
      what: 'SignalEvent to an empty, unmasked ring',
      path(calls) {
        for (let call = 0; call < calls; call++) {
          sum += vp.hypercall(signal, 0, CONNECTION, 0, 0, 0)
          Atomics.store(vpPage, OUTBOX_SUMMARY, 0)
          Atomics.store(vpPage, OUTBOX_FLAGS, 0)
        }
      },
      bare(calls) {
        for (let call = 0; call < calls; call++) {
          sum += Atomics.load(words, 256)
          sum += empty(signal, 0, CONNECTION, 0, 0, 0)
          sum += Atomics.or(words, OUTBOX_FLAGS, 1)
          sum += Atomics.or(words, OUTBOX_SUMMARY, 1)
          bell.ring()
          Atomics.store(words, OUTBOX_SUMMARY, 0)
          Atomics.store(words, OUTBOX_FLAGS, 0)
        }
      },
      shared(calls) {
        for (let call = 0; call < calls; call++) {
          Atomics.store(words, OUTBOX_SUMMARY, 0)
          Atomics.store(words, OUTBOX_FLAGS, call)
        }
      },
    },
  ]
}

/** Where the VP page announces events: what the root would take. */
const OUTBOX_SUMMARY = 16
const OUTBOX_FLAGS = 128
