/** The two ends of a storage channel over rings in one RAM, without a bus between them: nobody is ever signalled, both ends poll. */

import { Iommu, PageList, Slat } from '@guestyard/guestmem'
import type { GuestMemory } from '@guestyard/guestmem'
import { HV_VP_INDEX_ANY, VmbusVersion, parseGuid } from '@guestyard/hvdef'
import { openRings } from '@guestyard/ring'
import type { RingPair, RingPairOptions } from '@guestyard/ring'
import { SCSI_CLASS_ID } from '@guestyard/storage/protocol'
import type { Channel } from '@guestyard/vmbus'
import type { ServerChannel } from '@guestyard/vmbus/server'

import { FIRST_RING_PFN, RING_PAGES } from './ends-protocol.ts'

const INSTANCE_ID = parseGuid('f8b3781a-1e82-4818-a1c3-63d806ec15bb')

/** The guest first: it empties the rings. */
export function guestChannel(memory: GuestMemory): Channel {
  return channelOf(rings(memory, 'guest', {}))
}

export function hostChannel(memory: GuestMemory, options: RingPairOptions): ServerChannel {
  const iommu = new Iommu(memory, Slat.identity(memory.pageCount))
  return {
    ...channelOf(rings(memory, 'host', options)),
    subChannelIndex: 0,
    subChannelCount: 0,
    classId: SCSI_CLASS_ID,
    instanceId: INSTANCE_ID,
    domain: iommu.domain('storage figures'),
    busVersion: VmbusVersion.IRON,
    wake: () => undefined,
    offerSubChannels: () => 0,
    gpadl: () => undefined,
    completeOpen: () => undefined,
    completeClose: () => undefined,
    fail: (reason) => {
      throw new Error(`the channel failed: ${reason}`)
    },
  }
}

function channelOf({ incoming, outgoing }: RingPair): Channel {
  return {
    relid: 1,
    incoming,
    outgoing,
    targetVp: HV_VP_INDEX_ANY,
    userDefined: new Uint8Array(120),
    signal: () => undefined,
  }
}

function rings(memory: GuestMemory, side: 'guest' | 'host', options: RingPairOptions): RingPair {
  const pages = PageList.contiguous(memory, FIRST_RING_PFN, 2 * RING_PAGES)
  const opened = pages && openRings(pages, RING_PAGES, side, options)
  if (opened === undefined || typeof opened === 'string') throw new Error('the rings do not open')
  return opened
}
