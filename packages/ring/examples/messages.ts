// Two threads that talk in typed objects over a pair of rings in shared memory.
import { Worker } from 'node:worker_threads'
import { channelPair, openMessages } from '@guestyard/ring/messages'
import { failWhenWorkerEnds } from '@guestyard/ring/node'
import type { Answer, Question } from './messages-worker.ts'

const [here, there] = channelPair({ bytes: '1 MiB' })
const worker = new Worker(new URL('./messages-worker.ts', import.meta.url), { workerData: there })

const channel = openMessages<Question, Answer>(here)
failWhenWorkerEnds(channel, worker)

// `await` is the back-pressure: it takes longer only while the ring is full.
for (let n = 1; n <= 1000; n++) await channel.send({ n, text: `question ${n}` })
await channel.end()

let sum = 0
for await (const answer of channel) sum += answer.square
await channel.close()

console.log(`the squares of 1 to 1000 add up to ${sum}`)
