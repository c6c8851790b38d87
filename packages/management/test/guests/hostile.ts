import { MessageChannel, parentPort, workerData } from 'node:worker_threads'
import type { GuestWorkerData } from '@guestyard/child-partition/worker-protocol'

import type { Guest } from '@guestyard/child-partition'

/** Can't be made a string. */
const BOMB = { toString: 1, valueOf: 1 }

/** A hundred kilobytes a message: a queue of a few thousand would be the end of the process. */
const JUNK = 'j'.repeat(100_000)

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
      for (let i = 0; i < 2_000; i += 1) guest.log.error({ i }, 'x'.repeat(1_000))
      guest.expose({ hasFlooded: () => true })
      break
    // Without an end, as fast as a thread can, past the guest's own logger.
    case 'flood-log-lines':
      for (;;) logPort.postMessage('{"level":30,"msg":"again"}')
    case 'flood-log-junk':
      for (;;) logPort.postMessage(JUNK)
    case 'flood-control':
      for (;;) controlPort.postMessage({ type: 'RAW', value: JUNK, id: '0' })
    case 'flood-parent':
      for (;;) parentPort!.postMessage(JUNK)
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
