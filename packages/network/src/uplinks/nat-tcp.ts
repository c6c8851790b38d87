// A guest's connection to the world: its TCP ends here, and a socket of the host's goes on. Bytes wait at either end as long as the other has no
// room, a reader's pace being its own.

import { formatIpv4, type TcpConnection } from '@guestyard/tcpip'

import type { HostSockets, HostTcp, HostTcpEvents } from './host-sockets.ts'

/** Between a connection and a socket, within one call: nobody keeps it. */
const PIECE = new Uint8Array(65_536)

/** On the switch's thread. */
export class NatTcp implements HostTcpEvents {
  readonly #connection: TcpConnection
  readonly #socket: HostTcp
  readonly #onOver: () => void
  /** Bytes of the host's that the guest has no room for. */
  #left: Uint8Array | null = null
  #isOpen = false
  #hasEnded = false
  #isOver = false
  /** The host's socket is closed. */
  #isGone = false
  /** The host's socket has no room. */
  #isFull = false
  #hasFinished = false

  /** `address`: whom the host connects to. */
  constructor(
    connection: TcpConnection,
    sockets: HostSockets,
    address: number,
    onOver: () => void,
  ) {
    this.#connection = connection
    this.#onOver = onOver
    connection.onChange = () => this.#pump()
    this.#socket = sockets.connect(formatIpv4(address), connection.localPort, this)
  }

  onOpen(): void {
    this.#isOpen = true
    this.#pump()
  }

  onData(bytes: Uint8Array): void {
    const written = this.#connection.write(bytes)
    if (written === bytes.length) return
    this.#left = bytes.slice(written)
    this.#socket.setReading(false)
  }

  onDrain(): void {
    this.#isFull = false
    this.#pump()
  }

  onEnd(): void {
    this.#hasEnded = true
    this.#pump()
  }

  onClose(isClean: boolean): void {
    if (this.#isOver) return
    this.#isGone = true
    if (!isClean) {
      this.#over()
      return this.#connection.abort()
    }
    // What is left is still the guest's to read.
    this.#hasEnded = true
    this.#pump()
  }

  /** Gives it up at both ends. */
  abort(): void {
    if (this.#isOver) return
    this.#over()
    this.#socket.destroy()
    this.#connection.abort()
  }

  #pump(): void {
    const connection = this.#connection
    if (this.#isOver) return
    if (connection.end !== null && connection.end !== 'finished') {
      this.#socket.destroy()
      return this.#over()
    }
    if (this.#left !== null) this.#pass()
    if (this.#hasEnded && this.#left === null) {
      connection.finish()
      if (this.#isGone) return this.#over()
    }
    if (!this.#isOpen || this.#isGone) return
    while (!this.#isFull && connection.readableBytes > 0) {
      const read = connection.read(PIECE)
      this.#isFull = !this.#socket.write(PIECE.subarray(0, read))
    }
    if (connection.readableBytes > 0 || !connection.isReadFinished || this.#hasFinished) return
    this.#hasFinished = true
    this.#socket.end()
  }

  #pass(): void {
    const written = this.#connection.write(this.#left!)
    this.#left = written < this.#left!.length ? this.#left!.subarray(written) : null
    if (this.#left === null) this.#socket.setReading(true)
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onOver()
  }
}
