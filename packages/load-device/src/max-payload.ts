// How large a packet's payload may be on a channel, as its rings and their private areas allow.

import type { IncomingRing, OutgoingRing } from '@guestyard/ring'
import { LOAD_PAYLOAD_MAX_BYTES } from './limits.ts'

/** Descriptor, trailer, and the bytes a ring never gives away, twice over. */
const RING_OVERHEAD_BYTES = 16 + 8 + 16
const DESCRIPTOR_BYTES = 16

/** The largest payload that fits both rings of a channel, their private areas and the limits; a multiple of 8. */
export function maxPayloadBytes(incoming: IncomingRing, outgoing: OutgoingRing): number {
  const most = Math.min(
    LOAD_PAYLOAD_MAX_BYTES,
    outgoing.maxBodyBytes,
    outgoing.staging.length,
    incoming.arena.length - DESCRIPTOR_BYTES,
    incoming.sizeBytes - RING_OVERHEAD_BYTES,
  )
  return most & ~7
}
