/** One end of a pair of peer threads: does what it is ordered, and answers. */

import { parentPort } from 'node:worker_threads'

import { receiveFromRings, sendToRings } from './bare-ring-ends.ts'
import { echoOverPort, receiveMessages, sendMessages, timeOverPort } from './message-ends.ts'
import type { PeerAnswer, PeerOrder } from './peer-protocol.ts'
import { receiveFromRingbuf, sendToRingbuf } from './ringbuf-ends.ts'
import { echoSpinning, timeSpinning } from './spin-ends.ts'

parentPort?.on('message', (order: PeerOrder) => {
  carryOut(order).then(
    (answer) => parentPort?.postMessage(answer),
    (error: unknown) => parentPort?.postMessage({ is: 'failed', reason: String(error) }),
  )
})

async function carryOut(order: PeerOrder): Promise<PeerAnswer> {
  const { task, role } = order
  try {
    if (task.kind === 'round-trip') {
      if (task.peer === 'spin') {
        return role === 'sender' ? timeSpinning(order, task) : echoSpinning(order)
      }
      return await (role === 'sender' ? timeOverPort(order, task) : echoOverPort(order))
    }
    if (task.kind === 'bare-ring') {
      return role === 'sender' ? sendToRings(order, task) : receiveFromRings(order, task)
    }
    switch (task.peer) {
      case 'post':
      case 'transfer':
        return await (role === 'sender' ? sendMessages(order, task) : receiveMessages(order))
      case 'ringbuf.js':
        return role === 'sender' ? sendToRingbuf(order, task) : receiveFromRingbuf(order, task)
    }
  } finally {
    order.port.close()
  }
}
