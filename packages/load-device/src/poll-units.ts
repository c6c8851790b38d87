// HOT
// What the work of a poll counts: a unit for each packet, and one more for each 4 KiB that is copied. A poll of large packets then ends about
// as soon as one of small packets, and whoever polls can look at its clock and at the other channels.

import type { IncomingRing } from '@guestyard/ring'

const UNIT_SHIFT = 12

/** Units of `bytes` beside those of the packets that they are in; `bytes` below 2^31. */
export function byteUnits(bytes: number): number {
  return bytes >> UNIT_SHIFT
}

/** The same for packets `first` up to `end` of the last drain, which lie one after the other in the arena. */
export function packetByteUnits(incoming: IncomingRing, first: number, end: number): number {
  if (first >= end) return 0
  const last = end - 1
  const lastEnd = incoming.payloadAt(last) + incoming.payloadLength(last)
  return byteUnits(lastEnd - incoming.payloadAt(first))
}
