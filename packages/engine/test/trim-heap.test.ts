import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'

const TRIM_WORKER = new URL('./trim-worker.ts', import.meta.url)
const MIB = 1024 * 1024

async function said(data: { garbageMiB: number; busy: boolean }): Promise<unknown> {
  const worker = new Worker(TRIM_WORKER, { workerData: data })
  const [message] = (await once(worker, 'message')) as [unknown]
  await worker.terminate()
  return message
}

test('a thread that idles gives back what it no longer holds', async () => {
  const { before, after } = (await said({ garbageMiB: 32, busy: false })) as {
    before: number
    after: number
  }
  expect(before).toBeGreaterThan(10 * MIB)
  expect(after).toBeLessThan(8 * MIB)
})

test('a thread that works is left alone', async () => {
  expect(await said({ garbageMiB: 1, busy: true })).toBe('left alone')
})
