// The worker: waits for its end of the channel, then answers every question. It may block, so it does.
import { type ChannelPort, openMessages } from '@guestyard/ring/messages'

export interface Question {
  readonly n: number
  readonly text: string
}

export interface Answer {
  readonly square: number
}

/** The one thing of a worker that this uses. */
interface WorkerScope {
  addEventListener(type: 'message', listener: (event: { data: ChannelPort }) => void): void
}

;(globalThis as unknown as WorkerScope).addEventListener('message', ({ data }) => {
  const channel = openMessages<Answer, Question>(data)
  let question = channel.receiveBlocking()
  for (; question !== undefined; question = channel.receiveBlocking()) {
    channel.sendBlocking({ square: question.n ** 2 })
  }
  void channel.close()
})
