/**
 * One end of the soak: sends and receives over a small ring, sleeps whenever it can, and pauses at
 * random in between.
 */

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { RingStatus, openRingLink, waitForPackets, waitForSpace } from '@guestyard/ring'
import type { LinkSide, RingLink, RingPort } from '@guestyard/ring'

export interface SoakWorkerData {
  readonly link: RingLink
  readonly side: LinkSide
  readonly seed: number
  /** Word 0 is 1 once no more packets are to be sent. */
  readonly stop: SharedArrayBuffer
}

/** What an end found; the nets of its timeouts must never have caught anything. */
export interface SoakResult {
  readonly sent: number
  readonly received: number
  readonly errors: number
  readonly fulls: number
  readonly sleeps: number
  readonly timeouts: number
  readonly signals: number
  readonly spuriousWakes: number
}

/** Long enough that only a lost wake-up can use it up. */
const NET_MS = 10_000
const LAST = -1
const PAYLOAD_BYTES_MAX = 900

/** A small generator of random numbers: the same seed, the same pauses. */
class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) | 0
    return (this.#state >>> 8) % limit
  }
}

export class SoakEnd {
  readonly #port: RingPort
  readonly #stop: Int32Array
  readonly #random: Random
  readonly #never = new Int32Array(new SharedArrayBuffer(4))
  #sent = 0
  #received = 0
  #errors = 0
  #peerEnded = false

  constructor({ link, side, seed, stop }: SoakWorkerData) {
    this.#port = openRingLink(link, side)
    this.#stop = new Int32Array(stop)
    this.#random = new Random(seed)
  }

  run(): SoakResult {
    while (Atomics.load(this.#stop, 0) === 0) {
      this.#sendSome(1 + this.#random.below(40))
      this.#pause()
      this.#receiveSome(1 + this.#random.below(40))
      this.#pause()
      // Both ends send as much as they receive in the long run; whoever is ahead waits for the
      // other.
      if (this.#sent > this.#received + 50 && !this.#peerEnded) this.#awaitPackets()
    }
    this.#send(LAST)
    while (!this.#peerEnded) {
      if (this.#receiveSome(64) === 0) this.#awaitPackets()
    }
    return this.#result()
  }

  #sendSome(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#send(this.#sent)
      this.#sent += 1
    }
    if (this.#port.outgoing.commit()) this.#port.peerDoorbell.ring()
  }

  #send(number: number): void {
    const { outgoing, peerDoorbell } = this.#port
    const length = 8 + this.#random.below(PAYLOAD_BYTES_MAX)
    outgoing.stagingWords[0] = number
    while (outgoing.write(0, length, PACKET_TYPE_DATA_INBAND, 0, number, 0) === RingStatus.FULL) {
      if (outgoing.commit()) peerDoorbell.ring()
      // Taking what came first: else both ends could wait for space that the other holds.
      if (this.#receiveSome(64) > 0) continue
      waitForSpace(this.#port, outgoing.neededBytes, this.#waiting())
    }
    if (number === LAST && outgoing.commit()) peerDoorbell.ring()
  }

  #receiveSome(max: number): number {
    const { incoming, peerDoorbell } = this.#port
    const count = incoming.drain(max)
    if (count < 0) throw new Error(`the ring failed: ${incoming.fault}`)
    for (let i = 0; i < count; i += 1) {
      const number = incoming.arenaWords[incoming.payloadAt(i) >> 2]!
      if (number === LAST) this.#peerEnded = true
      else if (number !== this.#received++) this.#errors += 1
    }
    if (incoming.commit()) peerDoorbell.ring()
    return count
  }

  #awaitPackets(): void {
    waitForPackets(this.#port, this.#waiting())
  }

  #waiting(): { spinMicroseconds: number; timeoutMs: number } {
    return { spinMicroseconds: this.#random.below(2) * 5, timeoutMs: NET_MS }
  }

  /** Nothing, mostly; sometimes some microseconds, rarely a millisecond. */
  #pause(): void {
    const dice = this.#random.below(1000)
    if (dice < 3) Atomics.wait(this.#never, 0, 0, 1)
    else if (dice < 100) for (let turn = this.#random.below(20_000); turn > 0; turn -= 1);
  }

  #result(): SoakResult {
    const { outgoing, incoming, doorbell } = this.#port
    return {
      sent: this.#sent,
      received: this.#received,
      errors: this.#errors,
      fulls: outgoing.fulls,
      sleeps: doorbell.sleeps,
      timeouts: doorbell.timeouts,
      signals: outgoing.signals + incoming.signals,
      spuriousWakes: doorbell.spuriousWakes,
    }
  }
}
