// A guest that does nothing but open and close channels, with rings of the sizes that suit the root least. What each open
// costs the root is counted, not timed: private memories made, and opens in one poll.

import {
  ChannelMessage,
  GpadlBodyMessage,
  GpadlHeaderMessage,
  OpenChannelMessage,
  VmbusMessageType,
} from '@guestyard/hvdef'
import { inspectRingMemories } from '@guestyard/ring'
import { expect, test } from 'vitest'

import { RawGuest } from './raw-guest.ts'
import { Yard } from './yard.ts'

const MIB = 1024 * 1024
const FIRST_PAGE = 1024
const POSTS = 16
/** Data pages of the guest's ring, as GPADLs of one channel. The other ring has one. */
const SIZES = [2, 46, 138]

/** A GPADL of `pages` pages, in as many messages as it takes. */
function gpadl(guest: RawGuest, channelId: number, gpadlId: number, pages: number): void {
  const rangeBytes = 8 + pages * 8
  const range = new DataView(new ArrayBuffer(rangeBytes))
  range.setUint32(0, pages * 4096, true)
  for (let page = 0; page < pages; page += 1) {
    range.setBigUint64(8 + page * 8, BigInt(FIRST_PAGE + page), true)
  }
  const bytes = new Uint8Array(range.buffer)
  const messageType = VmbusMessageType.GPADL_HEADER
  const head = { messageType, channelId, gpadlId, rangeBytes, rangeCount: 1 }
  const first = 216
  guest.mustPost(joined(GpadlHeaderMessage.pack(head), bytes.subarray(0, first)))
  for (let at = first; at < rangeBytes; at += 224) {
    const body = { messageType: VmbusMessageType.GPADL_BODY, messageNumber: 0, gpadlId }
    guest.mustPost(joined(GpadlBodyMessage.pack(body), bytes.subarray(at, at + 224)))
  }
  guest.takeAll()
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  return Uint8Array.from([...head, ...tail])
}

function open(channelId: number, ringGpadlId: number, downstreamPageOffset: number): Uint8Array {
  return OpenChannelMessage.pack({
    messageType: VmbusMessageType.OPENCHANNEL,
    channelId,
    openId: channelId,
    ringGpadlId,
    targetVp: 0,
    downstreamPageOffset,
    userDefined: new Uint8Array(120),
  })
}

function close(channelId: number): Uint8Array {
  return ChannelMessage.pack({ messageType: VmbusMessageType.CLOSECHANNEL, channelId })
}

test('ten thousand opens of rings of changing sizes make a memory for each channel, and few of them are in one poll', () => {
  const yard = new Yard()
  const guest = new RawGuest(yard, yard.create('hostile', 16 * MIB))
  const relids = guest.connect().map((offer) => offer.relid)
  for (const relid of relids) {
    SIZES.forEach((pages, size) => gpadl(guest, relid, 1000 * (size + 1) + relid, pages + 3))
  }
  guest.partition.memory.u8.fill(0, FIRST_PAGE * 4096)
  yard.takeEvents(guest.partition)
  const before = inspectRingMemories().made
  let opens = 0
  let mostOpens = 0
  for (let turn = 0; opens < 10_000; turn += 1) {
    const relid = relids[turn % relids.length]!
    const size = turn % SIZES.length
    const gpadlId = 1000 * (size + 1) + relid
    for (let post = 0; post < POSTS; post += 2) {
      guest.post(open(relid, gpadlId, SIZES[size]! + 1))
      guest.post(close(relid))
    }
    for (let left = 1; left > 0;) {
      left = yard.pollRoot()
      const opened = yard
        .takeEvents(guest.partition)
        .filter((event) => event.is === 'channel-open').length
      opens += opened
      mostOpens = Math.max(mostOpens, opened)
    }
    guest.takeAll()
  }
  expect(inspectRingMemories().made - before).toBe(1)
  expect(mostOpens).toBeLessThanOrEqual(4)
})
