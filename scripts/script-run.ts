/** What every script here does around its work: refusals on one line, Ctrl-C, the exit code. */

import { InputError } from '@guestyard/scenario'

/**
 * Reads the flags, then runs the work. Exit codes: 0 done, 1 failed, 2 a wrong flag (one line, nothing
 * started), 130 interrupted. `null` flags mean that help was printed.
 */
export async function runScript<Flags>(
  readFlags: () => Flags | null | Promise<Flags | null>,
  work: (flags: Flags, signal: AbortSignal) => Promise<boolean>,
): Promise<void> {
  const abort = new AbortController()
  const interrupt = (): void => {
    if (abort.signal.aborted) process.exit(130)
    abort.abort(new Error('interrupted'))
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    const flags = await readFlags()
    if (flags !== null) process.exitCode = (await work(flags, abort.signal)) ? 0 : 1
  } catch (error) {
    process.exitCode = exitCodeOf(error, abort.signal)
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
  if (abort.signal.aborted) process.exitCode = 130
}

function exitCodeOf(error: unknown, signal: AbortSignal): number {
  if (signal.aborted) return 130
  if (error instanceof InputError) {
    process.stderr.write(`${error.message}\n`)
    return 2
  }
  process.stderr.write(
    `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  )
  return 1
}

/** The promise, or the interruption if that comes first. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason as Error)
  // The race is held even when it is lost already: `work` may reject later, and somebody must have heard.
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** A wrong flag as `node:util` words it, on one line. */
export function flagError(error: unknown): InputError {
  const text = error instanceof Error ? error.message : String(error)
  const flag = /'(-[^' ]*)/.exec(text)?.[1] ?? 'flags'
  return new InputError(flag, text.split('. ', 1)[0] ?? text)
}
