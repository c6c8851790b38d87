// A switch elsewhere, over UDP: each frame in a datagram with VXLAN's header (RFC 7348 section 5), which Wireshark knows.

import type { Frame } from '../frame.ts'
import { FRAME_MAX_BYTES, FRAME_MIN_BYTES } from '../frame.ts'
import type { SwitchPort } from '../switch/switch-port.ts'
import { UplinkQueue, taken, wholeFrame, type Uplink } from './uplink.ts'

const HEADER_BYTES = 8
const HAS_NETWORK = 0x08
const NETWORK_MAX = 0xff_ffff
const TAG_BYTES = 4

/** Datagrams to the one other end, and from it. Whoever makes one sees to it that nobody else's come. */
export interface TunnelSocket {
  /** Takes a copy; lost when it can't be sent. */
  send(bytes: Uint8Array): void
  close(): void
  /** Why nothing goes there and nothing comes, as the host says it; null: nothing is known to be wrong. */
  readonly failure: string | null
}

export interface TunnelOptions {
  /** VXLAN network identifier, 0 to 2^24-1: both ends' the same. */
  readonly network: number
  /** Opens the way; `onMessage` may be called from then on, on the switch's thread. */
  readonly open: (onMessage: (bytes: Uint8Array) => void) => TunnelSocket
}

/** On the switch's thread. */
export class Tunnel implements Uplink {
  readonly kind = 'tunnel'
  readonly #socket: TunnelSocket
  readonly #network: number
  readonly #queue: UplinkQueue = new UplinkQueue()
  readonly #bytes = new Uint8Array(HEADER_BYTES + FRAME_MAX_BYTES + TAG_BYTES)
  #ignored = 0
  #received = 0
  #isClosed = false

  /** Throws a RangeError when the network is out of range. */
  constructor({ network, open }: TunnelOptions) {
    if (!(Number.isInteger(network) && network >= 0 && network <= NETWORK_MAX)) {
      throw new RangeError(`network must be from 0 to ${NETWORK_MAX}; got ${network}`)
    }
    this.#network = network
    this.#bytes[0] = HAS_NETWORK
    new DataView(this.#bytes.buffer).setUint32(4, network << 8)
    this.#socket = open((bytes) => this.#onMessage(bytes))
  }

  attach(port: SwitchPort, wake: () => void): void {
    this.#queue.attach(port, wake)
  }

  deliver(frame: Frame, tag: number): number {
    const whole = wholeFrame(frame, tag, this.#bytes.subarray(HEADER_BYTES))
    if (whole === null || this.#isClosed || this.#socket.failure !== null) return taken(false)
    this.#socket.send(this.#bytes.subarray(0, HEADER_BYTES + whole.length))
    return taken(true)
  }

  poll(nowMs: number): number {
    return this.#queue.poll(nowMs)
  }

  nextDeadlineMs(): number {
    return this.#queue.nextDeadlineMs()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#socket.close()
  }

  inspect(): Readonly<Record<string, unknown>> {
    const counts = {
      received: this.#received,
      ignored: this.#ignored,
      failure: this.#socket.failure,
    }
    return { network: this.#network, ...counts, ...this.#queue.inspect() }
  }

  #onMessage(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const frameBytes = bytes.length - HEADER_BYTES
    const isFrame = frameBytes >= FRAME_MIN_BYTES && frameBytes <= FRAME_MAX_BYTES + TAG_BYTES
    const hasNetwork = isFrame && (bytes[0]! & HAS_NETWORK) !== 0
    if (!hasNetwork || view.getUint32(4) >>> 8 !== this.#network) {
      this.#ignored += 1
      return
    }
    this.#received += 1
    this.#queue.push(bytes.subarray(HEADER_BYTES))
  }
}
