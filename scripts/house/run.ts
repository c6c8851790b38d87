// Starting programs: to the end, with their output kept, a few at a time.
import { type ChildProcess, spawn } from 'node:child_process'

import { workspaceEnvironment } from './workspace.ts'

export interface Finished {
  readonly ok: boolean
  /** Why it is not ok, when no output says so: it did not start, was stopped, or took too long. */
  readonly reason: string | undefined
  readonly stdout: string
  /** stdout and stderr as they came. */
  readonly output: string
}

export interface RunOptions {
  readonly cwd: string
  readonly timeoutMs?: number
}

const running = new Set<ChildProcess>()

/** Ends every program that still runs. */
export function stopRunning(): void {
  for (const child of running) child.kill()
}

/** Runs a program to its end. Never rejects: a program that cannot start is one that failed. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<Finished> {
  const { promise, resolve } = Promise.withResolvers<Finished>()
  const stdout: string[] = []
  const output: string[] = []
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: workspaceEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
  })
  running.add(child)
  const finish = (ok: boolean, reason?: string): void => {
    running.delete(child)
    resolve({ ok, reason, stdout: stdout.join(''), output: output.join('') })
  }

  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout.push(text)
    output.push(text)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => output.push(text))
  child.on('error', (error) => finish(false, error.message))
  child.on('close', (code, signal) => {
    if (signal !== null) finish(false, `ended by ${signal}`)
    else finish(code === 0, code === 0 ? undefined : `exit code ${code}`)
  })
  return promise
}

/** Does `work` for each item, `width` of them at a time; the answers come in the items' order. */
export async function inParallel<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++
      results[index] = await work(items[index]!)
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
  return results
}
