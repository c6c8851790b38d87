// The receiving (or sending) thread of messages-throughput.ts.

import { parentPort } from 'node:worker_threads'
import { type ChannelPort, openMessages } from '@guestyard/ring/messages'
import { type Reading, makeReading, outOfOrder } from './reading.ts'

interface Order {
  readonly run:
    | 'receive-each'
    | 'receive-batches'
    | 'receive-blocking'
    | 'send-async'
    | 'post-in'
    | 'post-out'
  readonly port: ChannelPort
  readonly count: number
}

const parent = parentPort
if (parent === null) throw new Error('peer-worker.ts runs in a worker of messages-throughput.ts')

let expected = 0
let total = 0

/** Counts a message and checks that it is the next one. */
function check(message: Reading): void {
  if (message.id !== expected) throw new Error(outOfOrder(message.id, expected))
  expected++
  if (expected === total) parent?.postMessage('done')
}

async function obey({ run, port, count }: Order): Promise<void> {
  expected = 0
  total = count
  if (run === 'post-in') return
  if (run === 'post-out') {
    for (let id = 0; id < count; id++) parent?.postMessage(makeReading(id))
    return
  }
  const channel = openMessages<Reading>(port)
  parent?.postMessage('ready')
  if (run === 'receive-each') for await (const message of channel) check(message)
  else if (run === 'receive-batches') {
    for await (const batch of channel.batches()) for (const message of batch) check(message)
  } else if (run === 'receive-blocking') {
    let message = channel.receiveBlocking()
    for (; message !== undefined; message = channel.receiveBlocking()) check(message)
  } else {
    for (let id = 0; id < count; id++) {
      const message = makeReading(id)
      if (!channel.trySend(message)) await channel.send(message)
    }
  }
  await channel.close()
}

parent.on('message', (message: Order | Reading) => {
  if ('id' in message) check(message)
  else void obey(message)
})
