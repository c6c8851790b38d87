/**
 * An interrupt from the root to a guest's handler, both threads spinning: the root flags an event, the VP takes the interrupt, its handler
 * takes the flag, ends the interrupt and rings back. Against two doorbells that do nothing else.
 */

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import { MonotonicClock } from '@guestyard/engine'
import { Doorbell } from '@guestyard/ring'

import { pause } from '../script-run.ts'
import { PHASE, Phase, SEEN } from './interrupt-protocol.ts'
import type { VpThreadData } from './interrupt-protocol.ts'
import type { PathFigures } from './calls.ts'
import { SINT, openYard } from './yard.ts'

/** Round trips between two readings of the clock: less than a scheduler's slice, so that most rounds escape what else runs. */
const TRIPS = 400
/** Rounds of trips to one round of calls. */
const ROUNDS_EACH = 20
/** Round trips before the first round. */
const WARM_UP = 20_000

export async function measureInterrupts(rounds: number, signal: AbortSignal): Promise<PathFigures> {
  const clockOriginMs = MonotonicClock.originOfThisMoment()
  const toVp = Doorbell.create()
  const toRoot = Doorbell.create()
  const control = new Int32Array(new SharedArrayBuffer(128))
  const { partition, handles, memory } = openYard(
    new MonotonicClock({ originMs: clockOriginMs }),
    toVp,
  )
  const data: VpThreadData = {
    handles,
    memory: memory.memory,
    clockOriginMs,
    toVp: toVp.words.buffer as SharedArrayBuffer,
    toRoot: toRoot.words.buffer as SharedArrayBuffer,
    control: control.buffer,
  }
  const worker = new Worker(new URL('vp-worker.ts', import.meta.url), { workerData: data })
  const failed = once(worker, 'error').then(([error]: unknown[]) => Promise.reject(error as Error))
  await Promise.race([once(worker, 'message'), failed])

  const trip = (phase: number, trips: number): number => {
    Atomics.store(control, PHASE, phase)
    while (Atomics.load(control, SEEN) !== phase);
    let seen = toRoot.sample()
    const began = performance.now()
    for (let count = 0; count < trips; count++) {
      if (phase === Phase.BARE) toVp.ring()
      else partition.signalEventToVp(0, SINT, 5)
      while (toRoot.sample() === seen);
      seen = toRoot.sample()
    }
    return ((performance.now() - began) * 1e6) / trips
  }
  const nanoseconds: number[] = []
  const bareNanoseconds: number[] = []
  try {
    for (const phase of [Phase.BARE, Phase.INTERRUPT, Phase.BARE]) {
      for (let trips = 0; trips < WARM_UP; trips += TRIPS) {
        await pause(signal)
        trip(phase, TRIPS)
      }
    }
    for (let round = 0; round < rounds * ROUNDS_EACH; round++) {
      await pause(signal)
      bareNanoseconds.push(trip(Phase.BARE, TRIPS))
      nanoseconds.push(trip(Phase.INTERRUPT, TRIPS))
    }
  } finally {
    Atomics.store(control, PHASE, Phase.END)
    await worker.terminate()
  }
  return {
    what: 'interrupt to a handler, and a doorbell back',
    nanoseconds,
    bareNanoseconds,
    ratios: nanoseconds.map((ns, round) => ns / bareNanoseconds[round]!),
  }
}
