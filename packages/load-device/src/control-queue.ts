// Control messages that wait for room in the ring, in order. While one waits, its program sends nothing else, and
// a guest's requests stay unread: so the queue is bounded by what one request can make it hold.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { RingStatus, packetBytes } from '@guestyard/ring'
import type { OutgoingRing } from '@guestyard/ring'

export class ControlQueue {
  /** Bytes that the next message needs free in the ring; 0 when none was refused. */
  neededBytes = 0
  readonly #outgoing: OutgoingRing
  readonly #messages: Uint8Array[] = []

  constructor(outgoing: OutgoingRing) {
    this.#outgoing = outgoing
  }

  /** True while a message waits. */
  get owes(): boolean {
    return this.#messages.length > 0
  }

  /** Appends a message; `pay` writes it. */
  owe(message: Uint8Array): void {
    this.#messages.push(message)
  }

  /** Writes what waits while there is room, without publishing it. Returns how many messages went. */
  pay(): number {
    let paid = 0
    for (let next = this.#messages[0]; next !== undefined; next = this.#messages[0]) {
      this.#outgoing.staging.set(next)
      const status = this.#outgoing.write(0, next.length, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
      if (status !== RingStatus.OK) {
        this.neededBytes = packetBytes(next.length)
        return paid
      }
      this.#messages.shift()
      paid += 1
    }
    this.neededBytes = 0
    return paid
  }
}
