// What a guest may send, and what it gets for it: a status, or the loss of its channel. Never more.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { StorOperation, StorStatus } from '@guestyard/storage/protocol'
import { FakeTarget } from '../support/fake-target.ts'
import { RawGuest, answerText, readCdb, srb, writeCdb } from '../support/raw-guest.ts'

const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0]
const REFUSED = 'c000000d 6 0 0'
const READ = srb(readCdb(0, 1), { direction: 1, length: 512 })

function subject(): { target: FakeTarget; guest: RawGuest } {
  const target = new FakeTarget()
  return { target, guest: new RawGuest({ vsp: { target } }).shakeHands() }
}

function answers(guest: RawGuest): string[] {
  guest.loopback.pump()
  return guest.receive().map(answerText)
}

function mappedPages(guest: RawGuest): number {
  const { domains } = guest.loopback.iommu.inspect()
  return domains.reduce((sum, domain) => sum + domain.mappedPages, 0)
}

describe('a request is refused, and the next one served, when', () => {
  const cases: Record<string, (guest: RawGuest) => void> = {
    'its range crosses the end of RAM': (guest) => {
      const last = guest.loopback.memory.pageCount - 1
      guest.writeDirect(READ, 1, [[4000, 512, [last, last + 1]]])
    },
    'its page is no RAM at all': (guest) => guest.writeDirect(READ, 1, [[0, 512, [0x7fff_ffff]]]),
    'its page number does not fit any memory': (guest) =>
      guest.writeDirect(READ, 1, [[0, 512, [0xffff_ffff]]]),
    'it has several ranges': (guest) =>
      guest.writeDirect(READ, 1, [
        [0, 256, [40]],
        [0, 256, [41]],
      ]),
    'it has data and no range': (guest) => guest.write(READ, 1),
    'its range is shorter than its data': (guest) => guest.writeDirect(READ, 1, [[0, 511, [40]]]),
    'it is longer than the limit': (guest) => {
      const length = 256 * 1024 + 512
      const pfns = Array.from({ length: 65 }, (_, index) => index + 30)
      guest.writeDirect(srb(readCdb(0, 513), { direction: 1, length }), 1, [[0, length, pfns]])
    },
    'its length is the largest number': (guest) =>
      guest.writeDirect(srb(readCdb(0, 1), { direction: 1, length: 0xffff_ffff }), 1, [
        [0, 512, [40]],
      ]),
    'its range has more pages than any request': (guest) => {
      const pfns = Array.from({ length: 100 }, (_, index) => index + 30)
      guest.writeDirect(READ, 1, [[0, 400_000, pfns]])
    },
    'it has no direction that there is': (guest) =>
      guest.writeDirect(srb(readCdb(0, 1), { direction: 3, length: 512 }), 1, [[0, 512, [40]]]),
    'its CDB has no bytes': (guest) => guest.write(srb(TEST_UNIT_READY, { cdbLength: 0 }), 1),
    'its CDB has more bytes than there are': (guest) =>
      guest.write(srb(TEST_UNIT_READY, { cdbLength: 17 }), 1),
    'its CDB has 255 bytes': (guest) => guest.write(srb(TEST_UNIT_READY, { cdbLength: 255 }), 1),
  }
  for (const [name, send] of Object.entries(cases)) {
    test(name, () => {
      const { target, guest } = subject()
      const before = mappedPages(guest)
      send(guest)
      expect(answers(guest)).toEqual([REFUSED])
      expect([target.executed, mappedPages(guest)]).toEqual([0, before])
      guest.writeDirect(READ, 2, [[0, 512, [40]]])
      expect(answers(guest)).toEqual(['0 1 0 512'])
      expect(guest.failures).toEqual([])
    })
  }
})

test('pages that hold rings, or repeat, are RAM like any other: the guest harms itself', () => {
  const { guest } = subject()
  const ring = guest.channel.pfns[3]!
  guest.writeDirect(srb(writeCdb(0, 1), { direction: 0, length: 512 }), 1, [[0, 512, [ring]]])
  const twice = srb(readCdb(0, 16), { direction: 1, length: 8192 })
  guest.writeDirect(twice, 2, [[0, 8192, [40, 40]]])
  expect(answers(guest)).toEqual(['0 1 0 512', '0 1 0 8192'])
})

test('a short request is refused by its status', () => {
  const { guest } = subject()
  guest.send(READ.subarray(0, 40), 1)
  expect(guest.receive().map(({ status }) => status)).toEqual([StorStatus.INVALID_PARAMETER])
  expect(guest.failures).toEqual([])
})

describe('a channel fails, and may be opened again, when', () => {
  const cases: Record<string, (guest: RawGuest) => void> = {
    'a packet has no operation': (guest) => guest.write(new Uint8Array(8), 1),
    'a packet asks for no completion': (guest) => guest.write(READ, 1, 0),
    'a packet has no ranges where they should be': (guest) => {
      const { outgoing } = guest.channel
      outgoing.staging.fill(0)
      outgoing.writeGpaDirect(0, 0, 0, 64, 1, 1, 1)
      outgoing.commit()
      guest.channel.signal()
    },
  }
  for (const [name, send] of Object.entries(cases)) {
    test(name, () => {
      const { target, guest } = subject()
      target.holds = true
      guest.writeDirect(READ, 1, [[0, 512, [40]]])
      guest.loopback.pump()
      send(guest)
      guest.write(READ, 2)
      guest.loopback.pump()
      expect(guest.failures.length).toBe(1)
      expect([target.held.length, guest.vsp.inspect().channels.length]).toEqual([0, 0])
      target.holds = false
      guest.loopback.client.close(guest.channel)
      guest.loopback.pump()
      guest.open()
      guest.shakeHands()
      guest.writeDirect(READ, 1, [[0, 512, [40]]])
      expect(answers(guest)).toEqual(['0 1 0 512'])
    })
  }
})

test('what the guest changes after its request was read changes nothing', () => {
  const { target, guest } = subject()
  const { u8 } = guest.loopback.memory
  target.onExecute = () => {
    // Every byte of the ring to the host, while the request is served.
    for (const pfn of Array.from(guest.channel.pfns).slice(1, 31)) {
      u8.fill(0xff, pfn * 4096, (pfn + 1) * 4096)
    }
  }
  guest.writeDirect(READ, 1, [[0, 512, [40]]])
  expect(answers(guest)).toEqual(['0 1 0 512'])
})

test('a page that may not be reached is a fault of the device', () => {
  const { guest } = subject()
  const { memory, iommu } = guest.loopback
  const faults = (): number =>
    iommu.inspect().domains.reduce((sum, domain) => sum + domain.faults, 0)
  expect(faults()).toBe(0)
  guest.writeDirect(READ, 1, [[0, 512, [memory.pageCount]]])
  expect(answers(guest)).toEqual([REFUSED])
  expect(faults()).toBe(1)
})

test('garbage of any kind leaves controller and neighbour working', () => {
  const target = new FakeTarget()
  const guest = new RawGuest({ vsp: { target } }).shakeHands()
  const neighbour = subject()
  const packet = fc.record({
    bytes: fc.uint8Array({ minLength: 12, maxLength: 96 }),
    operation: fc.oneof(fc.constant(StorOperation.EXECUTE_SRB), fc.integer({ min: 0, max: 16 })),
    direct: fc.boolean(),
    offset: fc.integer({ min: 0, max: 4095 }),
    length: fc.integer({ min: 1, max: 300_000 }),
    firstPage: fc.integer({ min: 0, max: 1100 }),
    lies: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 30 }), (packets) => {
      let sent = 0
      for (const [index, one] of packets.entries()) {
        const bytes = one.bytes.slice()
        const honest = srb([...bytes.subarray(0, 10)], { length: one.length, direction: 1 })
        if (!one.lies) bytes.set(honest.subarray(0, bytes.length))
        bytes[0] = one.operation
        bytes.fill(0, 1, 4)
        const pages = Math.ceil((one.offset + one.length) / 4096)
        const pfns = Array.from({ length: pages }, (_, page) => one.firstPage + page)
        const written = one.direct
          ? guest.writeDirect(bytes, index + 1, [[one.offset, one.length, pfns]])
          : guest.write(bytes, index + 1)
        if (written) sent += 1
        guest.loopback.pump()
      }
      expect(guest.receive().length).toBe(sent)
      expect(guest.failures).toEqual([])
      neighbour.guest.writeDirect(READ, 1, [[0, 512, [40]]])
      expect(answers(neighbour.guest)).toEqual(['0 1 0 512'])
    }),
    { numRuns: 200 },
  )
  expect(guest.vsp.inspect().channels[0]?.running).toBe(0)
})

test('thousands of requests whose answers are never read cost one ring and as many slots, and no time', () => {
  const target = new FakeTarget()
  target.holds = true
  const guest = new RawGuest({ vsp: { target, maxSubChannels: 0 } }).shakeHands()
  for (let round = 0; round < 20; round += 1) {
    for (let tid = 1; guest.write(srb(TEST_UNIT_READY), tid); tid += 1);
    guest.loopback.pump()
  }
  expect(target.held.length).toBe(256)
  target.holds = false
  for (let round = 0; round < 20; round += 1) {
    target.release()
    guest.vsp.wake()
    for (let tid = 1; guest.write(srb(TEST_UNIT_READY), tid); tid += 1);
    guest.loopback.pump()
  }
  // Nothing is owed that could be done: the server sleeps, and a neighbour on the bus is served.
  expect(guest.loopback.server.poll(1024)).toBe(0)
  expect(guest.loopback.server.arm()).toBe(false)
  const held = guest.vsp.inspect().channels[0]
  expect(held?.running).toBe(0)
  expect(target.executed).toBeLessThan(3 * 1500)
})
