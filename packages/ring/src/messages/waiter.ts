/** Options of every operation that can wait. */
export interface WaitOptions {
  /** Ends the waiting; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** A promise somebody waits for, settled once, and its place in the queue that holds it. */
export class Waiter<T> {
  readonly promise: Promise<T>
  readonly #resolve: (value: T) => void
  readonly #reject: (reason: unknown) => void
  readonly #queue: Set<this>
  readonly #signal: AbortSignal | undefined
  readonly #onAbort: (() => void) | undefined

  /** Joins the end of `queue`; `afterAbort` runs when the signal took it out again. */
  constructor(queue: Set<Waiter<T>>, signal: AbortSignal | undefined, afterAbort: () => void) {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.promise = promise
    this.#resolve = resolve
    this.#reject = reject
    this.#queue = queue as Set<this>
    this.#queue.add(this)
    this.#signal = signal
    if (signal === undefined) {
      this.#onAbort = undefined
      return
    }
    this.#onAbort = (): void => {
      this.reject(signal.reason)
      afterAbort()
    }
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  resolve(value: T): void {
    this.#leave()
    this.#resolve(value)
  }

  reject(reason: unknown): void {
    this.#leave()
    this.#reject(reason)
  }

  #leave(): void {
    this.#queue.delete(this)
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort)
  }
}

/** A message that waits for room. `started`: its bytes are on their way and cannot be called back. */
export class SendWaiter<T> extends Waiter<void> {
  readonly value: T
  started = false

  constructor(
    queue: Set<SendWaiter<T>>,
    value: T,
    signal: AbortSignal | undefined,
    afterAbort: () => void,
  ) {
    super(queue, signal, afterAbort)
    this.value = value
  }
}
