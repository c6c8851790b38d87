/** Two words in shared memory that answer each other: how fast the machine's threads meet right now. */

import type { PeerAnswer, PeerOrder, RoundTripTask } from './peer-protocol.ts'

const PING = 0
const PONG = 1
const STOP = -1
/** One clock reading for this many round trips: one alone is shorter than a reading. */
const GROUP = 100

export function timeSpinning(order: PeerOrder, task: RoundTripTask): PeerAnswer {
  const words = new Int32Array(order.shared, 0, 2)
  const times: number[] = []
  const measureFromMs = performance.now() + task.warmUpMs
  const untilMs = measureFromMs + task.measureMs
  let count = 0
  let lastMs = performance.now()
  // One sample at least: on a busy machine a single group can outlast the whole stretch.
  while (lastMs < untilMs || times.length === 0) {
    for (let trip = 0; trip < GROUP; trip++) {
      count++
      Atomics.store(words, PING, count)
      while (Atomics.load(words, PONG) !== count) {
        //  the other end spins too
      }
    }
    const nowMs = performance.now()
    if (lastMs >= measureFromMs) times.push(((nowMs - lastMs) * 1e6) / GROUP)
    lastMs = nowMs
  }
  Atomics.store(words, PING, STOP)
  return { is: 'timed', roundTripsNs: Float64Array.from(times) }
}

export function echoSpinning(order: PeerOrder): PeerAnswer {
  const words = new Int32Array(order.shared, 0, 2)
  for (;;) {
    const count = Atomics.load(words, PING)
    if (count === STOP) return { is: 'echoed' }
    Atomics.store(words, PONG, count)
  }
}
