// The virtual engine's footing on a Node thread: when promises are pending, and when the real world has been asked for something.

import { createHook } from 'node:async_hooks'
import type { AsyncHook } from 'node:async_hooks'
import process from 'node:process'

import type { VirtualPlatform } from '@guestyard/engine/virtual'

/** What is asked of the system or the thread pool and answered once: files, names, cryptography. A connection is neither. */
const REQUEST = /^(?:FSREQ|FILEHANDLECLOSEREQ|GETADDRINFOREQ|GETNAMEINFOREQ|QUERYWRAP)|REQUEST$/
const NO_REQUEST = 'HTTPCLIENTREQUEST'
/** What Node lists as active and does not tell its hooks the end of. */
const ACTIVE_REQUEST = /Req|ConnectWrap|WriteWrap|ShutdownWrap/
const NS_PER_MS = 1e6

export interface PlatformOptions {
  /** A turn of the event loop, which is a sign of life though virtual time may stand. */
  readonly onLoop: (() => void) | null
  /** Milliseconds of real time for which virtual time may stand. */
  readonly patienceMs: number
  /** It has stood for longer: what is waited for. Told once; from then on nothing is. */
  readonly onStalled: (what: string) => void
}

/** A job of Node's cryptography: one that runs at once gives its result, another nothing or a promise. */
interface CryptoJob {
  run?: unknown
}

/** One for a thread; dispose of it when the run is over. */
export class NodeVirtualPlatform implements VirtualPlatform {
  /** The real ones: the globals may be virtual by the time they are called. */
  readonly #setImmediate: typeof setImmediate = setImmediate
  readonly #realNs: () => bigint = process.hrtime.bigint.bind(process.hrtime)
  readonly #options: PlatformOptions
  readonly #hook: AsyncHook
  /** What is asked and not answered: its kind, by its asynchronous id. */
  readonly #requests: Map<number, string> = new Map()
  readonly #held: Set<{ readonly what: string }> = new Set()
  #rest: Promise<void> | null = null
  #pending = true
  #waitsSinceNs: bigint | null = null
  #hasGivenUp = false

  constructor(options: PlatformOptions) {
    this.#options = options
    // A promise that is made or settled may have somebody who waits; what has not is a turn of the loop too many, no more.
    this.#hook = createHook({
      init: (id, type, _trigger, resource) => {
        this.#pending = true
        if (type === 'PROMISE' || !REQUEST.test(type) || type === NO_REQUEST) return
        this.#requests.set(id, type)
        this.#watchJob(id, resource)
      },
      after: (id) => void this.#requests.delete(id),
      destroy: (id) => void this.#requests.delete(id),
      promiseResolve: () => {
        this.#pending = true
      },
    })
    this.#hook.enable()
  }

  takePending(): boolean {
    const pending = this.#pending
    this.#pending = false
    return pending
  }

  turn(callback: () => void): void {
    this.#options.onLoop?.()
    const rest = this.#rest
    this.#rest = null
    if (rest === null) this.#setImmediate(callback)
    else void this.#turnAfter(rest, callback)
  }

  /** The next turn of the event loop is not asked for before the promise, which does not reject, settles. */
  rest(promise: Promise<void>): void {
    this.#rest = promise
  }

  isWaiting(): boolean {
    if (this.#hasGivenUp) return false
    const isWaiting = this.#requests.size > 0 || this.#held.size > 0 || activeRequests().length > 0
    if (!isWaiting) {
      this.#waitsSinceNs = null
      return false
    }
    this.#waitsSinceNs ??= this.#realNs()
    const waitedMs = Number(this.#realNs() - this.#waitsSinceNs) / NS_PER_MS
    if (waitedMs < this.#options.patienceMs) return true
    const what = this.#describe()
    this.giveUp()
    this.#options.onStalled(what)
    return false
  }

  /** Virtual time stands until the promise settles. */
  hold<T>(what: string, promise: Promise<T>): Promise<T> {
    const held = { what }
    this.#held.add(held)
    const release = (): void => void this.#held.delete(held)
    promise.then(release, release)
    return promise
  }

  /** The real world is not waited for any more: the run is to end. */
  giveUp(): void {
    this.#hasGivenUp = true
  }

  dispose(): void {
    this.#hook.disable()
  }

  /** A job that runs at once is never told to have ended, nor is one whose answer is a promise: its call says which it is. */
  #watchJob(id: number, job: CryptoJob): void {
    const { run } = job
    if (typeof run !== 'function') return
    job.run = (...args: readonly unknown[]): unknown => {
      delete job.run
      const result = Reflect.apply(run, job, args) as unknown
      if (result === undefined) return result
      const type = this.#requests.get(id) ?? ''
      this.#requests.delete(id)
      return result instanceof Promise ? this.hold(type, result) : result
    }
  }

  async #turnAfter(rest: Promise<void>, callback: () => void): Promise<void> {
    await rest
    this.#setImmediate(callback)
  }

  #describe(): string {
    const what = [...this.#requests.values(), ...[...this.#held].map((held) => held.what)]
    return [...new Set(what.length > 0 ? what : activeRequests())].join(', ')
  }
}

function activeRequests(): string[] {
  return process.getActiveResourcesInfo().filter((name) => ACTIVE_REQUEST.test(name))
}
