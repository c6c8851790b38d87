// Byte streams between guests, over the load device's relay.

import { RelayReceiver, RelaySender } from '@guestyard/load-device/vsc'

import type { GuestStreams, StreamWriter } from '../api/guest.ts'
import type { LoadChannels } from './load-channels.ts'
import type { OpenedChannel } from './open-channel.ts'

/** Data bytes of a stream's rings. A packet of the relay fits the smaller one, so that is not small either. */
const STREAM_RING_BYTES = 1024 * 1024
const BACK_RING_BYTES = 256 * 1024
/** Bytes of one chunk that a reader gets, at most. */
const CHUNK_BYTES = 256 * 1024

/** Resolves what waits for "something changed" and starts the next wait. */
class Edge {
  #waiting: PromiseWithResolvers<void> | null = null

  raise(): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.resolve()
  }

  wait(): Promise<void> {
    this.#waiting ??= Promise.withResolvers()
    return this.#waiting.promise
  }
}

type Ending = { readonly ok: true } | { readonly ok: false; readonly reason: string }

export class RelayStreams implements GuestStreams {
  readonly #channels: LoadChannels
  readonly #wake: () => void

  /** `wake`: a program was put on a channel outside the engine's poll. */
  constructor(channels: LoadChannels, wake: () => void) {
    this.#channels = channels
    this.#wake = wake
  }

  async send(id: number): Promise<StreamWriter> {
    const [opened] = await this.#channels.open(1, STREAM_RING_BYTES, BACK_RING_BYTES)
    const writer = new ChannelWriter(this.#channels, opened!, id)
    this.#wake()
    return writer
  }

  async *receive(id: number): AsyncGenerator<Uint8Array> {
    const [opened] = await this.#channels.open(1, BACK_RING_BYTES, STREAM_RING_BYTES)
    const edge = new Edge()
    const state: { ending: Ending | null } = { ending: null }
    const receiver = new RelayReceiver(opened!.channel, {
      streamId: id,
      onReadable: () => edge.raise(),
      onDone: (ending) => {
        state.ending = ending
        edge.raise()
      },
    })
    opened!.channel.run(receiver)
    this.#wake()
    try {
      for (;;) {
        const wait = edge.wait()
        const chunk = new Uint8Array(CHUNK_BYTES)
        const length = receiver.read(chunk, 0, CHUNK_BYTES)
        if (length > 0) {
          yield chunk.subarray(0, length)
          continue
        }
        if (state.ending !== null) {
          if (!state.ending.ok) throw new Error(`stream ${id}: ${state.ending.reason}`)
          return
        }
        await wait
      }
    } finally {
      await this.#channels.close([opened!])
    }
  }
}

class ChannelWriter implements StreamWriter {
  readonly #channels: LoadChannels
  readonly #opened: OpenedChannel
  readonly #id: number
  readonly #edge: Edge = new Edge()
  readonly #sender: RelaySender
  #ending: Ending | null = null

  constructor(channels: LoadChannels, opened: OpenedChannel, id: number) {
    this.#channels = channels
    this.#opened = opened
    this.#id = id
    this.#sender = new RelaySender(opened.channel, {
      streamId: id,
      onWritable: () => this.#edge.raise(),
      onDone: (ending) => {
        this.#ending = ending
        this.#edge.raise()
      },
    })
    opened.channel.run(this.#sender)
  }

  async write(bytes: Uint8Array): Promise<void> {
    let at = 0
    while (at < bytes.length) {
      this.#throwIfOver()
      const wait = this.#edge.wait()
      const taken = this.#sender.write(bytes, at, bytes.length - at)
      at += taken
      if (taken === 0) await wait
    }
  }

  async end(): Promise<void> {
    this.#throwIfOver()
    this.#sender.end()
    while (this.#ending === null) await this.#edge.wait()
    await this.#channels.close([this.#opened])
    if (!this.#ending.ok) throw this.#error(this.#ending.reason)
  }

  #throwIfOver(): void {
    if (this.#ending === null) return
    throw this.#error(this.#ending.ok ? 'it has ended' : this.#ending.reason)
  }

  #error(reason: string): Error {
    return new Error(`stream ${this.#id}: ${reason}`)
  }
}
