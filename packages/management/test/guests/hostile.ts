import { MessageChannel, workerData } from 'node:worker_threads'
import type { GuestWorkerData } from '@guestyard/child-partition/worker-protocol'

import type { Guest } from '@guestyard/child-partition'

/** Can't be made a string. */
const BOMB = { toString: 1, valueOf: 1 }

/** Does one thing that a guest's thread can do to its host; `args` says which. */
export async function main(guest: Guest): Promise<void> {
  const { logPort, controlPort } = workerData as GuestWorkerData
  switch (guest.args) {
    case 'log-null':
      logPort.postMessage(null)
      break
    case 'log-bomb':
      logPort.postMessage(BOMB)
      break
    case 'log-port': {
      const { port1 } = new MessageChannel()
      logPort.postMessage(port1, [port1])
      break
    }
    case 'log-flood':
      for (let i = 0; i < 20_000; i += 1) guest.log.error({ i }, 'x'.repeat(1_000))
      break
    case 'throw-bomb':
      throw BOMB
    case 'throw-stack':
      throw Object.assign(new Error('odd'), { stack: { a: 1 } })
    case 'throw-long':
      throw new Error('y'.repeat(10_000_000))
    case 'answer-proxy':
      controlPort.on('message', (question: { id: string }) => {
        const { port1 } = new MessageChannel()
        const proxy = { type: 'HANDLER', name: 'proxy', value: port1, id: question.id }
        controlPort.postMessage(proxy, [port1])
      })
      break
  }
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}
