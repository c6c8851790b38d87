// Comlink over a channel of typed objects, instead of a MessagePort. Calls and results travel in the ring; what
// only a MessagePort can carry (Comlink.proxy, ports, streams) goes through a side port, if there is one, and a
// mark in the ring keeps its place in the order.

import { ChannelError } from './messages/channel-error.ts'
import type { Channel } from './messages/channel.ts'

const SIDE_MARK = 'guestyard-side-message'
/**
 * Messages that may wait behind one that is expected from the side port; and messages of the side port that may
 * wait for their place in the ring.
 */
const HELD_MAX = 4096
const REQUESTS: ReadonlySet<unknown> = new Set([
  'GET',
  'SET',
  'APPLY',
  'CONSTRUCT',
  'ENDPOINT',
  'RELEASE',
])

/** Errors that concern one message only. */
const REFUSALS: ReadonlySet<string> = new Set(['not-encodable', 'message-too-big'])

/** One end of a MessageChannel whose other end the peer's endpoint has. A MessagePort of Node or of a browser. */
export interface SidePort {
  postMessage(message: unknown, transfer: unknown[]): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  start(): void
  close(): void
}

export interface ComlinkEndpointOptions {
  /** Carries what a ring cannot: proxies, ports, transferred streams. Both ends need one, or neither. */
  readonly sidePort?: SidePort | undefined
}

/** What `Comlink.wrap` and `Comlink.expose` take. */
export interface ComlinkEndpoint {
  postMessage(message: unknown, transfer?: readonly unknown[]): void
  addEventListener(type: string, listener: unknown): void
  removeEventListener(type: string, listener: unknown): void
  start(): void
}

/**
 * An endpoint over a channel made by `openMessages`; the endpoint reads the channel from then on, so nobody else
 * may. Use it for `expose`, for `wrap`, or for both.
 *
 * Values travel as the channel carries them (see `openMessages`). Transferred ArrayBuffers are copied, and
 * detached at the sender as usual. Anything else that is transferred, `Comlink.proxy` included, needs `sidePort`:
 * without it the call rejects with a ChannelError. When the channel ends, every call under way rejects.
 */
export function comlinkEndpoint(
  channel: Channel<unknown, unknown>,
  options: ComlinkEndpointOptions = {},
): ComlinkEndpoint {
  return new RingEndpoint(channel, options.sidePort)
}

interface HeldMessage {
  readonly sideNumber: number
  message: unknown
  here: boolean
}

class RingEndpoint implements ComlinkEndpoint {
  readonly #channel: Channel<unknown, unknown>
  readonly #sidePort: SidePort | undefined
  readonly #listeners: Set<unknown> = new Set()
  /** Ids of calls that wait for their answer. */
  readonly #calls: Set<unknown> = new Set()
  readonly #held: HeldMessage[] = []
  readonly #early: Map<number, unknown> = new Map()
  #sideNumber = 0
  #started = false
  #over: ChannelError | undefined = undefined

  constructor(channel: Channel<unknown, unknown>, sidePort: SidePort | undefined) {
    this.#channel = channel
    this.#sidePort = sidePort
  }

  postMessage(message: unknown, transfer: readonly unknown[] = []): void {
    const type = isRecord(message) ? message['type'] : undefined
    const isCall = REQUESTS.has(type)
    try {
      if (this.#over !== undefined) throw this.#over
      this.#post(message, transfer)
    } catch (error) {
      // An answer, or a release by the garbage collector, finds nobody to hear that the channel is over. A value
      // that cannot be sent is different: Comlink answers with an error instead.
      const refused = error instanceof ChannelError && REFUSALS.has(error.code)
      if (refused || (isCall && type !== 'RELEASE')) throw error
      return
    }
    if (isCall && isRecord(message)) this.#calls.add(message['id'])
  }

  addEventListener(type: string, listener: unknown): void {
    if (type !== 'message') return
    this.#listeners.add(listener)
    this.start()
  }

  removeEventListener(_type: string, listener: unknown): void {
    this.#listeners.delete(listener)
  }

  start(): void {
    if (this.#started) return
    this.#started = true
    this.#sidePort?.addEventListener('message', (event) => this.#receiveAside(event.data))
    this.#sidePort?.start()
    void this.#read()
  }

  #post(message: unknown, transfer: readonly unknown[]): void {
    if (transfer.length === 0) this.#send(message)
    else if (transfer.every((item) => item instanceof ArrayBuffer)) {
      this.#send(structuredClone(message, { transfer: transfer as ArrayBuffer[] }))
    } else this.#sendAside(message, transfer)
  }

  #send(message: unknown): void {
    if (this.#channel.trySend(message)) return
    // No room: the caller is promised a snapshot of its values, and the message waits for its turn.
    const later = this.#channel.send(structuredClone(message))
    later.catch((error: unknown) => this.#finish(asChannelError(error)))
  }

  #sendAside(message: unknown, transfer: readonly unknown[]): void {
    const port = this.#sidePort
    if (port === undefined) {
      for (const item of transfer) closePort(item)
      throw new ChannelError(
        'not-encodable',
        'a ring cannot carry this Comlink value (Comlink.proxy, or a transferred port or stream): ' +
          'give both ends of comlinkEndpoint a sidePort',
      )
    }
    this.#sideNumber++
    port.postMessage({ sideNumber: this.#sideNumber, message }, [...transfer])
    this.#send({ [SIDE_MARK]: this.#sideNumber })
  }

  async #read(): Promise<void> {
    try {
      for await (const message of this.#channel) this.#receive(message)
      this.#finish(new ChannelError('peer-closed', 'the channel under this Comlink endpoint ended'))
    } catch (error) {
      this.#finish(asChannelError(error))
    }
  }

  #receive(message: unknown): void {
    const sideNumber = isRecord(message) ? message[SIDE_MARK] : undefined
    if (typeof sideNumber === 'number') {
      const here = this.#early.has(sideNumber)
      this.#held.push({ sideNumber, message: this.#early.get(sideNumber), here })
      this.#early.delete(sideNumber)
    } else if (this.#held.length > 0) this.#held.push({ sideNumber: 0, message, here: true })
    else this.#dispatch(message)
    if (this.#held.length > HELD_MAX) this.#channel.fail('a side message never came')
    this.#releaseHeld()
  }

  #receiveAside(data: unknown): void {
    if (this.#over !== undefined) return
    if (!isRecord(data) || typeof data['sideNumber'] !== 'number') return
    const { sideNumber, message } = data
    const held = this.#held.find((entry) => entry.sideNumber === sideNumber)
    if (held === undefined) {
      this.#early.set(data['sideNumber'], message)
      if (this.#early.size > HELD_MAX) this.#failAside()
    } else {
      held.message = message
      held.here = true
      this.#releaseHeld()
    }
  }

  /** The peer sends aside what it never gives a place in the ring. */
  #failAside(): void {
    const message = 'side messages without their place in the ring'
    this.#channel.fail(message)
    this.#finish(new ChannelError('failed', message))
  }

  #releaseHeld(): void {
    while (this.#held[0]?.here === true) this.#dispatch(this.#held.shift()?.message)
  }

  #dispatch(message: unknown): void {
    if (isRecord(message) && !REQUESTS.has(message['type'])) this.#calls.delete(message['id'])
    const event = { data: message, origin: '' }
    for (const listener of this.#listeners) {
      if (typeof listener === 'function') listener(event)
      else if (isRecord(listener) && typeof listener['handleEvent'] === 'function') {
        listener['handleEvent'](event)
      }
    }
  }

  /** Answers every call under way with the error, as the peer would answer a call that threw. */
  #finish(error: ChannelError): void {
    if (this.#over !== undefined) return
    this.#over = error
    this.#sidePort?.close()
    this.#early.clear()
    const { name, message } = error
    for (const id of this.#calls) {
      const value = { isError: true, value: { name, message, stack: error.stack } }
      this.#dispatch({ id, type: 'HANDLER', name: 'throw', value })
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function closePort(item: unknown): void {
  if (isRecord(item) && typeof item['close'] === 'function') item['close']()
}

function asChannelError(error: unknown): ChannelError {
  if (error instanceof ChannelError) return error
  return new ChannelError('failed', String(error), { cause: error })
}
