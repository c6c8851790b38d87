/** A worker of node:worker_threads, as far as this needs it. */
export interface EndingWorker {
  once(event: 'exit', listener: (code: number) => void): unknown
  once(event: 'error', listener: (error: unknown) => void): unknown
}

/** A channel that can be told that its peer is gone. */
export interface PeerWatcher {
  peerLost(reason: string): void
}

/**
 * Tells `channel` when the worker that has its other end exits, however it does: what the worker had sent is
 * still received. A worker that closed its end first is no failure. Without this nobody notices a crash: shared
 * memory does not know who is alive.
 *
 * What the worker throws and nobody catches becomes the channel's failure too, in place of an uncaught `error`
 * event that would end this thread.
 */
export function failWhenWorkerEnds(channel: PeerWatcher, worker: EndingWorker): void {
  worker.once('error', (error) => channel.peerLost(`the worker failed: ${textOf(error)}`))
  worker.once('exit', (code) => channel.peerLost(`the worker exited with code ${code}`))
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : 'it threw what is no error'
}
