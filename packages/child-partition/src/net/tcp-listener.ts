// A port that is listened on: connections that wait for the program.

import type { TcpAcceptor, TcpConnection } from '@guestyard/tcpip'

import type { GuestListener, GuestSocket } from '../api/net.ts'
import { TcpSocket, type Flusher } from './tcp-socket.ts'

/** Connections that are open and that nobody has taken. */
const WAITING_MAX = 128

/** VP's thread only. */
export class TcpListener implements GuestListener, TcpAcceptor {
  readonly port: number
  readonly #interface: Flusher
  readonly #onClose: () => void
  readonly #waiting: TcpSocket[] = []
  #taker: PromiseWithResolvers<void> | null = null
  #isClosed = false

  constructor(port: number, owner: Flusher, onClose: () => void) {
    this.port = port
    this.#interface = owner
    this.#onClose = onClose
  }

  onConnection(connection: TcpConnection): void {
    if (this.#waiting.length >= WAITING_MAX) return connection.abort()
    this.#waiting.push(new TcpSocket(connection, this.#interface))
    this.#wake()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose()
    for (const socket of this.#waiting.splice(0)) socket.abort()
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GuestSocket> {
    for (;;) {
      const socket = this.#waiting.shift()
      if (socket !== undefined) {
        yield socket
        continue
      }
      if (this.#isClosed) return
      this.#taker ??= Promise.withResolvers()
      await this.#taker.promise
    }
  }

  #wake(): void {
    const taker = this.#taker
    this.#taker = null
    taker?.resolve()
  }
}
