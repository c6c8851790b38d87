// GPADLs: headers and bodies, several at once, refusals, uses and teardown.

import { GpadlBodyMessage, VmbusMessageType } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GPADL_RANGE_BYTES } from '@guestyard/vmbus/server'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest, rangeOf } from './support/raw-guest.ts'

function connected(limits = {}): { guest: RawGuest; device: FakeDevice } {
  const guest = new RawGuest({ limits })
  const device = new FakeDevice()
  guest.server.offer(nth(1), device)
  guest.server.offer(nth(2), device)
  guest.connect()
  return { guest, device }
}

function body(guest: RawGuest, gpadlId: number, data: Uint8Array): void {
  const head = GpadlBodyMessage.pack({
    messageType: VmbusMessageType.GPADL_BODY,
    messageNumber: 99,
    gpadlId,
  })
  guest.post(Uint8Array.from([...head, ...data]))
}

function concatenated(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

// What a device sees of a GPADL of channel 1, through a channel opened for the purpose.
function seenByDevice(guest: RawGuest, device: FakeDevice, gpadlId: number): unknown {
  guest.openFresh(1, 0xffff)
  const mapped = device.channel.gpadl(gpadlId)
  return mapped?.ranges.map(({ offsetBytes, lengthBytes, pages }) => ({
    offsetBytes,
    lengthBytes,
    pfns: [...pages.gpaPages],
  }))
}

describe('a GPADL', () => {
  test('of one message is created at once', () => {
    const { guest, device } = connected()
    guest.gpadl(1, 7, [9, 4, 200])
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 7'])
    expect(seenByDevice(guest, device, 7)).toEqual([
      { offsetBytes: 0, lengthBytes: 3 * 4096, pfns: [9, 4, 200] },
    ])
  })

  test('of several ranges keeps their offsets and lengths', () => {
    const { guest, device } = connected()
    const data = concatenated(rangeOf([1], 100, 200), rangeOf([2, 3], 4000, 200), rangeOf([5]))
    guest.gpadlHeader(1, 7, { rangeBytes: data.length, rangeCount: 3 }, data)
    expect(seenByDevice(guest, device, 7)).toEqual([
      { offsetBytes: 100, lengthBytes: 200, pfns: [1] },
      { offsetBytes: 4000, lengthBytes: 200, pfns: [2, 3] },
      { offsetBytes: 0, lengthBytes: 4096, pfns: [5] },
    ])
  })

  test('of any number of bodies is the same however its bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 250 }),
        fc.array(fc.integer({ min: 0, max: 28 }), { maxLength: 40 }),
        (pageCount, cuts) => {
          const { guest, device } = connected()
          const pfns = Array.from({ length: pageCount }, (_, n) => (n * 7) % 256)
          const data = rangeOf(pfns)
          let at = 0
          const next = (qwords: number): Uint8Array => {
            const piece = data.slice(at, at + qwords * 8)
            at += piece.length
            return piece
          }
          const counts = { rangeBytes: data.length, rangeCount: 1 }
          guest.gpadlHeader(1, 7, counts, next(Math.min(cuts[0] ?? 0, 27)))
          for (const cut of cuts.slice(1)) if (at < data.length) body(guest, 7, next(cut))
          while (at < data.length) body(guest, 7, next(28))
          expect(guest.takeNames()).toEqual(['GPADL_CREATED 7'])
          expect(seenByDevice(guest, device, 7)).toMatchObject([{ pfns }])
        },
      ),
      { numRuns: 60 },
    )
  })

  test('takes no more from a message than it was announced with', () => {
    const { guest } = connected()
    const data = rangeOf([3])
    const padded = concatenated(data, new Uint8Array(200).fill(0xee))
    guest.gpadlHeader(1, 7, { rangeBytes: data.length, rangeCount: 1 }, padded)
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 7'])
  })

  test('is built beside others, each by its own id', () => {
    const { guest } = connected()
    const data = rangeOf([3, 4, 5])
    const counts = { rangeBytes: data.length, rangeCount: 1 }
    guest.gpadlHeader(1, 7, counts, data.slice(0, 8))
    guest.gpadlHeader(2, 8, counts, data.slice(0, 16))
    body(guest, 8, data.slice(16))
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 8'])
    body(guest, 7, data.slice(8))
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 7'])
    expect(guest.server.inspect().gpadls).toMatchObject({ inProgress: 0, accepted: 2 })
  })

  test('of one channel is not one of another', () => {
    const { guest } = connected()
    guest.gpadl(1, 7, [3])
    guest.gpadl(2, 7, [4])
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 7', 'GPADL_CREATED 7'])
    guest.teardown(2, 7)
    expect(guest.server.inspect().gpadls.accepted).toBe(1)
  })
})

describe('a GPADL is refused with a status, and forgotten,', () => {
  const cases: [string, { rangeBytes: number; rangeCount: number }, Uint8Array][] = [
    ['when a page is not RAM', { rangeBytes: 16, rangeCount: 1 }, rangeOf([256])],
    ['without ranges', { rangeBytes: 16, rangeCount: 0 }, rangeOf([1])],
    ['with more ranges than its bytes hold', { rangeBytes: 16, rangeCount: 2 }, rangeOf([1])],
    ['of no bytes', { rangeBytes: 0, rangeCount: 1 }, new Uint8Array(0)],
    ['of bytes that are no qwords', { rangeBytes: 20, rangeCount: 1 }, rangeOf([1, 2])],
    ['with too few pages for its length', { rangeBytes: 16, rangeCount: 1 }, rangeOf([1, 2])],
    ['with a range of no bytes', { rangeBytes: 16, rangeCount: 1 }, new Uint8Array(16)],
    [
      'with an offset beyond its first page',
      { rangeBytes: 16, rangeCount: 1 },
      Uint8Array.from([8, 0, 0, 0, 0, 0x10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
    ],
    [
      'with a page number beyond 32 bits',
      { rangeBytes: 16, rangeCount: 1 },
      Uint8Array.from([0, 0x10, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]),
    ],
  ]
  test.each(cases)('%s', (_, counts, data) => {
    const { guest } = connected()
    guest.gpadlHeader(1, 7, counts, data)
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 7 failed'])
    expect(guest.server.inspect()).toMatchObject({
      gpadls: { inProgress: 0, accepted: 0, listBytes: 0 },
      errors: { 'bad-gpadl': 1 },
    })
  })

  test('when its id is taken, complete or in progress', () => {
    const { guest } = connected()
    guest.gpadl(1, 7, [3])
    guest.gpadl(1, 7, [4])
    guest.gpadlHeader(1, 8, { rangeBytes: 24, rangeCount: 1 }, new Uint8Array(0))
    guest.gpadl(2, 8, [4])
    expect(guest.takeNames()).toEqual([
      'GPADL_CREATED 7',
      'GPADL_CREATED 7 failed',
      'GPADL_CREATED 8 failed',
    ])
    expect(guest.server.inspect().gpadls).toMatchObject({ inProgress: 1, accepted: 1 })
  })

  test('when its channel is unknown', () => {
    const { guest } = connected()
    guest.gpadl(3, 7, [3])
    guest.release(2)
    guest.gpadl(2, 8, [3])
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 7 failed', 'GPADL_CREATED 8 failed'])
  })

  test('when there are too many, or too many bytes of them', () => {
    const few = connected({ gpadls: 2 })
    for (const id of [1, 2, 3]) few.guest.gpadl(1, id, [3])
    expect(few.guest.takeNames().at(-1)).toBe('GPADL_CREATED 3 failed')
    const small = connected({ gpadlListBytes: 2 * 48 + GPADL_RANGE_BYTES })
    const announce = { rangeBytes: 48, rangeCount: 1 }
    small.guest.gpadlHeader(1, 1, announce, new Uint8Array(0))
    small.guest.gpadlHeader(1, 2, announce, new Uint8Array(0))
    expect(small.guest.takeNames()).toEqual(['GPADL_CREATED 2 failed'])
    expect(small.guest.server.inspect()).toMatchObject({
      gpadls: { listBytes: 48 + GPADL_RANGE_BYTES },
      errors: { limit: 1 },
    })
  })

  test('when its ranges would take too much once parsed, small as their list is', () => {
    const { guest } = connected({ gpadlListBytes: 64 * 1024 })
    const ranges = Array.from({ length: 12 }, () => rangeOf([3]))
    const data = concatenated(...ranges)
    const announce = { rangeBytes: data.length, rangeCount: ranges.length }
    const most = Math.floor((64 * 1024) / (data.length + ranges.length * GPADL_RANGE_BYTES))
    for (let id = 1; id <= most + 1; id += 1) guest.gpadlHeader(1, id, announce, data)
    expect(guest.takeNames().slice(-2)).toEqual([
      `GPADL_CREATED ${most}`,
      `GPADL_CREATED ${most + 1} failed`,
    ])
    // All of it is given back.
    for (let id = 1; id <= most; id += 1) guest.teardown(1, id)
    expect(guest.server.inspect().gpadls).toMatchObject({ accepted: 0, listBytes: 0 })
  })
})

test('a body of no GPADL in progress has no answer', () => {
  const { guest } = connected()
  guest.gpadl(1, 7, [3])
  guest.take()
  body(guest, 7, new Uint8Array(8))
  body(guest, 8, new Uint8Array(8))
  expect(guest.take()).toEqual([])
  expect(guest.server.inspect().errors['bad-gpadl']).toBe(2)
})

describe('teardown', () => {
  test('of what is not there, not complete, or going already is dropped', () => {
    const { guest, device } = connected()
    device.closesLater = true
    guest.gpadlHeader(1, 8, { rangeBytes: 24, rangeCount: 1 }, new Uint8Array(0))
    guest.teardown(1, 8)
    guest.teardown(1, 9)
    guest.openFresh(1, 7)
    guest.teardown(1, 7)
    guest.teardown(1, 7)
    guest.teardown(9, 7)
    expect(guest.take()).toEqual([])
    expect(guest.server.inspect().errors).toMatchObject({ 'bad-gpadl': 3, 'unknown-channel': 1 })
  })

  test('of rings in use is answered when the channel has closed', () => {
    const { guest, device } = connected()
    device.closesLater = true
    guest.openFresh(1, 7)
    guest.teardown(1, 7)
    expect(guest.takeNames()).toEqual([])
    expect(device.program.closed).toBe(false)
    guest.close(1)
    expect(guest.takeNames()).toEqual([])
    device.finishClose()
    guest.server.poll(1)
    expect(guest.takeNames()).toEqual(['GPADL_TORNDOWN 7'])
  })

  test('of a mapped buffer is answered when the device lets go, or its channel closes', () => {
    const { guest, device } = connected()
    guest.openFresh(1, 7)
    guest.gpadl(1, 8, [30])
    guest.gpadl(1, 9, [31])
    guest.take()
    const first = device.channel.gpadl(8)
    const second = device.channel.gpadl(8)
    device.channel.gpadl(9)
    guest.teardown(1, 8)
    guest.teardown(1, 9)
    first?.release()
    first?.release()
    guest.server.poll(1)
    expect(guest.takeNames()).toEqual([])
    expect(device.channel.gpadl(8)).toBeUndefined()
    second?.release()
    guest.server.poll(1)
    expect(guest.takeNames()).toEqual(['GPADL_TORNDOWN 8'])
    guest.close(1)
    expect(guest.takeNames()).toEqual(['GPADL_TORNDOWN 9'])
    expect(device.channel.gpadl(9)).toBeUndefined()
  })

  test('leaves an id that can be used again', () => {
    const { guest } = connected()
    guest.gpadl(1, 7, [3])
    guest.teardown(1, 7)
    guest.gpadl(1, 7, [4])
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 7', 'GPADL_TORNDOWN 7', 'GPADL_CREATED 7'])
  })
})

describe('on a revoked channel', () => {
  test('what is in progress fails before the rescind, what is accepted stays', () => {
    const { guest } = connected()
    const offer = guest.server.offer(nth(3), new FakeDevice())
    guest.take()
    guest.gpadl(3, 7, [3])
    guest.gpadlHeader(3, 8, { rangeBytes: 24, rangeCount: 1 }, new Uint8Array(0))
    guest.take()
    offer.revoke()
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 8 failed', 'RESCIND_CHANNELOFFER 3'])
    expect(guest.server.inspect().gpadls).toMatchObject({ inProgress: 0, accepted: 1 })
  })

  test('a teardown that waited is answered before the rescind', () => {
    const { guest } = connected()
    const device = new FakeDevice()
    const offer = guest.server.offer(nth(3), device)
    guest.take()
    guest.openFresh(3, 7)
    guest.teardown(3, 7)
    offer.revoke()
    expect(guest.takeNames()).toEqual(['GPADL_TORNDOWN 7', 'RESCIND_CHANNELOFFER 3'])
  })

  test('creation and teardown are acknowledged at once, and the release forgets the rest', () => {
    const { guest } = connected()
    const offer = guest.server.offer(nth(3), new FakeDevice())
    offer.revoke()
    guest.take()
    guest.gpadl(3, 7, [3])
    guest.gpadl(3, 8, [3])
    guest.teardown(3, 7)
    expect(guest.takeNames()).toEqual(['GPADL_CREATED 7', 'GPADL_CREATED 8', 'GPADL_TORNDOWN 7'])
    guest.release(3)
    expect(guest.server.inspect().gpadls).toMatchObject({ accepted: 0, listBytes: 0 })
  })
})

test('a ring of two ranges, or of part of a page, is refused at the open', () => {
  const { guest } = connected()
  const two = concatenated(rangeOf([16, 17]), rangeOf([18, 19]))
  guest.gpadlHeader(1, 7, { rangeBytes: two.length, rangeCount: 2 }, two)
  const partial = rangeOf([16, 17, 18, 19], 0, 4 * 4096 - 8)
  guest.gpadlHeader(1, 8, { rangeBytes: partial.length, rangeCount: 1 }, partial)
  const shifted = rangeOf([16, 17, 18, 19], 8, 3 * 4096)
  guest.gpadlHeader(1, 9, { rangeBytes: shifted.length, rangeCount: 1 }, shifted)
  guest.take()
  for (const id of [7, 8, 9]) guest.open(1, id)
  expect(guest.takeNames()).toEqual(Array.from({ length: 3 }, () => 'OPENCHANNEL_RESULT 1 failed'))
})
