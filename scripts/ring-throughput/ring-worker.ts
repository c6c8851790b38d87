/**
 * One thread of a ring measurement: it does the tasks it is sent, one after the other, on the same
 * rings.
 */

import { parentPort, workerData } from 'node:worker_threads'

import { Doorbell, DOORBELL_BYTES, createRingPair } from '@guestyard/ring'
import type { RingPort } from '@guestyard/ring'

import { receive, sendUntilStopped } from './one-way.ts'
import type { BenchAnswer, BenchLink, BenchTask, BenchWorkerData } from './ring-tasks.ts'
import { answerBare, answerTrips, askBare, askTrips } from './round-trips.ts'

const { links, side, flags, kernel } = workerData as BenchWorkerData
const ports = links.map(openLink)
const words = new Int32Array(flags)

function openLink(link: BenchLink): RingPort {
  const [send, get] = side === 'a' ? [link.aToB, link.bToA] : [link.bToA, link.aToB]
  const pair = createRingPair(send, get, { kernel })
  const first = new Doorbell(link.doorbells, 0)
  const second = new Doorbell(link.doorbells, DOORBELL_BYTES)
  return {
    outgoing: pair.outgoing,
    incoming: pair.incoming,
    doorbell: side === 'a' ? first : second,
    peerDoorbell: side === 'a' ? second : first,
    close: () => pair.close(),
  }
}

async function perform(task: BenchTask): Promise<BenchAnswer> {
  const port = ports[0]!
  switch (task.is) {
    case 'send':
      return sendUntilStopped(port, words, task)
    case 'receive':
      return receive(ports, words, task.senders, task.measureMs)
    case 'ask':
      return askTrips(port, task.wait, task.measureMs)
    case 'answer':
      return answerTrips(port, task.wait)
    case 'ask bare':
      return askBare(words, task.measureMs)
    case 'answer bare':
      return answerBare(words)
  }
}

parentPort!.on('message', (task: BenchTask) => {
  void perform(task).then((answer) => parentPort!.postMessage(answer))
})
