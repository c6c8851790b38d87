// A console session, as the main thread has it: a Linux guest in virtual time on a thread of its own, live and recorded, or replayed.

import { Worker } from 'node:worker_threads'

import { hostEnvironment } from '@guestyard/management'

import type {
  SessionCommand,
  SessionEnd,
  SessionInput,
  SessionMessage,
  SessionTask,
} from './session-protocol.ts'

// The entry keeps the extension this file was loaded with: `.ts` in the workspace, `.js` when packed.
const THREAD = new URL(
  `./session-thread${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`,
  import.meta.url,
)

export interface ConsoleSessionOptions extends SessionTask {
  /** Told each input of a live session as it is taken up: replayed, they give the same bytes. */
  readonly onInput?: (input: SessionInput) => void
}

export class ConsoleSession {
  /** Resolves when the guest serves its console; rejects when it does not come so far. */
  readonly started: Promise<void>
  /** Resolves when the machine has ended; rejects with what went wrong on our side. */
  readonly ended: Promise<SessionEnd>
  readonly #worker: Worker
  readonly #printed: Uint8Array[] = []
  #reader: (() => void) | null = null
  #isOver = false

  constructor({ onInput, ...task }: ConsoleSessionOptions) {
    const started = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<SessionEnd>()
    this.started = started.promise
    this.ended = ended.promise
    this.started.catch(() => {})
    this.ended.catch(() => {})
    this.#worker = new Worker(THREAD, {
      name: 'console session',
      env: hostEnvironment(),
      workerData: task,
    })
    this.#worker.on('message', (message: SessionMessage) => {
      switch (message.is) {
        case 'started':
          return started.resolve()
        case 'input':
          return onInput?.(message.input)
        case 'console':
          this.#printed.push(message.bytes)
          return this.#reader?.()
        case 'ended':
          ended.resolve(message.end)
          this.#isOver = true
          this.#reader?.()
      }
    })
    const over = (error: unknown): void => {
      started.reject(error)
      ended.reject(error)
      this.#isOver = true
      this.#reader?.()
    }
    this.#worker.on('error', over)
    this.#worker.on('exit', () => over(new Error('the session ended before its machine')))
  }

  /** What the console said, in order; null when there will be no more. One reader at a time. */
  async readConsole(): Promise<Uint8Array | null> {
    while (this.#printed.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => (this.#reader = resolve))
    }
    return this.#printed.shift() ?? null
  }

  async writeConsole(bytes: Uint8Array): Promise<void> {
    this.#send({ is: 'keys', bytes })
  }

  /** A shell script beside the console. Its answer is nobody's. */
  async exec(script: string): Promise<void> {
    this.#send({ is: 'exec', script })
  }

  async turnOff(): Promise<void> {
    this.#send({ is: 'leave' })
  }

  /** Ends its thread, whatever it is doing. */
  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #send(command: SessionCommand): void {
    this.#worker.postMessage(command)
  }
}
