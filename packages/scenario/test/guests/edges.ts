/** Does what a run in virtual time found hard: jobs at once, chance and clocks in their odd corners, traces left in the thread. */

import { AsyncResource } from 'node:async_hooks'
import crypto from 'node:crypto'
import { readFile, stat } from 'node:fs'
import { Worker } from 'node:worker_threads'

import type { Guest } from '@guestyard/child-partition'

/** Kept: nobody ever answers them. */
const asked: AsyncResource[] = []

export async function main(guest: Guest): Promise<void> {
  const leaks = globalThis as { seen?: number }
  leaks.seen = (leaks.seen ?? 0) + 1
  guest.expose({
    jobs: () => jobs(),
    chance: () => chance(),
    waits: () => waits(),
    files: () => files(),
    leaks: () => [leaks.seen, import.meta.url.replace(/^.*\//, '')],
    stuck: async () => {
      asked.push(new AsyncResource('NEVERREQUEST'))
      await new Promise((resolve) => setTimeout(resolve, 5))
    },
    thread: () => new Worker('', { eval: true }).threadId,
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}

/** Cryptography that answers at once, by a callback and by a promise. */
async function jobs(): Promise<unknown> {
  const from = performance.now()
  crypto.scryptSync('a', 'b', 16)
  crypto.pbkdf2Sync('a', 'b', 1, 16, 'sha256')
  crypto.hkdfSync('sha256', 'a', 'b', 'c', 16)
  const { privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
  crypto.sign('sha256', Buffer.from('a'), privateKey)
  crypto.generateKeySync('aes', { length: 128 })
  crypto.checkPrimeSync(7n)
  const later = new Promise<Buffer>((resolve, reject) => {
    crypto.scrypt('a', 'b', 16, (error, key) => (error === null ? resolve(key) : reject(error)))
  })
  const digest = await crypto.subtle.digest('SHA-256', Buffer.from('a'))
  const took = performance.now() - from
  await new Promise((resolve) => setTimeout(resolve, 5))
  return { took, sizes: [(await later).length, digest.byteLength] }
}

async function chance(): Promise<unknown> {
  const buffer = new ArrayBuffer(8)
  crypto.randomFillSync(buffer)
  const part = crypto.randomFillSync(new Uint8Array(8), 2, 3)
  const filled = await new Promise((resolve) => {
    crypto.randomFill(new Uint8Array(4), (_error, bytes) => resolve([...bytes]))
  })
  const int = await new Promise((resolve) => {
    crypto.randomInt(5, 9, (_error, value) => resolve(value))
  })
  const prototype = Object.getPrototypeOf(globalThis.crypto) as Crypto
  const values = prototype.getRandomValues.call(globalThis.crypto, new Uint8Array(4))
  const v7 = (crypto as { randomUUIDv7?: () => string }).randomUUIDv7?.() ?? ''
  return {
    buffer: [...new Uint8Array(buffer)],
    part: [...part],
    filled,
    int,
    values: [...values],
    v7,
  }
}

/** What ends by time, or on another thread. */
async function waits(): Promise<unknown> {
  const words = new Int32Array(new SharedArrayBuffer(4))
  const from = performance.now()
  const wait = Atomics.waitAsync(words, 0, 0, 20)
  const how = await wait.value
  const took = performance.now() - from
  const compiler = Reflect.get(globalThis, 'WebAssembly') as {
    compile(bytes: Uint8Array): Promise<object>
  }
  const before = performance.now()
  await compiler.compile(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))
  const compiled = performance.now() - before
  return { how, took, compiled }
}

async function files(): Promise<unknown> {
  const order: string[] = []
  const path = new URL(import.meta.url)
  await Promise.all([
    new Promise<void>((resolve) => {
      readFile(path, () => resolve(void order.push('read')))
    }),
    new Promise<void>((resolve) => {
      stat(path, () => resolve(void order.push('stat')))
    }),
  ])
  return order
}
