// The other thread of the worker tests: one behaviour for each of them.
import { parentPort, workerData } from 'node:worker_threads'
import { type ChannelPort, openBytes, openMessages } from '../../src/messages/index.ts'

interface PeerData {
  readonly behaviour: string
  readonly port: ChannelPort
  readonly count: number
}

const { behaviour, port, count } = workerData as PeerData
const behaviours: Readonly<Record<string, () => void | Promise<void>>> = {
  'echo-blocking': () => {
    const channel = openMessages(port)
    for (let m = channel.receiveBlocking(); m !== undefined; m = channel.receiveBlocking()) {
      channel.sendBlocking(m)
    }
    void channel.close()
  },
  'echo-async': async () => {
    await using channel = openMessages(port)
    for await (const message of channel) await channel.send(message)
  },
  'produce-blocking': () => {
    const channel = openMessages(port)
    for (let i = 0; i < count; i++) channel.sendBlocking({ i, text: `message ${i}` })
    void channel.close()
  },
  'sum-blocking': () => {
    const channel = openBytes(port)
    let sum = 0
    for (let m = channel.receiveBlocking(); m !== undefined; m = channel.receiveBlocking()) {
      for (const byte of m) sum += byte
    }
    channel.sendBlocking(new TextEncoder().encode(String(sum)))
    void channel.close()
  },
  'report-blocked-receive': () => {
    const channel = openMessages(port)
    parentPort?.postMessage('about to block')
    try {
      parentPort?.postMessage({ received: channel.receiveBlocking() ?? 'the end' })
    } catch (error) {
      parentPort?.postMessage({ threw: (error as { code: string }).code })
    }
  },
  'report-blocked-send': () => {
    const channel = openBytes(port)
    while (channel.trySend(new Uint8Array(900)));
    parentPort?.postMessage('about to block')
    try {
      channel.sendBlocking(new Uint8Array(900))
      parentPort?.postMessage({ threw: 'nothing' })
    } catch (error) {
      parentPort?.postMessage({ threw: (error as { code: string }).code })
    }
  },
  throw: async () => {
    const channel = openMessages(port)
    await channel.send('before the throw')
    channel.flush()
    throw new Error('boom')
  },
  die: () => {
    const channel = openMessages(port)
    channel.sendBlocking('before the crash')
    process.exit(3)
  },
}
await behaviours[behaviour]?.()
