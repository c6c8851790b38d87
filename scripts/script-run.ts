/** What every script here does around its work: refusals on one line, Ctrl-C, the exit code. */

import { setImmediate } from 'node:timers/promises'

import { checkWritable, letReadersLeave } from '@guestyard/cli'
import { InputError } from '@guestyard/scenario'

/** How long work that was interrupted may take to put away what it made. */
const LEAVE_WITHIN_MS = 800

/**
 * Reads the flags, then runs the work. Exit codes: 0 done, 1 failed, 2 a wrong flag (one line, nothing
 * started), 130 interrupted: within about a second, if the work lets its thread's events in. `null` flags mean that help was
 * printed. A `json` among the flags is a file that can be written, or refused here.
 */
export async function runScript<Flags>(
  readFlags: () => Flags | null | Promise<Flags | null>,
  work: (flags: Flags, signal: AbortSignal) => Promise<boolean>,
): Promise<void> {
  const abort = new AbortController()
  const interrupt = (): void => {
    if (abort.signal.aborted) process.exit(130)
    abort.abort(new Error('interrupted'))
    setTimeout(() => process.exit(130), LEAVE_WITHIN_MS).unref()
  }
  letReadersLeave([process.stdout, process.stderr])
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    const flags = await readFlags()
    if (flags !== null) {
      checkJson(flags)
      process.exitCode = (await work(flags, abort.signal)) ? 0 : 1
    }
  } catch (error) {
    process.exitCode = exitCodeOf(error, abort.signal)
  } finally {
    // A signal that came while the work held the thread is still to be heard.
    await setImmediate()
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

function checkJson(flags: unknown): void {
  const json: unknown = Reflect.get(Object(flags), 'json')
  if (typeof json === 'string' && json !== '-') checkWritable(json, '--json')
}

/** Lets the thread's events in between two pieces of work that hold it; throws when they were an interruption. */
export async function pause(signal: AbortSignal): Promise<void> {
  await setImmediate()
  signal.throwIfAborted()
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
  const line = text.split('. ', 1)[0] ?? text
  return new InputError(flag, line.replace(`'${flag}' is `, ''))
}
