// A thread that makes garbage, trims itself when idle, and says how much its heap held before and after.

import { getHeapStatistics } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'

import { trimHeapWhenIdle } from '../src/node/index.ts'

const { garbageMiB, busy } = workerData as { garbageMiB: number; busy: boolean }

const before = heapBytesWith(garbageMiB)

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

/** Bytes of the heap while it holds so much more; nothing holds it afterwards. */
function heapBytesWith(mib: number): number {
  const held = Array.from({ length: mib }, () =>
    Array.from({ length: 16_384 }, (_, index) => ({ index })),
  )
  const bytes = getHeapStatistics().used_heap_size
  return held.length === mib ? bytes : 0
}
