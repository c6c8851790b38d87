import { MessageChannel } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'

import { portEndpoint } from '../src/node/index.ts'

type Listener = (event: { readonly data: unknown }) => void

/** A port's endpoint, and what a listener on it heard so far. */
function setUp(accepts?: (message: unknown) => boolean) {
  const { port1, port2 } = new MessageChannel()
  const endpoint = portEndpoint(port1, accepts)
  const heard: unknown[] = []
  const arrived: PromiseWithResolvers<void>[] = []
  const listener: Listener = ({ data }) => {
    heard.push(data)
    if (data === 'last') for (const one of arrived) one.resolve()
  }
  const last = (): Promise<void> => {
    const one = Promise.withResolvers<void>()
    arrived.push(one)
    port2.postMessage('last')
    return one.promise
  }
  const close = (): void => port1.close()
  return { port2, endpoint, heard, listener, last, close }
}

describe('an endpoint over a port', () => {
  test('hands a message to its listener as data, once, though it listens twice', async () => {
    const { endpoint, heard, listener, port2, last, close } = setUp()
    endpoint.addEventListener('message', listener)
    endpoint.addEventListener('message', listener)
    port2.postMessage({ a: 1 })
    await last()
    expect(heard).toEqual([{ a: 1 }, 'last'])
    close()
  })

  test('hands nothing to a listener that was removed', async () => {
    const { endpoint, heard, listener, port2, last, close } = setUp()
    const other: unknown[] = []
    const removed: Listener = ({ data }) => void other.push(data)
    endpoint.addEventListener('message', removed)
    endpoint.addEventListener('message', listener)
    endpoint.removeEventListener('message', removed)
    endpoint.removeEventListener('message', removed)
    port2.postMessage(1)
    await last()
    expect(heard).toEqual([1, 'last'])
    expect(other).toEqual([])
    close()
  })

  test('hears only what it accepts', async () => {
    const { endpoint, heard, listener, port2, last, close } = setUp((data) => data !== 'junk')
    endpoint.addEventListener('message', listener)
    for (const message of ['junk', 1, 'junk', 2]) port2.postMessage(message)
    await last()
    expect(heard).toEqual([1, 2, 'last'])
    close()
  })

  test('transfers what it is told to', async () => {
    const { endpoint, port2, close } = setUp()
    const buffer = new ArrayBuffer(8)
    const received = new Promise((resolve) => port2.once('message', resolve))
    endpoint.postMessage({ buffer }, [buffer])
    expect(buffer.byteLength).toBe(0)
    expect(await received).toEqual({ buffer: new ArrayBuffer(8) })
    close()
  })
})
