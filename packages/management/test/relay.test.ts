// Which VMs can join each other's relay streams.

import { expect, test } from 'vitest'

import { startHost } from '../src/index.ts'

const MIB = 1024 * 1024
const program = new URL('./guests/relays.ts', import.meta.url)

test('a VM receives what is sent in its relay group, however early another one asked for the same id', async () => {
  const host = await startHost({ log: { level: 'silent' } })
  try {
    const vm = (name: string, args: unknown, relay?: string | false) => {
      const settings = { name, memoryBytes: 8 * MIB, program, args }
      return host.createVm(relay === undefined ? settings : { ...settings, relay })
    }
    const receivers = [vm('outsider', null, false), vm('spy', null, 'spies'), vm('reader', null)]
    const senders = [vm('writer', 1), vm('confidant', 2, 'spies')]
    const received = receivers.map(async (one) => {
      await one.start()
      return one.call('received', null)
    })
    await Promise.all(senders.map((one) => one.start()))
    expect(await Promise.all(received)).toEqual(['refused', [2], [1]])
  } finally {
    await host.close()
  }
}, 60_000)
