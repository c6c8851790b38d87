/** Tells what a program sees of time, chance and the real world. */

import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Guest } from '@guestyard/child-partition'

export async function main(guest: Guest): Promise<void> {
  guest.expose({ look: () => look(), wait: () => wait(), read: () => read() })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

function look(): unknown {
  const now = new Date()
  return {
    date: now.toISOString(),
    later: new Date(now.getTime() + 86_400_000).toString(),
    hours: new Date('2026-07-01T12:00:00Z').getHours(),
    now: [Date.now(), performance.now(), performance.timeOrigin, process.hrtime.bigint() > 0n],
    isDate: now instanceof Date && new (now.constructor as DateConstructor)() instanceof Date,
    chance: [Math.random(), Math.random(), randomInt(1000), randomBytes(8).toString('hex')],
    ids: [randomUUID(), crypto.randomUUID(), String(crypto.getRandomValues(new Uint32Array(2)))],
  }
}

/** Timers of every kind, and the order in which they come. */
async function wait(): Promise<unknown> {
  const order: string[] = []
  const from = performance.now()
  const said = (what: string) => () => void order.push(what)
  const interval = setInterval(said('interval'), 4)
  setTimeout(said('ten'), 10)
  setTimeout(said('five'), 5)
  clearTimeout(setTimeout(said('never'), 1))
  setImmediate(said('immediate'))
  queueMicrotask(said('microtask'))
  process.nextTick(said('tick'))
  await sleep(11)
  clearInterval(interval)
  const timeout = await new Promise((resolve) => {
    const signal = AbortSignal.timeout(7)
    signal.addEventListener('abort', () => resolve((signal.reason as Error).name))
  })
  return { order, took: Math.floor(performance.now() - from), timeout }
}

/** Two files at once, and a module: how long that took, and in which order they came. */
async function read(): Promise<unknown> {
  const from = performance.now()
  const order: string[] = []
  const big = new URL('./many-lives.ts', import.meta.url)
  const small = new URL('./host-things.ts', import.meta.url)
  const files = [big, small, big, small].map(async (url, index) => {
    const text = await readFile(url, 'utf8')
    order.push(`file ${index}`)
    return text.length > 0
  })
  const module = import('./late-module.ts').then(({ answer }) => answer)
  const found = [...(await Promise.all(files)), await module]
  return { order, found, took: performance.now() - from }
}
