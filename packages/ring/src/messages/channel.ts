import { ChannelCore } from './channel-core.ts'
import { ChannelError } from './channel-error.ts'
import type { ChannelLink } from './channel-link.ts'
import { EndState } from './channel-words.ts'
import { yieldToEventLoop } from './event-loop.ts'
import { NOTHING } from './receiver.ts'
import { SendWaiter, Waiter, type WaitOptions } from './waiter.ts'

/** Operations in a row that need not wait, before timers and I/O of this thread get a turn. */
const OPERATIONS_PER_YIELD = 1024
const BATCH_MESSAGES = 256
const DONE: Promise<void> = Promise.resolve()

/** What an end has done so far. Plain data. */
export interface ChannelInspection {
  readonly state: 'open' | 'ending' | 'ended' | 'closed' | 'failed'
  readonly peerEnded: boolean
  readonly messagesSent: number
  readonly messagesReceived: number
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Times this end waited for room in the outgoing ring. */
  readonly fullWaits: number
  /** Times this end slept. */
  readonly sleeps: number
  /** Promises of this end that are not settled. */
  readonly waiting: number
}

/**
 * One end of a channel: messages out and messages in, each direction in order and with back-pressure. Made by
 * `openBytes` and `openMessages`; belongs to the thread that opened it.
 *
 * `send` encodes a value when its turn comes, which is at once while there is room: do not change it before the
 * promise resolves. Errors are `ChannelError`s, or the reason of the caller's AbortSignal.
 */
export class Channel<Sent, Received> implements AsyncIterable<Received>, AsyncDisposable {
  readonly #core: ChannelCore<Sent, Received>
  #operations = 0

  /** For the open functions only: `link` was claimed for this thread. */
  constructor(link: ChannelLink<Sent, Received>) {
    this.#core = new ChannelCore(link)
  }

  /** True once nothing will be received any more: the peer ended, or this end was closed. */
  get ended(): boolean {
    return this.#core.ended
  }

  /** Sends if there is room now, and says whether it did. Throws for a value, or an end, that cannot send at all. */
  trySend(value: Sent): boolean {
    const core = this.#core
    core.assertMaySend()
    if (core.mustQueue) return false
    if (!core.accept(value)) core.run()
    return true
  }

  /** Sends; the promise resolves when all of the message is in the ring. Aborted before its turn, it is never sent. */
  send(value: Sent, options?: WaitOptions): Promise<void> {
    const core = this.#core
    const signal = options?.signal
    try {
      signal?.throwIfAborted()
      core.assertMaySend()
      const started = !core.mustQueue
      if (started && core.accept(value)) return this.#paced()
      const waiter = new SendWaiter(core.sends, value, signal, core.wake)
      waiter.started = started
      core.run()
      return waiter.promise
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Sends each in order and publishes them together; resolves when all are in the ring. */
  async sendBatch(values: Iterable<Sent>, options?: WaitOptions): Promise<void> {
    options?.signal?.throwIfAborted()
    for (const value of values) {
      if (!this.trySend(value)) await this.send(value, options)
    }
    this.flush()
  }

  /**
   * Sends, blocking this thread while there is no room; workers only. False when `timeoutMs` passed before
   * the message's turn: then it was not sent.
   */
  sendBlocking(value: Sent, timeoutMs: number = Infinity): boolean {
    const core = this.#core
    core.assertMaySend()
    if (core.mustQueue) {
      const deadline = performance.now() + timeoutMs
      while (core.mustQueue) if (!this.#waitForSender(deadline)) return false
    }
    core.accept(value)
    while (core.link.sender.pending) this.#waitForSender(Infinity)
    this.flush()
    return true
  }

  /** Publishes at once what this turn of the event loop has sent. For loops that send without ever yielding. */
  flush(): void {
    if (this.#core.error === undefined) this.#core.link.sender.flush()
  }

  /** The next message if there is one now, else undefined; see `ended`. */
  tryReceive(): Received | undefined {
    const core = this.#core
    if (core.receives.size > 0) return undefined
    const taken = core.take()
    if (taken !== NOTHING) return taken
    core.progress()
    if (core.error !== undefined) throw core.error
    return undefined
  }

  /** The next message; undefined when the peer has ended and everything before that was received. */
  receive(options?: WaitOptions): Promise<Received | undefined> {
    const core = this.#core
    const signal = options?.signal
    try {
      signal?.throwIfAborted()
      if (core.receives.size === 0) {
        const taken = core.take()
        if (taken !== NOTHING) return this.#pacedValue(taken)
        if (core.ended) return Promise.resolve(undefined)
      }
      const waiter = new Waiter(core.receives, signal, core.wake)
      core.run()
      return waiter.promise
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As soon as there are any, the messages there are, at most `max`; none when the peer has ended. */
  async receiveBatch(max: number, options?: WaitOptions): Promise<Received[]> {
    const batch: Received[] = []
    let next = (await this.receive(options)) as Received | undefined
    while (next !== undefined) {
      batch.push(next)
      next = batch.length < max ? this.tryReceive() : undefined
    }
    this.#operations += batch.length
    return batch
  }

  /** The next message, blocking this thread; workers only. Undefined when the peer has ended or `timeoutMs` passed. */
  receiveBlocking(timeoutMs: number = Infinity): Received | undefined {
    const core = this.#core
    const there = core.take()
    if (there !== NOTHING) return there
    const deadline = performance.now() + timeoutMs
    this.flush()
    for (;;) {
      const sample = core.link.ownDoorbell.sample()
      const taken = core.take()
      if (taken !== NOTHING) return taken
      if (core.ended) return undefined
      if (core.progress()) continue
      if (!core.sleepBlocking(sample, true, deadline)) return undefined
    }
  }

  /** Messages until the peer ends. Leaving the loop early leaves the channel open. */
  messages(options?: WaitOptions): AsyncIterableIterator<Received> {
    return new ChannelIterator(this, options)
  }

  /** Messages until the peer ends, in arrays of those that were there: the fastest way to read without blocking. */
  async *batches(
    max: number = BATCH_MESSAGES,
    options?: WaitOptions,
  ): AsyncGenerator<Received[], void, void> {
    for (;;) {
      const batch = await this.receiveBatch(max, options)
      if (batch.length === 0) return
      yield batch
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Received> {
    return new ChannelIterator(this, undefined)
  }

  /** Says that nothing more will be sent: the peer receives all that was sent, then the end. Receiving goes on. */
  async end(options?: WaitOptions): Promise<void> {
    const core = this.#core
    options?.signal?.throwIfAborted()
    if (core.state !== 'open' && core.state !== 'ending') return
    core.state = 'ending'
    const waiter = new Waiter(core.ends, options?.signal, core.wake)
    core.progress()
    core.run()
    await waiter.promise
  }

  /**
   * Closes both directions. The peer receives all that was sent, then the end; what it sends from now on is
   * dropped, and it is told so. Receives waiting here get their end at once. Resolves when all that was sent is
   * in the ring. When the signal says so first, the rest is given up and the promise rejects.
   */
  async close(options?: WaitOptions): Promise<void> {
    const core = this.#core
    core.reading = false
    core.settleReceives()
    if (core.state === 'closed' || core.state === 'failed') return
    core.tell(EndState.closing)
    try {
      await this.end(options)
    } catch (error) {
      this.fail('closed before all was sent')
      throw error
    }
    if (core.state !== 'ended') return
    core.state = 'closed'
    core.tell(EndState.closed)
    core.wake()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Gives the channel up: all that waits here is rejected, and the peer gets `reason` behind what was sent. */
  fail(reason: string): void {
    const core = this.#core
    if (core.error !== undefined || core.state === 'closed') return
    this.flush()
    core.link.words.publishFailure(reason)
    core.link.peerDoorbell.ring()
    core.giveUp(new ChannelError('failed', `the channel was given up: ${reason}`))
  }

  /** For who knows that the peer's thread is gone: what it had sent is still received, then `reason` is the error. */
  peerLost(reason: string): void {
    this.#core.peerLost(reason)
  }

  inspect(): ChannelInspection {
    const { state, sleeps, link, sends, receives, ends } = this.#core
    const { sender, receiver } = link
    return {
      state,
      peerEnded: receiver.ended,
      messagesSent: sender.messagesSent,
      messagesReceived: receiver.messagesReceived,
      bytesSent: sender.bytesSent,
      bytesReceived: receiver.bytesReceived,
      fullWaits: sender.fullWaits,
      sleeps,
      waiting: sends.size + receives.size + ends.size,
    }
  }

  #waitForSender(deadlineMs: number): boolean {
    const core = this.#core
    const sample = core.link.ownDoorbell.sample()
    const worked = core.progress()
    core.assertMaySend()
    return worked || core.sleepBlocking(sample, false, deadlineMs)
  }

  #paced(): Promise<void> {
    if (++this.#operations < OPERATIONS_PER_YIELD) return DONE
    this.#operations = 0
    return yieldToEventLoop()
  }

  #pacedValue(value: Received): Promise<Received> {
    if (++this.#operations < OPERATIONS_PER_YIELD) return Promise.resolve(value)
    this.#operations = 0
    return yieldToEventLoop().then(() => value)
  }
}

/** `for await` over a channel. */
class ChannelIterator<Received> implements AsyncIterableIterator<Received> {
  readonly #channel: Pick<Channel<unknown, Received>, 'receive' | 'tryReceive'>
  readonly #options: WaitOptions | undefined

  constructor(
    channel: Pick<Channel<unknown, Received>, 'receive' | 'tryReceive'>,
    options: WaitOptions | undefined,
  ) {
    this.#channel = channel
    this.#options = options
  }

  next(): Promise<IteratorResult<Received>> {
    const value = this.#options === undefined ? this.#channel.tryReceive() : undefined
    if (value !== undefined) return Promise.resolve({ value, done: false })
    return this.#channel.receive(this.#options).then(asResult)
  }

  return(): Promise<IteratorResult<Received>> {
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

function asResult<T>(value: T | undefined): IteratorResult<T> {
  return value === undefined ? { value: undefined, done: true } : { value, done: false }
}
