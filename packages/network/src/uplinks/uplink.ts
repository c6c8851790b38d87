// What lies beyond a switch: a port whose end is not a guest. One contract for all of them, whose suite is test/uplinks/contract.ts.

import type { Frame } from '../frame.ts'
import { NO_TAG, Frame as SwitchFrame } from '../frame.ts'
import { DropReason } from '../switch/drop-reason.ts'
import type { PortEnd, SwitchPort } from '../switch/switch-port.ts'

/** Frames that wait to go into the switch. */
const WAITING_MAX = 512
const HEAD_BYTES = 65_554

/**
 * An end of a port that is somebody else's network. On the switch's thread. It never sends within `deliver`: what it has to say waits for
 * `poll`, which its owner calls when `nextDeadlineMs` has come and after `wake`. Nothing that comes from outside makes it throw.
 */
export interface Uplink extends PortEnd {
  /** `nat`, `tunnel`, `player`: for inspection. */
  readonly kind: string
  /** Plugs it in, once. `wake`: there is something for `poll`. */
  attach(port: SwitchPort, wake: () => void): void
  /** Sends what waits into the switch; does what is due. How much that was. */
  poll(nowMs: number): number
  /** By the switch's clock; Infinity: never. */
  nextDeadlineMs(): number
  /** Lets go of all that it has outside; a second call does nothing. The port is its owner's. */
  close(): void
  /** Plain data. */
  inspect(): Readonly<Record<string, unknown>>
}

/** The way into the switch: frames wait here, few, and the rest is refused. */
export class UplinkQueue {
  readonly #waiting: Uint8Array[] = []
  readonly #frame = new SwitchFrame(HEAD_BYTES)
  #port: SwitchPort | null = null
  #wake: () => void = () => {}
  #sent = 0
  #overflowed = 0

  attach(port: SwitchPort, wake: () => void): void {
    this.#port = port
    this.#wake = wake
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Keeps a copy of a frame, a tag among its first bytes or not. False: too many wait. */
  push(bytes: Uint8Array): boolean {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#overflowed += 1
      return false
    }
    this.#waiting.push(bytes.slice())
    this.#wake()
    return true
  }

  /** Sends what waits, as far as the port's bandwidth goes. How many. */
  poll(nowMs: number): number {
    const port = this.#port
    if (port === null) return 0
    let sent = 0
    while (sent < this.#waiting.length && port.readyAtMs(nowMs) <= nowMs) {
      this.#frame.setBytes(this.#waiting[sent]!)
      this.#frame.takeTag()
      port.send(this.#frame)
      sent += 1
    }
    this.#waiting.splice(0, sent)
    this.#sent += sent
    return sent
  }

  nextDeadlineMs(): number {
    const port = this.#port
    return port === null || this.isEmpty ? Number.POSITIVE_INFINITY : port.readyAtMs(port.now())
  }

  inspect(): { sent: number; overflowed: number; waiting: number } {
    return { sent: this.#sent, overflowed: this.#overflowed, waiting: this.#waiting.length }
  }
}

/** Bytes of a delivered frame with its tag in place; null when they are more than `to` has room for. */
export function wholeFrame(frame: Frame, tag: number, to: Uint8Array): Uint8Array | null {
  const tagBytes = tag === NO_TAG ? 0 : 4
  if (frame.lengthBytes + tagBytes > to.length) return null
  const length = frame.copyBytes(to)
  if (tagBytes === 0) return to.subarray(0, length)
  to.copyWithin(16, 12, length)
  to.set([0x81, 0, tag >> 8, tag & 0xff], 12)
  return to.subarray(0, length + tagBytes)
}

/** The answer of an end that took a frame, or had no room for it. */
export function taken(isTaken: boolean): number {
  return isTaken ? DropReason.NONE : DropReason.NO_BUFFER
}
