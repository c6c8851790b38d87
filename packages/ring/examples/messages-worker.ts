import { workerData } from 'node:worker_threads'
import { type ChannelPort, openMessages } from '@guestyard/ring/messages'

export interface Question {
  readonly n: number
  readonly text: string
}

export interface Answer {
  readonly square: number
}

const channel = openMessages<Answer, Question>(workerData as ChannelPort)
for await (const { n } of channel) await channel.send({ square: n * n })
await channel.close()
