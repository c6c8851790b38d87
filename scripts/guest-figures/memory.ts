/** What threads and guests take of this process's resident memory, once they have settled. */

import { once } from 'node:events'
import process from 'node:process'
import { setTimeout as after } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

const BARE_THREADS = 8
/** Does nothing, and stays. */
const BARE_THREAD = new URL(
  `data:text/javascript,${encodeURIComponent(
    `import { parentPort } from 'node:worker_threads'
    parentPort.postMessage('up')
    parentPort.on('message', () => {})`,
  )}`,
)
/** As the threads of a VM are limited; see `management/src/thread-start.ts`. */
const BARE_LIMITS = { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 1 }
const BARE_SETTLE_MS = 1_000

/** Threads that start have given back what starting took two looks of five seconds later; see `engine/node`. */
const SETTLE_MS = 12_000
const SETTLE_MOST_MS = 90_000
/** Longer than the eight seconds after which V8 collects what a collection left, up to three times. */
const QUIET_SECONDS = 10
const QUIET_SHARE = 0.03

/** Resident bytes that a thread of Node costs before it loads anything of ours: a VM has two. */
export async function bareThreadBytes(signal: AbortSignal): Promise<number> {
  // The first one touches code that all share.
  const workers = [await startBare()]
  try {
    await after(BARE_SETTLE_MS, undefined, { signal })
    const before = process.memoryUsage.rss()
    for (let i = 0; i < BARE_THREADS; i += 1) workers.push(await startBare())
    await after(BARE_SETTLE_MS, undefined, { signal })
    return (process.memoryUsage.rss() - before) / BARE_THREADS
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

async function startBare(): Promise<Worker> {
  const worker = new Worker(BARE_THREAD, { resourceLimits: BARE_LIMITS, env: {} })
  await once(worker, 'message')
  return worker
}

/** Resident bytes when the process has been quiet for a while, or never was in a minute and a half. */
export async function settledRss(signal: AbortSignal): Promise<number> {
  await after(SETTLE_MS, undefined, { signal })
  const lastMs = performance.now() + SETTLE_MOST_MS
  let quiet = 0
  while (quiet < QUIET_SECONDS && performance.now() < lastMs) {
    const before = process.cpuUsage()
    await after(1_000, undefined, { signal })
    const { user, system } = process.cpuUsage(before)
    quiet = (user + system) / 1e6 < QUIET_SHARE ? quiet + 1 : 0
  }
  return process.memoryUsage.rss()
}
