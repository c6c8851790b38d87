/** One end of a pair of peer threads: does what it is ordered, and answers. */

import { parentPort } from 'node:worker_threads'

import { echoOverPort, receiveMessages, sendMessages, timeOverPort } from './message-ends.ts'
import type { PeerAnswer, PeerOrder } from './peer-protocol.ts'
import { receiveFromRing, receiveFromRingbuf, sendToRing, sendToRingbuf } from './ring-ends.ts'
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
    switch (task.peer) {
      case 'post':
      case 'transfer':
        return await (role === 'sender' ? sendMessages(order, task) : receiveMessages(order))
      case 'ringbuf.js':
        return role === 'sender' ? sendToRingbuf(order, task) : receiveFromRingbuf(order, task)
      case 'ring':
        return role === 'sender' ? sendToRing(order, task) : receiveFromRing(order, task)
    }
  } finally {
    order.port.close()
  }
}
