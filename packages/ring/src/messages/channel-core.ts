import { ChannelError } from './channel-error.ts'
import type { ChannelLink } from './channel-link.ts'
import { EndState } from './channel-words.ts'
import { holdEventLoop, releaseEventLoop, yieldToEventLoop } from './event-loop.ts'
import { NOTHING } from './receiver.ts'
import type { SendWaiter, Waiter } from './waiter.ts'

/** Rounds of `run` that found work, before timers and I/O of this thread get a turn. */
const ROUNDS_PER_YIELD = 64
/** Spins in a row that found nothing, before spinning is left out most of the time. */
const FRUITLESS_SPINS = 4
const SPIN_RETRY_EVERY = 16
const LOOKS_PER_CLOCK_READ = 16

/** Leaves the processor to its other hardware thread for a moment, where the platform can say so. */
const pause: () => void = (Atomics as { pause?: () => void }).pause ?? ((): void => {})

/** Channels of this thread that wait. When there are several, spinning for one would hold up the others. */
let waitingChannels = 0

/**
 * The state of one end, the promises that wait on it, and the loop that serves them.
 *
 * Sending:  open → ending (the end frame waits behind queued messages) → ended → closed
 * Receiving: until the end frame, `close`, or the peer's state says that nothing follows.
 * Either may leave for failed at any time, with `error` set: a fault, `fail()`, or the peer's failure.
 */
export class ChannelCore<Sent, Received> {
  readonly link: ChannelLink<Sent, Received>
  readonly sends: Set<SendWaiter<Sent>> = new Set()
  readonly receives: Set<Waiter<Received | undefined>> = new Set()
  readonly ends: Set<Waiter<void>> = new Set()
  readonly wake: () => void
  state: 'open' | 'ending' | 'ended' | 'closed' | 'failed' = 'open'
  reading = true
  error: ChannelError | undefined = undefined
  sleeps = 0
  #peerLost: string | undefined = undefined
  #peerReads = true
  #running = false
  #asleep = false
  #fruitlessSpins = 0
  #spinSkips = 0

  constructor(link: ChannelLink<Sent, Received>) {
    this.link = link
    this.wake = (): void => {
      if (this.#asleep) this.link.ownDoorbell.ring()
    }
    link.receiver.disarm()
  }

  get ended(): boolean {
    return !this.reading || this.link.receiver.ended
  }

  /** True when a message may not be taken now: another one, or an earlier sender, comes first. */
  get mustQueue(): boolean {
    return this.link.sender.pending || this.sends.size > 0
  }

  assertMaySend(): void {
    if (this.error !== undefined) throw this.error
    if (this.state !== 'open') throw new ChannelError('closed', 'this end of the channel is closed')
    if (this.link.words.peerState() >= EndState.closing) this.#peerReads = false
    if (!this.#peerReads) throw peerClosed()
  }

  /** Takes a message that may be taken now; true when all of it is in the ring. A fault ends the channel and throws. */
  accept(value: Sent): boolean {
    try {
      return this.link.sender.accept(value)
    } catch (error) {
      throw this.#judge(error)
    }
  }

  /** The next message or NOTHING. Throws what ended the channel. */
  take(): Received | typeof NOTHING {
    if (this.error !== undefined) throw this.error
    if (!this.reading) return NOTHING
    try {
      return this.link.receiver.take()
    } catch (error) {
      throw this.#judge(error)
    }
  }

  /** Does what can be done now: deliver, send, notice what the peer did. True when it did something. */
  progress(): boolean {
    if (this.error !== undefined || this.state === 'closed') return false
    try {
      // ORDER: the peer publishes its last packets before its state; so the state is looked at first.
      const peer = this.#peerState()
      if (peer >= EndState.closing) this.#peerReads = false
      const delivered = this.#deliver()
      const sent = this.#sendQueued()
      const over = peer >= EndState.closed && this.#peerWritesNoMore(peer)
      return delivered || sent || over
    } catch (error) {
      const judged = this.#judge(error)
      if (this.error === undefined) throw judged
      return true
    }
  }

  /** Starts serving the waiters, unless that goes on already. */
  run(): void {
    if (this.#running) {
      this.wake()
      return
    }
    this.#running = true
    void this.#serve()
  }

  /**
   * One blocking wait, for incoming messages too if `receiving`. False when `deadlineMs` (of performance.now)
   * has passed.
   */
  sleepBlocking(sample: number, receiving: boolean, deadlineMs: number): boolean {
    if (this.#spin(sample, receiving)) return true
    const leftMs = deadlineMs - performance.now()
    if (leftMs <= 0) return false
    if (!this.#arm(receiving)) {
      this.sleeps++
      try {
        this.link.ownDoorbell.waitBlocking(sample, leftMs)
      } catch (error) {
        throw new ChannelError('may-not-block', 'this thread may not block: use the async form', {
          cause: error,
        })
      } finally {
        this.#disarm()
      }
    } else this.#disarm()
    return true
  }

  /** Publishes this end's state and wakes the peer to see it. */
  tell(state: EndState): void {
    this.link.words.publish(state)
    this.link.peerDoorbell.ring()
  }

  peerLost(reason: string): void {
    this.#peerLost ??= reason
    this.progress()
    this.wake()
  }

  settleReceives(): void {
    for (const waiter of this.receives) waiter.resolve(undefined)
    this.wake()
  }

  /** The channel is over on this side: everybody who waits here hears `error`. */
  giveUp(error: ChannelError): void {
    this.error = error
    this.state = 'failed'
    this.reading = false
    for (const waiter of this.receives) waiter.reject(error)
    for (const waiter of this.sends) waiter.reject(error)
    for (const waiter of this.ends) waiter.reject(error)
    this.wake()
  }

  /** A peer whose thread is gone has failed, unless it had closed its end. */
  #peerState(): EndState {
    const state = this.link.words.peerState()
    return this.#peerLost === undefined || state === EndState.closed ? state : EndState.failed
  }

  /** What a thrown thing means: a refused message only concerns its sender, anything else ends the channel. */
  #judge(error: unknown): unknown {
    if (!(error instanceof ChannelError)) return error
    if (error.code !== 'ring-fault' && error.code !== 'bad-frame') return error
    if (this.error !== undefined) return this.error
    this.giveUp(error)
    // The peer is not to blame for what it reads next, so it sees a plain close.
    this.tell(EndState.closed)
    return error
  }

  #deliver(): boolean {
    let any = false
    for (const waiter of this.receives) {
      const taken = this.link.receiver.take()
      if (taken === NOTHING) break
      waiter.resolve(taken)
      any = true
    }
    if (this.link.receiver.ended && this.receives.size > 0) {
      this.settleReceives()
      return true
    }
    return any
  }

  #sendQueued(): boolean {
    const { sender } = this.link
    if (!this.#peerReads) return this.#refuseQueued()
    let any = false
    if (sender.pending) {
      if (!sender.advance()) return false
      any = true
    }
    for (const waiter of this.sends) {
      any = true
      if (!waiter.started && !this.#start(waiter)) break
      if (!sender.pending) waiter.resolve()
    }
    if (this.state === 'ending' && this.sends.size === 0 && !sender.pending) {
      if (!sender.ended && !sender.acceptEnd()) return any
      this.#sendingEnded()
      any = true
    }
    sender.flush()
    return any
  }

  /** Encodes a queued message; true when all of it is in the ring. */
  #start(waiter: SendWaiter<Sent>): boolean {
    try {
      waiter.started = true
      return this.link.sender.accept(waiter.value)
    } catch (error) {
      this.#judge(error)
      if (this.error !== undefined) throw this.error
      waiter.reject(error)
      return true
    }
  }

  #refuseQueued(): boolean {
    const any = this.sends.size > 0 || this.state === 'ending'
    for (const waiter of this.sends) waiter.reject(peerClosed())
    this.link.sender.drop()
    if (this.state === 'ending') this.#sendingEnded()
    return any
  }

  #sendingEnded(): void {
    this.link.sender.flush()
    this.state = 'ended'
    for (const waiter of this.ends) waiter.resolve(undefined)
  }

  /** All the peer ever wrote is in the ring; once that is received, receiving is over. */
  #peerWritesNoMore(peer: EndState): boolean {
    const { receiver } = this.link
    if (receiver.ended || !this.reading || receiver.refill()) return false
    if (peer !== EndState.failed) {
      receiver.ended = true
      this.settleReceives()
      return true
    }
    const reason = this.#peerLost ?? this.link.words.peerReason()
    this.giveUp(new ChannelError('peer-failed', `the other end failed: ${reason}`))
    return true
  }

  get #needed(): boolean {
    if (this.error !== undefined || this.state === 'closed') return false
    return this.link.sender.pending || this.#awaited
  }

  get #awaited(): boolean {
    return this.sends.size > 0 || this.receives.size > 0 || this.state === 'ending'
  }

  async #serve(): Promise<void> {
    waitingChannels++
    let rounds = 0
    while (this.#needed) {
      const sample = this.link.ownDoorbell.sample()
      const worked = this.progress()
      if (!this.#needed) break
      const receiving = this.receives.size > 0
      if (worked || this.#spin(sample, receiving)) {
        rounds++
        if (rounds % ROUNDS_PER_YIELD === 0) await yieldToEventLoop()
        continue
      }
      if (!this.#arm(receiving)) await this.#sleep(sample)
      this.#disarm()
    }
    waitingChannels--
    this.#running = false
  }

  async #sleep(sample: number): Promise<void> {
    const hold = this.#awaited
    this.#asleep = true
    this.sleeps++
    if (hold) holdEventLoop()
    try {
      await this.link.ownDoorbell.waitAsync(sample)
    } finally {
      if (hold) releaseEventLoop()
      this.#asleep = false
    }
  }

  /** About to sleep: asks the peer for its signals. True when there is work after all. */
  #arm(receiving: boolean): boolean {
    if (this.error !== undefined) return true
    const { sender, receiver } = this.link
    const mayRead = receiving && receiver.arm()
    const mayWrite = sender.pending && this.#peerReads && sender.arm()
    return mayRead || mayWrite
  }

  #disarm(): void {
    if (this.error !== undefined) return
    this.link.receiver.disarm()
    this.link.sender.disarm()
  }

  /** Looks for work for a short while; true when there is some. */
  #spin(sample: number, receiving: boolean): boolean {
    const { spinMs, ownDoorbell } = this.link
    if (spinMs === 0 || waitingChannels > 1 || this.error !== undefined) return false
    if (this.#fruitlessSpins >= FRUITLESS_SPINS && ++this.#spinSkips % SPIN_RETRY_EVERY !== 0) {
      return false
    }
    const until = performance.now() + spinMs
    do {
      for (let look = 0; look < LOOKS_PER_CLOCK_READ; look++) {
        if (this.#hasWork(receiving) || ownDoorbell.sample() !== sample) {
          this.#fruitlessSpins = 0
          return true
        }
        pause()
      }
    } while (performance.now() < until)
    this.#fruitlessSpins++
    return false
  }

  #hasWork(receiving: boolean): boolean {
    const { sender, receiver } = this.link
    try {
      return (receiving && receiver.refill()) || (sender.pending && sender.hasRoom())
    } catch (error) {
      const judged = this.#judge(error)
      if (this.error === undefined) throw judged
      return true
    }
  }
}

function peerClosed(): ChannelError {
  return new ChannelError('peer-closed', 'the other end of the channel is closed')
}
