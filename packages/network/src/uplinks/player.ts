// Plays what was captured into a switch, at the pace at which it was.

import type { PcapngPacket } from '../pcap/index.ts'
import type { SwitchPort } from '../switch/switch-port.ts'
import { UplinkQueue, taken, type Uplink } from './uplink.ts'

export interface PlayerOptions {
  readonly packets: readonly Pick<PcapngPacket, 'timeUs' | 'bytes'>[]
  /** 2: twice as fast; Infinity: as fast as the switch takes them. 1 when left out. */
  readonly speed?: number
}

const US_PER_MS = 1_000

/** On the switch's thread. */
export class Player implements Uplink {
  readonly kind = 'player'
  readonly #packets: PlayerOptions['packets']
  readonly #speed: number
  readonly #queue: UplinkQueue = new UplinkQueue()
  #port: SwitchPort | null = null
  #beganMs = 0
  #next = 0
  #heard = 0

  /** Throws a RangeError when the speed is not over 0. */
  constructor({ packets, speed = 1 }: PlayerOptions) {
    if (!(speed > 0)) throw new RangeError(`speed must be over 0; got ${speed}`)
    this.#packets = packets
    this.#speed = speed
  }

  attach(port: SwitchPort, wake: () => void): void {
    this.#port = port
    this.#beganMs = port.now()
    this.#queue.attach(port, wake)
    wake()
  }

  /** It hears everything and answers nothing. */
  deliver(): number {
    this.#heard += 1
    return taken(true)
  }

  poll(nowMs: number): number {
    while (this.#next < this.#packets.length && this.#dueMs() <= nowMs) {
      if (!this.#queue.push(this.#packets[this.#next]!.bytes)) break
      this.#next += 1
    }
    return this.#queue.poll(nowMs)
  }

  nextDeadlineMs(): number {
    if (this.#port === null) return Number.POSITIVE_INFINITY
    const dueMs = this.#next < this.#packets.length ? this.#dueMs() : Number.POSITIVE_INFINITY
    return Math.min(dueMs, this.#queue.nextDeadlineMs())
  }

  close(): void {
    this.#next = this.#packets.length
  }

  inspect(): Readonly<Record<string, unknown>> {
    const played = { played: this.#next, of: this.#packets.length, heard: this.#heard }
    return { ...played, ...this.#queue.inspect() }
  }

  #dueMs(): number {
    const sinceUs = this.#packets[this.#next]!.timeUs - this.#packets[0]!.timeUs
    return this.#beganMs + sinceUs / US_PER_MS / this.#speed
  }
}
