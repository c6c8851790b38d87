/** Events that nobody took yet; more are dropped and counted. */
const EVENT_STREAM_MAX = 1024

/**
 * Events of a device as a program reads them: `for await`, one reader at a time, bounded. Pushed from the
 * kernel's poll, read by the program, both on the VP's thread.
 */
export class EventStream<T> implements AsyncIterable<T> {
  readonly #queue: T[] = []
  #waiting: PromiseWithResolvers<void> | null = null
  #ended = false
  /** Events that found the stream full. */
  dropped = 0

  push(event: T): void {
    if (this.#ended) return
    if (this.#queue.length >= EVENT_STREAM_MAX) {
      this.dropped += 1
      return
    }
    this.#queue.push(event)
    this.#wake()
  }

  /** No more events; readers get what is queued, then the end. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const event = this.#queue.shift()
      if (event !== undefined) {
        yield event
        continue
      }
      if (this.#ended) return
      this.#waiting ??= Promise.withResolvers()
      await this.#waiting.promise
    }
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.resolve()
  }
}
