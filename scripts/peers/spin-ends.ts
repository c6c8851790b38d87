/** Two words in shared memory that answer each other: how fast the machine's threads meet right now. */

import type { PeerAnswer, PeerOrder, RoundTripTask } from './peer-protocol.ts'

const PING = 0
const PONG = 1
const STOP = -1
/** Round trips of a sample. */
const GROUP = 100
/** Round trips to one clock reading: one alone is hardly longer than a reading. */
const CLOCK_EVERY = 10

export function timeSpinning(order: PeerOrder, task: RoundTripTask): PeerAnswer {
  const words = new Int32Array(order.shared, 0, 2)
  const times: number[] = []
  const measureFromMs = performance.now() + task.warmUpMs
  const untilMs = measureFromMs + task.measureMs
  let count = 0
  let lastMs = performance.now()
  // One sample at least, whatever the machine does meanwhile; a single trip can outlast the whole stretch
  // there, so that a group ends early when the time is up.
  while (lastMs < untilMs || times.length === 0) {
    let trips = 0
    let nowMs = lastMs
    while (trips < GROUP && (nowMs < untilMs || trips === 0)) {
      for (let trip = 0; trip < CLOCK_EVERY; trip++) {
        count++
        Atomics.store(words, PING, count)
        while (Atomics.load(words, PONG) !== count) {
          //  the other end spins too
        }
      }
      trips += CLOCK_EVERY
      nowMs = performance.now()
    }
    if (lastMs >= measureFromMs || nowMs >= untilMs) times.push(((nowMs - lastMs) * 1e6) / trips)
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
