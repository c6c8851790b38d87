/** Does what `args` says: one program for every way in which a guest can live and end. */

import { setTimeout as sleep } from 'node:timers/promises'

import type { Guest, KeyEvent } from '@guestyard/child-partition'

const STREAM = 5

export async function main(guest: Guest): Promise<void> {
  switch (guest.args) {
    case 'throws':
      guest.report('smoke')
      throw new Error('the disk is on fire')
    case 'throws-later':
      setTimeout(() => {
        throw new Error('nobody caught this')
      }, 1)
      await new Promise<void>(() => {})
      break
    case 'rejects-later':
      void sleep(1).then(() => {
        throw new Error('nobody awaits this')
      })
      await new Promise<void>(() => {})
      break
    case 'exits':
      process.exit(7)
      break
    case 'returns':
      await sleep(1)
      guest.report('first')
      guest.report('last words')
      return
    case 'ignores-stop':
      await new Promise<void>(() => {})
      break
    case 'types':
      guest.report(await typed(guest))
      break
    case 'sends':
      guest.expose({ send: () => send(guest) })
      break
    case 'receives':
      guest.expose({ receive: () => receive(guest) })
      break
    default:
      guest.expose({
        double: (data) => Number(data) * 2,
        fail: () => {
          throw new RangeError('not today')
        },
      })
  }
  await stopped(guest.signal)
}

async function typed(guest: Guest): Promise<KeyEvent[]> {
  const keys: KeyEvent[] = []
  for await (const key of guest.keyboard) {
    keys.push(key)
    if (keys.length === 3) break
  }
  return keys
}

async function send(guest: Guest): Promise<number> {
  const stream = await guest.streams.send(STREAM)
  const chunk = new Uint8Array(1000)
  for (let i = 0; i < 100; i += 1) {
    chunk.fill(i)
    await stream.write(chunk)
  }
  await stream.end()
  return 100 * chunk.length
}

async function receive(guest: Guest): Promise<{ bytes: number; sum: number }> {
  let bytes = 0
  let sum = 0
  for await (const chunk of guest.streams.receive(STREAM)) {
    bytes += chunk.length
    for (const byte of chunk) sum += byte
  }
  return { bytes, sum }
}

function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
