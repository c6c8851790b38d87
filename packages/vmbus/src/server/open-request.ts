// From an open request to rings: everything in it is the guest's word, and is checked here.

import { HV_VP_INDEX_ANY, PAGE_SIZE, assert } from '@guestyard/hvdef'
import { openRings } from '@guestyard/ring'
import type { RingPair, RingPairOptions } from '@guestyard/ring'
import type { BusServices } from './bus-services.ts'
import type { Gpadl } from './gpadls.ts'
import type { HostChannel } from './host-channel.ts'
import { FRESH_OPEN_UNITS, OPEN_PAGES_PER_UNIT, OPEN_UNITS } from './limits.ts'
import { OpenChannel } from './open-channel.ts'
import type { OpenChannelOwner } from './open-channel.ts'

/**
 * The device's end of a channel that the guest opens. Undefined when the guest asks for what cannot be: no
 * such GPADL, no such ring, no such VP.
 */
export function makeOpenChannel(
  bus: BusServices,
  owner: OpenChannelOwner,
  record: HostChannel,
): OpenChannel | undefined {
  const { request } = record
  assert(request !== undefined, 'A channel that opens was asked to.')
  const { transport, gpadls, active, version } = bus
  const { targetVp } = request
  if (targetVp !== HV_VP_INDEX_ANY && !transport.hasVp(targetVp)) return undefined
  const ringGpadl = gpadls.use(record.relid, request.ringGpadlId)
  if (ringGpadl === undefined) return undefined
  const options = record.offered.device.rings ?? {}
  const rings = openRingsOf(bus, ringGpadl, request.downstreamPageOffset, options)
  if (rings === undefined) {
    gpadls.release(ringGpadl)
    return undefined
  }
  return new OpenChannel({
    owner,
    transport,
    active,
    gpadls,
    ringGpadl,
    relid: record.relid,
    subChannelIndex: record.subChannelIndex,
    classId: record.offered.classId,
    instanceId: record.offered.instanceId,
    domain: record.offered.domain,
    busVersion: version,
    rings,
    targetVp,
    userDefined: request.userDefined,
    downstreamPageOffset: request.downstreamPageOffset,
  })
}

// A ring GPADL is one range of whole pages. Undefined for any other, and when no more rings can be made.
function openRingsOf(
  bus: BusServices,
  gpadl: Gpadl,
  downstreamPageOffset: number,
  options: RingPairOptions,
): RingPair | undefined {
  const [range, ...others] = gpadl.ranges
  if (range === undefined || others.length > 0) return undefined
  if (range.offsetBytes !== 0 || range.lengthBytes % PAGE_SIZE !== 0) return undefined
  const pageCount = range.lengthBytes / PAGE_SIZE
  if (pageCount > bus.limits.ringPages) return undefined
  bus.spend(OPEN_UNITS + Math.floor(pageCount / OPEN_PAGES_PER_UNIT))
  try {
    const pages = range.pages.resolve()
    if (pages === undefined) return undefined
    const rings = openRings(pages, downstreamPageOffset, 'host', options)
    if (typeof rings === 'string') return undefined
    if (rings.isFresh) bus.spend(FRESH_OPEN_UNITS)
    return rings
  } catch (error) {
    // The platform has no room for another private memory: this guest's open fails, nothing else.
    if (error instanceof RangeError) return undefined
    throw error
  }
}
