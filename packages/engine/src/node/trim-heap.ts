// What a thread needed to start, given back once it idles. V8 collects when a thread allocates: one that starts, and then sleeps, would
// keep the garbage of its start, and the new space that this garbage made large, for as long as it lives.

import process from 'node:process'

export interface TrimOptions {
  /** Milliseconds between two looks at what the thread does; default 5 s. */
  readonly lookMs?: number
  /** Looks before it is left alone, for a thread that is never idle; default 24. */
  readonly looksMax?: number
  /** Told when the heap was trimmed. */
  readonly onTrimmed?: () => void
}

const LOOK_MS = 5_000
const LOOKS_MAX = 24
/** Share of the time between two looks that an idle thread may have been running. */
const IDLE_SHARE = 0.02

/**
 * Collects this thread's garbage once, when it has used next to no processor time between two looks: some fifteen milliseconds
 * of it then. Nothing keeps the event loop alive meanwhile. Does nothing where a thread's time is not known (before Node 23.9).
 */
export function trimHeapWhenIdle(options: TrimOptions = {}): void {
  if (typeof process.threadCpuUsage !== 'function') return
  const { lookMs = LOOK_MS, looksMax = LOOKS_MAX, onTrimmed } = options
  let looks = 0
  let usedMs = threadMs()
  const timer = setInterval(() => {
    const nowMs = threadMs()
    const isIdle = nowMs - usedMs < lookMs * IDLE_SHARE
    usedMs = nowMs
    looks += 1
    if (isIdle || looks >= looksMax) clearInterval(timer)
    if (isIdle) void collectGarbage().then(onTrimmed)
  }, lookMs)
  timer.unref()
}

/** The inspector's is the one way to a full collection that takes no flag of the whole process. */
async function collectGarbage(): Promise<void> {
  const inspector = await import('node:inspector').catch(() => null)
  // A Node that was built without one keeps its garbage.
  if (inspector === null) return
  const session = new inspector.Session()
  session.connect()
  await new Promise((resolve) => session.post('HeapProfiler.collectGarbage', resolve))
  session.disconnect()
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
