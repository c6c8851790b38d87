// Timers in virtual time, with the shapes of Node's: a handler runs on the actor whose program asked for it, in that actor's turn.

import { promisify } from 'node:util'

/** Who asks: the program that is running. */
export interface TimerOwner {
  /** Runs `callback` in this owner's turn, `delayNs` from now at the earliest; returns what cancels that. */
  after(delayNs: number, callback: () => void): () => void
}

type Handler = (...args: readonly unknown[]) => void

const NS_PER_MS = 1e6
const DELAY_MS_MAX = 2 ** 31 - 1

/** A timer, as Node's `Timeout`. */
export class VirtualTimeout {
  readonly #timers: VirtualTimers
  readonly #owner: TimerOwner
  readonly #run: () => void
  readonly #delayNs: number
  readonly #repeats: boolean
  readonly #id: number
  #cancel: (() => void) | null = null
  #isReferenced = true

  constructor(
    timers: VirtualTimers,
    id: number,
    run: () => void,
    delayNs: number,
    repeats: boolean,
  ) {
    this.#timers = timers
    this.#owner = timers.owner()
    this.#id = id
    this.#run = run
    this.#delayNs = delayNs
    this.#repeats = repeats
    this.#arm()
  }

  ref(): this {
    this.#isReferenced = true
    return this
  }

  unref(): this {
    this.#isReferenced = false
    return this
  }

  hasRef(): boolean {
    return this.#isReferenced
  }

  refresh(): this {
    this.#cancel?.()
    this.#arm()
    return this
  }

  close(): this {
    this.#cancel?.()
    this.#cancel = null
    this.#timers.forget(this.#id)
    return this
  }

  [Symbol.toPrimitive](): number {
    return this.#id
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #arm(): void {
    this.#cancel = this.#owner.after(this.#delayNs, () => this.#fire())
  }

  #fire(): void {
    if (this.#repeats) this.#arm()
    else this.close()
    this.#run()
  }
}

/** The timer functions of one thread. */
export class VirtualTimers {
  /** The owner of what is asked for now. */
  readonly owner: () => TimerOwner
  readonly #bind: (run: () => void) => () => void
  readonly #active: Map<number, VirtualTimeout> = new Map()
  #lastId = 0

  /** `bind`: has a function run in the asynchronous context of this moment. */
  constructor(owner: () => TimerOwner, bind: (run: () => void) => () => void) {
    this.owner = owner
    this.#bind = bind
    Object.defineProperty(this.setTimeout, promisify.custom, { value: this.wait })
    Object.defineProperty(this.setImmediate, promisify.custom, { value: this.waitImmediate })
  }

  readonly setTimeout = (handler: Handler, ms?: unknown, ...args: unknown[]): VirtualTimeout =>
    this.#start(handler, args, delayNs(ms), false)

  readonly setInterval = (handler: Handler, ms?: unknown, ...args: unknown[]): VirtualTimeout =>
    this.#start(handler, args, delayNs(ms), true)

  readonly setImmediate = (handler: Handler, ...args: unknown[]): VirtualTimeout =>
    this.#start(handler, args, 0, false)

  /** Takes a timer, its number, or anything else, which is no timer. */
  readonly clear = (timer: unknown): void => {
    const found = timer instanceof VirtualTimeout ? timer : this.#active.get(Number(timer))
    found?.close()
  }

  /** `timers/promises` `setTimeout`. */
  readonly wait = <T>(ms?: number, value?: T, options?: { signal?: AbortSignal }): Promise<T> =>
    this.#promise((resolve) => this.setTimeout(resolve as Handler, ms, value), options?.signal)

  /** `timers/promises` `setImmediate`. */
  readonly waitImmediate = <T>(value?: T, options?: { signal?: AbortSignal }): Promise<T> =>
    this.#promise((resolve) => this.setImmediate(resolve as Handler, value), options?.signal)

  /** `timers/promises` `setInterval`: beats that nobody took yet are counted. */
  readonly ticks = async function* <T>(
    this: VirtualTimers,
    ms?: number,
    value?: T,
    options?: { signal?: AbortSignal },
  ): AsyncGenerator<T | undefined> {
    for (;;) {
      await this.wait(ms, undefined, options)
      yield value
    }
  }

  forget(id: number): void {
    this.#active.delete(id)
  }

  #start(handler: Handler, args: readonly unknown[], ns: number, repeats: boolean): VirtualTimeout {
    if (typeof handler !== 'function') {
      throw new TypeError('The "callback" argument must be of type function.')
    }
    this.#lastId += 1
    const run = this.#bind(() => handler(...args))
    const timeout = new VirtualTimeout(this, this.#lastId, run, ns, repeats)
    this.#active.set(this.#lastId, timeout)
    return timeout
  }

  #promise<T>(
    start: (resolve: (value: T) => void) => VirtualTimeout,
    signal?: AbortSignal,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    if (signal?.aborted === true) return Promise.reject(abortError(signal))
    const timer = start(resolve)
    const onAbort = (): void => {
      timer.close()
      reject(abortError(signal!))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    return promise.finally(() => signal?.removeEventListener('abort', onAbort))
  }
}

function abortError(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' })
}

/** As Node takes delays: what is not from 1 to 2^31 - 1 milliseconds is 1. */
function delayNs(ms: unknown): number {
  const number = Number(ms)
  const delay = number >= 1 && number <= DELAY_MS_MAX ? Math.trunc(number) : 1
  return delay * NS_PER_MS
}
