/** The VP's thread of the interrupt figures: spins, and answers as the phase says. */

import { parentPort, workerData } from 'node:worker_threads'

import { MonotonicClock } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { Doorbell } from '@guestyard/ring'

import { PHASE, Phase, SEEN } from './interrupt-protocol.ts'
import type { VpThreadData } from './interrupt-protocol.ts'
import { SIEF_PAGE, SINT, VECTOR, bootVp } from './yard.ts'

const data = workerData as VpThreadData
const control = new Int32Array(data.control)
const toVp = new Doorbell(data.toVp)
const toRoot = new Doorbell(data.toRoot)
const memory = GuestMemory.attach(data.memory)
const clock = new MonotonicClock({ originMs: data.clockOriginMs })
const vp = bootVp(data.handles, memory, toRoot, clock)
/** The word of the SIEF page that holds the first flags of the SINT. */
const flags = (SIEF_PAGE + SINT * 256) / 4

/** Looks at the phase between this many looks for work. */
const LOOKS = 64

parentPort?.postMessage('ready')
for (let phase = next(Phase.STARTING); phase !== Phase.END; phase = next(phase)) {
  const answered = toVp.sample()
  Atomics.store(control, SEEN, phase)
  if (phase === Phase.BARE) answerBells(answered)
  else answerInterrupts()
}

/** Waits for another phase than this. */
function next(phase: number): number {
  for (;;) {
    const now = Atomics.load(control, PHASE)
    if (now !== phase) return now
  }
}

function answerBells(rung: number): void {
  let answered = rung
  while (Atomics.load(control, PHASE) === Phase.BARE) {
    for (let look = 0; look < LOOKS; look++) {
      const count = toVp.sample()
      if (count === answered) continue
      answered = count
      toRoot.ring()
    }
  }
}

function answerInterrupts(): void {
  while (Atomics.load(control, PHASE) === Phase.INTERRUPT) {
    for (let look = 0; look < LOOKS; look++) {
      const vector = vp.deliver()
      if (vector !== VECTOR) continue
      vp.acknowledge(vector)
      const events = Atomics.exchange(memory.i32, flags, 0)
      vp.endOfInterrupt()
      if (events !== 0) toRoot.ring()
    }
  }
}
