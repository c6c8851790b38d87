/** A plain machine on a thread of its own, as scripts hold it. */

import { Worker } from 'node:worker_threads'

import type { PlainCommand, PlainReply, PlainSettings } from './protocol.ts'

const WORKER = new URL('worker.ts', import.meta.url)

export class PlainMachine {
  /** From asking for the thread to serving commands. */
  readonly bootMs: number
  readonly #worker: Worker
  readonly #waiting: Map<number, PromiseWithResolvers<PlainReply>>
  #lastId = 0

  private constructor(
    worker: Worker,
    waiting: Map<number, PromiseWithResolvers<PlainReply>>,
    bootMs: number,
  ) {
    this.#worker = worker
    this.#waiting = waiting
    this.bootMs = bootMs
  }

  /** Resolves when it serves commands; rejects when its thread dies, or with the signal's reason. */
  static async boot(settings: PlainSettings, signal: AbortSignal): Promise<PlainMachine> {
    signal.throwIfAborted()
    const startMs = performance.now()
    const worker = new Worker(WORKER, { workerData: settings })
    const ready = Promise.withResolvers<PlainReply>()
    const waiting = new Map([[0, ready]])
    const end = (error: unknown): void => {
      for (const { reject } of waiting.values()) reject(error)
      waiting.clear()
    }
    worker.on('message', (reply: PlainReply) => {
      waiting.get(reply.id)?.resolve(reply)
      waiting.delete(reply.id)
    })
    worker.on('error', end)
    worker.on('exit', () => end(new Error('the plain machine has ended')))
    signal.addEventListener('abort', () => void worker.terminate(), { once: true })
    await ready.promise
    return new PlainMachine(worker, waiting, performance.now() - startMs)
  }

  /** What a script printed. Rejects when it fails. */
  async run(script: string): Promise<string> {
    const answer = Promise.withResolvers<PlainReply>()
    this.#lastId += 1
    this.#waiting.set(this.#lastId, answer)
    const command: PlainCommand = { id: this.#lastId, script }
    this.#worker.postMessage(command)
    const { exitCode, output } = await answer.promise
    const text = new TextDecoder().decode(output)
    if (exitCode !== 0) throw new Error(`${script}: exit code ${exitCode}: ${text}`)
    return text
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}
