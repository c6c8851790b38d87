/** Ctrl-C: the first one stops the run in good order, the second one ends the process. */

export const EXIT_INTERRUPTED = 130
/** How long a run that was interrupted may take to leave, once it has stopped everything it started. */
const LEAVE_WITHIN_MS = 300

/** Why work was given up that was interrupted before it had anything to report. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** Runs `work` with a signal that Ctrl-C (or a termination request) aborts. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController()
  const onSignal = (): void => {
    if (abort.signal.aborted) process.exit(EXIT_INTERRUPTED)
    abort.abort(new Interrupted('interrupted'))
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  try {
    return await work(abort.signal)
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
    // A scenario's own timers and sockets must not keep an interrupted process alive.
    if (abort.signal.aborted) {
      setTimeout(() => process.exit(EXIT_INTERRUPTED), LEAVE_WITHIN_MS).unref()
    }
  }
}
