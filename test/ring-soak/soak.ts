// The soak: two threads for some time, then what both found. `scripts/ring-soak.ts` runs it for
// minutes.
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { type KernelKind, type LinkSide, createRingLink } from '@guestyard/ring'
import type { SoakResult, SoakWorkerData } from './soak-end.ts'

/** One page of data, so that it is full and empty all the time. */
const RING_BYTES = 4096

export interface SoakOptions {
  readonly milliseconds: number
  readonly seed: number
  readonly kernel: KernelKind
  /** Ends the soak early. */
  readonly signal?: AbortSignal
}

/** What both ends found. Rejects when one of them dies. */
export async function soak(options: SoakOptions): Promise<readonly SoakResult[]> {
  const link = createRingLink(RING_BYTES, options.kernel)
  const stop = new SharedArrayBuffer(4)
  const start = (side: LinkSide, seed: number): Worker => {
    const data: SoakWorkerData = { link, side, seed, stop }
    return new Worker(new URL('./soak-worker.ts', import.meta.url), { workerData: data })
  }
  const over = new AbortController()
  const signal = AbortSignal.any([over.signal, ...(options.signal ? [options.signal] : [])])
  const workers = [start('a', options.seed), start('b', options.seed + 1)]
  try {
    // The time begins when both are up.
    await Promise.all(workers.map((worker) => once(worker, 'message')))
    const answers = Promise.all(
      workers.map(async (worker): Promise<SoakResult> => (await once(worker, 'message'))[0]),
    )
    const time = setTimeout(options.milliseconds, undefined, { signal })
    // Whichever comes first: the time, an interruption, or the death of an end.
    await Promise.race([time.catch(() => {}), answers])
    Atomics.store(new Int32Array(stop), 0, 1)
    return await answers
  } finally {
    over.abort()
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}
