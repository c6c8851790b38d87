// A thread that makes garbage, trims itself when idle, and says how much its heap held before and after.

import { getHeapStatistics } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'

import { trimHeapWhenIdle } from '../src/node/index.ts'

const { garbageMiB, busy } = workerData as { garbageMiB: number; busy: boolean }

let garbage: unknown[] | null = Array.from({ length: garbageMiB }, () =>
  Array.from({ length: 16_384 }, (_, index) => ({ index })),
)
const before = getHeapStatistics().used_heap_size + garbage.length * 0
garbage = null

// Keeps the processor busy for most of each look.
const work = setInterval(() => {
  const until = performance.now() + (busy ? 9 : 0)
  while (performance.now() < until);
}, 10)

trimHeapWhenIdle({
  lookMs: 50,
  looksMax: 4,
  onTrimmed: () => parentPort?.postMessage({ before, after: getHeapStatistics().used_heap_size }),
})
if (busy) setTimeout(() => parentPort?.postMessage('left alone'), 400)
parentPort?.on('message', () => {
  clearInterval(work)
  parentPort?.close()
})
