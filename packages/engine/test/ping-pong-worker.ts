// One side of a ping-pong between two real threads: a counter in shared memory that each side raises in turn, announced by
// doorbells only. Started with { words, own, peer, parity, rounds, strategy }.

import { parentPort, workerData } from 'node:worker_threads'

import { Doorbell } from '@guestyard/ring'

import { DoorbellSet, MonotonicClock, ThreadEngine } from '../src/index.ts'
import type { Machine, WaitStrategy } from '../src/index.ts'

export interface PingPongData {
  readonly words: SharedArrayBuffer
  readonly own: SharedArrayBuffer
  readonly peer: SharedArrayBuffer
  readonly parity: 0 | 1
  readonly rounds: number
  readonly strategy: WaitStrategy
  readonly blocking: boolean
}

const data = workerData as PingPongData
const words = new Int32Array(data.words)
const own = new Doorbell(data.own)
const peer = new Doorbell(data.peer)
// Some rounds pause, so that the peer falls asleep in the middle of things: a lost wake-up would be the end of the game.
let pause = 0

const machine: Machine = {
  poll() {
    const count = Atomics.load(words, 0)
    if (count === data.rounds || count % 2 !== data.parity) return 0
    if (pause-- > 0) return 0
    pause = (count * 7919) % 5 === 0 ? (count * 104_729) % 3000 : 0
    Atomics.store(words, 0, count + 1)
    peer.ring()
    if (count + 1 === data.rounds) {
      own.stop()
      peer.stop()
    }
    return 1
  },
  // Between pauses there is work that nobody will announce: not a time to sleep.
  arm: () => Atomics.load(words, 0) % 2 === data.parity && Atomics.load(words, 0) !== data.rounds,
  disarm() {},
  nextDeadlineMs: () => Infinity,
}

const engine = new ThreadEngine({
  machine,
  doorbells: new DoorbellSet({ stoppedBy: own }),
  clock: new MonotonicClock(),
  strategy: data.strategy,
})
const reason = data.blocking ? engine.runBlocking() : await runHeld()
parentPort!.postMessage({ reason, stats: engine.stats })

/** `run` holds nothing that keeps the thread alive while it sleeps: the port to the parent does. */
async function runHeld(): Promise<string> {
  const hold = (): void => {}
  parentPort!.on('message', hold)
  try {
    return await engine.run()
  } finally {
    parentPort!.off('message', hold)
  }
}
