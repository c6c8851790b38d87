// A TCP connection with promises around it. The stack calls `onChange` from a poll; whoever waits looks again.

import { Duplex } from 'node:stream'

import { formatIpv4, type TcpConnection } from '@guestyard/tcpip'

import type { GuestSocket, SocketEnd } from '../api/net.ts'

/** Sends what a call left in the stack. */
export interface Flusher {
  flush(): void
}

/** Bytes of a read at most. */
const READ_BYTES = 64 * 1024

/** VP's thread only. */
export class TcpSocket implements GuestSocket {
  readonly ended: Promise<SocketEnd>
  /** Resolves when the handshake is through; rejects when it fails. */
  readonly opened: Promise<void>
  readonly #connection: TcpConnection
  readonly #interface: Flusher
  readonly #over = Promise.withResolvers<SocketEnd>()
  #change = Promise.withResolvers<void>()

  constructor(connection: TcpConnection, owner: Flusher) {
    this.#connection = connection
    this.#interface = owner
    this.ended = this.#over.promise
    connection.onChange = () => this.#changed()
    this.opened = this.#open()
    // Whoever connects awaits it; nobody else need.
    this.opened.catch(() => {})
  }

  get localPort(): number {
    return this.#connection.localPort
  }

  get remoteAddress(): string {
    return formatIpv4(this.#connection.remote)
  }

  get remotePort(): number {
    return this.#connection.remotePort
  }

  async read(): Promise<Uint8Array | null> {
    const connection = this.#connection
    for (;;) {
      const { readableBytes } = connection
      if (readableBytes > 0) {
        const bytes = new Uint8Array(Math.min(readableBytes, READ_BYTES))
        connection.read(bytes)
        this.#interface.flush()
        return bytes
      }
      if (connection.end !== null && connection.end !== 'finished') throw this.#broken()
      if (connection.isReadFinished) return null
      await this.#change.promise
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    const connection = this.#connection
    let written = 0
    while (written < bytes.length) {
      const { state } = connection
      if (state !== 'established' && state !== 'close-wait') throw this.#broken()
      const taken = connection.write(bytes.subarray(written))
      written += taken
      if (taken > 0) this.#interface.flush()
      else await this.#change.promise
    }
  }

  end(): void {
    this.#connection.finish()
    this.#interface.flush()
  }

  close(): void {
    this.#connection.close()
    this.#interface.flush()
  }

  abort(): void {
    this.#connection.abort()
    this.#interface.flush()
  }

  stream(): Duplex {
    let isReading = false
    const pump = async (stream: Duplex): Promise<void> => {
      if (isReading) return
      isReading = true
      try {
        while (stream.push(await this.read()));
      } catch (error) {
        stream.destroy(error as Error)
      } finally {
        isReading = false
      }
    }
    return new Duplex({
      allowHalfOpen: true,
      read() {
        void pump(this)
      },
      write: (chunk: Uint8Array, _encoding, done) => void this.#writeThen(chunk, done),
      final: (done) => {
        this.end()
        done()
      },
      destroy: (error, done) => {
        if (error === null) this.close()
        else this.abort()
        done(error)
      },
    })
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const bytes = await this.read()
      if (bytes === null) return
      yield bytes
    }
  }

  async #open(): Promise<void> {
    const connection = this.#connection
    while (connection.state === 'syn-sent' || connection.state === 'syn-received') {
      await this.#change.promise
    }
    if (connection.end !== null && connection.end !== 'finished') throw this.#broken()
  }

  async #writeThen(chunk: Uint8Array, done: (error?: Error) => void): Promise<void> {
    try {
      await this.write(chunk)
    } catch (error) {
      return done(error as Error)
    }
    done()
  }

  #changed(): void {
    const change = this.#change
    this.#change = Promise.withResolvers()
    change.resolve()
    const { end } = this.#connection
    if (end !== null) this.#over.resolve(end)
  }

  #broken(): Error {
    const { end } = this.#connection
    const why = end === null || end === 'finished' ? 'it has finished' : REASONS[end]
    return new Error(`${this.remoteAddress}:${this.remotePort}: ${why}`)
  }
}

const REASONS = {
  reset: 'the connection was reset',
  timeout: 'no answer',
  refused: 'the connection was refused',
  aborted: 'the connection was aborted',
} as const satisfies Record<Exclude<SocketEnd, 'finished'>, string>
