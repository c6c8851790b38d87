// HOT
// Checks the packets of a drained batch and passes them on to another ring as they came: echo and relay.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { RingStatus, packetBytes } from '@guestyard/ring'
import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import type { PacketChecker } from './checker.ts'

const UNUSED_SHIFT = 16

export class PacketForwarder {
  /** Packets passed on, and their payload bytes, padding left out. */
  packets: number
  bytes: number
  /** Bytes that the packet left behind needs free in the outgoing ring; 0 when none was left. */
  neededBytes: number
  readonly #incoming: IncomingRing
  readonly #checker: PacketChecker
  readonly #outgoing: OutgoingRing
  /** Packets of the batch before this one are checked; 0 when all checked ones are passed on. */
  #checked: number

  constructor(incoming: IncomingRing, checker: PacketChecker, outgoing: OutgoingRing) {
    this.packets = 0
    this.bytes = 0
    this.neededBytes = 0
    this.#incoming = incoming
    this.#checker = checker
    this.#outgoing = outgoing
    this.#checked = 0
  }

  /**
   * Writes packets `first` up to `end` of the batch, without publishing them, while there is room. Returns the
   * first that was left: for want of room when `neededBytes` says so, else because it is no DATA packet. A
   * packet is checked once, however often it is left.
   */
  forward(first: number, end: number): number {
    const incoming = this.#incoming
    const outgoing = this.#outgoing
    const words = incoming.arenaWords
    this.neededBytes = 0
    if (this.#checked <= first) this.#checked = this.#checker.check(first, end)
    const checked = this.#checked
    let bytes = 0
    let next = first
    for (; next < checked; next += 1) {
      const status = outgoing.writeReceived(incoming, next, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
      if (status !== RingStatus.OK) break
      const kind = words[(incoming.payloadAt(next) >> 2) + 1]!
      bytes += incoming.payloadLength(next) - (kind >>> UNUSED_SHIFT)
    }
    if (next < checked) this.neededBytes = packetBytes(incoming.payloadLength(next))
    else this.#checked = 0
    this.bytes += bytes
    this.packets += next - first
    return next
  }
}
