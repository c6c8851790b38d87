// A level-triggered line, as an I/O APIC has it: asserted by devices that share it, routed to a vector of one VP. While
// an interrupt of it has not been ended the line is silent; when it is ended, the line is looked at anew.
//
//              asserted                            ended, still asserted: again
//   idle ────────────────▶ in flight at (VP, vector) ──────────────▶ in flight at the route of now
//        ◀────────────────                           ended, released: idle
//
// So a route that changes while an interrupt is in flight decides about the next one, and the one in flight is ended
// where it was taken: none is lost, none comes twice. Root thread only.

import { HvStatus } from '@guestyard/hvdef'

/** The VPs of one partition, as interrupts reach them. */
export interface InterruptSink {
  hasVp(vp: number): boolean
  requestEdge(vp: number, vector: number): HvStatus
  requestLevel(vp: number, vector: number): HvStatus
}

export class InterruptLine {
  readonly #sink: InterruptSink
  /** Who asserts it: a device counts once. */
  readonly #assertedBy: Set<object> = new Set()
  #vp: number
  #vector: number
  #flightVp = -1
  #flightVector = -1

  constructor(sink: InterruptSink, vp: number, vector: number) {
    this.#sink = sink
    this.#vp = vp
    this.#vector = vector
  }

  get isAsserted(): boolean {
    return this.#assertedBy.size > 0
  }

  /** True from a request until the guest has ended it. */
  get inFlight(): boolean {
    return this.#flightVp >= 0
  }

  set(device: object, asserted: boolean): HvStatus {
    if (asserted) this.#assertedBy.add(device)
    else this.#assertedBy.delete(device)
    return this.#evaluate()
  }

  /** The next interrupt goes there. */
  route(vp: number, vector: number): void {
    this.#vp = vp
    this.#vector = vector
  }

  /** A VP has ended a vector. True when it was this line's interrupt. */
  ended(vp: number, vector: number): boolean {
    if (this.#flightVp !== vp || this.#flightVector !== vector) return false
    this.#flightVp = -1
    this.#flightVector = -1
    this.#evaluate()
    return true
  }

  /** The guest was reset: what was in flight is gone. */
  reset(): void {
    this.#flightVp = -1
    this.#flightVector = -1
  }

  #evaluate(): HvStatus {
    if (!this.isAsserted || this.inFlight) return HvStatus.SUCCESS
    const status = this.#sink.requestLevel(this.#vp, this.#vector)
    if (status !== HvStatus.SUCCESS) return status
    this.#flightVp = this.#vp
    this.#flightVector = this.#vector
    return status
  }
}
