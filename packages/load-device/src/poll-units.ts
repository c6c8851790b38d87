// HOT
// What the work of a poll counts: a unit for each packet, and one more for each 4 KiB of it. A poll of large packets then ends about
// as soon as one of small packets, and whoever polls can look at its clock and at the other channels.

import type { IncomingRing } from '@guestyard/ring'

const UNIT_SHIFT = 12

/** Units of `bytes` beside those of the packets that they are in; `bytes` below 2^31. */
export function byteUnits(bytes: number): number {
  return bytes >> UNIT_SHIFT
}

/** The same for the `count` packets of the last drain, more than 0, which lie one after the other in the arena. */
export function drainedByteUnits(incoming: IncomingRing, count: number): number {
  const last = count - 1
  return byteUnits(incoming.payloadAt(last) + incoming.payloadLength(last))
}
