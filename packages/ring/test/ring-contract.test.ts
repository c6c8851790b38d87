import { PAGE_SIZE } from '@guestyard/hvdef'
import {
  PageRangeStatus,
  PageRangeTable,
  encodePageRange,
  parsePageRanges,
} from '@guestyard/guestmem'
import {
  type OutgoingRing,
  RingFault,
  RingStatus,
  incomingPrivateBytes,
  packetBytes,
} from '@guestyard/ring'
import { describe, expect, test } from 'vitest'
import { KINDS, announcePacket, makeRing, patternBytes, payloadOf } from './ring-fixture.ts'

const INBAND = 6

function fill(outgoing: OutgoingRing): void {
  let status = 0
  while (status >= 0) status = outgoing.send(0, 1000, INBAND, 0, 0, 0)
}

describe.each(KINDS)('a ring, %s kernel', (kind) => {
  test('a written packet is not there before commit', () => {
    const { outgoing, incoming } = makeRing({ kind })
    expect(outgoing.write(0, 8, INBAND, 0, 0, 0)).toBe(RingStatus.OK)
    expect(incoming.drain(8)).toBe(0)
    outgoing.commit()
    expect(incoming.drain(8)).toBe(1)
  })

  test('type, flags, both halves of the transaction id and the payload arrive', () => {
    const { outgoing, incoming } = makeRing({ kind })
    outgoing.staging.set(patternBytes(1, 40))
    outgoing.send(0, 37, 0xb, 1, 0x89abcdef | 0, -2)
    expect(incoming.drain(8)).toBe(1)
    expect(incoming.packetType(0)).toBe(0xb)
    expect(incoming.flags(0)).toBe(1)
    expect(incoming.tidLow(0)).toBe(0x89abcdef | 0)
    expect(incoming.tidHigh(0)).toBe(-2)
    const expected = new Uint8Array(40)
    expected.set(patternBytes(1, 37))
    expect(payloadOf(incoming, 0)).toEqual(expected)
    expect(incoming.headerLength(0)).toBe(0)
  })

  test('signals once, for the first packet of an empty ring whose receiver asked for it', () => {
    const { outgoing, incoming } = makeRing({ kind })
    expect(outgoing.send(0, 8, INBAND, 0, 0, 0)).toBe(0)
    incoming.drain(8)
    incoming.commit()
    expect(incoming.unmask()).toBe(false)
    expect(outgoing.send(0, 8, INBAND, 0, 0, 0)).toBe(1)
    expect(outgoing.send(0, 8, INBAND, 0, 0, 0)).toBe(0)
    expect(outgoing.signals).toBe(1)
  })

  test('a batch signals once, and not at all when the ring was not empty before it', () => {
    const { outgoing, incoming } = makeRing({ kind })
    incoming.unmask()
    for (let i = 0; i < 3; i += 1) outgoing.write(0, 8, INBAND, 0, 0, 0)
    expect(outgoing.commit()).toBe(true)
    for (let i = 0; i < 3; i += 1) outgoing.write(0, 8, INBAND, 0, 0, 0)
    expect(outgoing.commit()).toBe(false)
    expect(outgoing.commit()).toBe(false)
  })

  test('unmask finds packets that came before it', () => {
    const { outgoing, incoming } = makeRing({ kind })
    outgoing.send(0, 8, INBAND, 0, 0, 0)
    expect(incoming.unmask()).toBe(true)
  })

  test('unmask refuses to be asked before what was taken is committed', () => {
    const { outgoing, incoming } = makeRing({ kind })
    outgoing.send(0, 8, INBAND, 0, 0, 0)
    incoming.drain(1)
    expect(() => incoming.unmask()).toThrow('committed before signals')
  })

  test('at least 8 bytes stay free, and the largest packet is 16 bytes short of the ring', () => {
    const { outgoing, incoming } = makeRing({ kind })
    expect(outgoing.writableBytes()).toBe(PAGE_SIZE - 8)
    expect(outgoing.maxBodyBytes).toBe(PAGE_SIZE - 16 - 24)
    expect(outgoing.send(0, outgoing.maxBodyBytes + 1, INBAND, 0, 0, 0)).toBe(RingStatus.TOO_BIG)
    expect(outgoing.append(outgoing.maxBodyBytes + 1, INBAND, 0, 0, 0)).toBe(RingStatus.TOO_BIG)
    expect(outgoing.send(0, outgoing.maxBodyBytes, INBAND, 0, 0, 0)).toBe(0)
    expect(outgoing.send(0, 0, INBAND, 0, 0, 0)).toBe(RingStatus.FULL)
    expect(incoming.drain(1)).toBe(1)
    expect(incoming.payloadLength(0)).toBe(outgoing.maxBodyBytes)
  })

  test('a full ring refuses, says what it needs, and signals once when that is free', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    const total = packetBytes(1000)
    for (let i = 0; i < 3; i += 1) expect(outgoing.send(0, 1000, INBAND, 0, i, 0)).toBe(0)
    expect(outgoing.send(0, 1000, INBAND, 0, 3, 0)).toBe(RingStatus.FULL)
    expect(outgoing.neededBytes).toBe(total)
    expect(outgoing.fulls).toBeGreaterThan(0)
    expect(outgoing.setPendingSendSize(outgoing.neededBytes)).toBe(false)
    expect(control[3]).toBe(total)
    incoming.drain(1)
    expect(incoming.commit()).toBe(true)
    incoming.drain(1)
    expect(incoming.commit()).toBe(false)
    expect(incoming.signals).toBe(1)
    outgoing.clearPendingSendSize()
    expect(control[3]).toBe(0)
    expect(outgoing.send(0, 1000, INBAND, 0, 0, 0)).toBe(0)
  })

  test('a sender that asks for space it already has is told so, and asks nothing', () => {
    const { outgoing, control } = makeRing({ kind })
    expect(outgoing.setPendingSendSize(64)).toBe(true)
    expect(control[3]).toBe(0)
    expect(outgoing.pendingSendSize).toBe(0)
  })

  test('a sender without the feature bit is never signalled for space', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    fill(outgoing)
    outgoing.setPendingSendSize(outgoing.neededBytes)
    control[16] = 0
    incoming.drain(64)
    expect(incoming.commit()).toBe(false)
  })

  test('a pending size of the whole ring less one means an empty ring', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    outgoing.send(0, 8, INBAND, 0, 0, 0)
    outgoing.send(0, 8, INBAND, 0, 0, 0)
    control[3] = PAGE_SIZE - 1
    incoming.drain(1)
    expect(incoming.commit()).toBe(false)
    incoming.drain(1)
    expect(incoming.commit()).toBe(true)
  })

  test('a sender that writes over freed packets while they are given back does nothing wrong', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    for (let i = 0; i < 3; i += 1) expect(outgoing.send(0, 1000, INBAND, 0, 0, 0)).toBe(0)
    expect(incoming.drain(3)).toBe(3)
    // As it looks between the store of `out` and the load of `in`: two more packets, past the
    // ring's end.
    control[3] = 1024
    control[0] = 1024
    expect(incoming.commit()).toBe(true)
    expect(incoming.fault).toBe(RingFault.NONE)
  })

  test('the interrupt mask plays no part in signals for space', () => {
    const { outgoing, incoming } = makeRing({ kind })
    fill(outgoing)
    outgoing.setPendingSendSize(outgoing.neededBytes)
    incoming.mask()
    incoming.drain(64)
    expect(incoming.commit()).toBe(true)
  })

  test('commitLazily publishes after a quarter of the ring, commit at once', () => {
    const { outgoing, incoming, control } = makeRing({ kind, dataPages: 4 })
    for (let i = 0; i < 8; i += 1) outgoing.send(0, 1000, INBAND, 0, 0, 0)
    incoming.drain(3)
    incoming.commitLazily()
    expect(control[1]).toBe(0)
    incoming.drain(1)
    incoming.commitLazily()
    expect(control[1]).toBe(4 * packetBytes(1000))
    incoming.drain(1)
    incoming.commit()
    expect(control[1]).toBe(5 * packetBytes(1000))
  })

  test('drain takes no more packets than asked for, and keeps their order', () => {
    const { outgoing, incoming } = makeRing({ kind, dataPages: 3 })
    for (let i = 0; i < 50; i += 1) outgoing.send(0, 8 * (i % 5), INBAND, 0, i, 0)
    const seen: number[] = []
    for (let count = incoming.drain(7); count > 0; count = incoming.drain(7)) {
      expect(count).toBeLessThanOrEqual(7)
      for (let i = 0; i < count; i += 1) seen.push(incoming.tidLow(i))
    }
    expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(incoming.packets).toBe(50)
    expect(incoming.bytes).toBe(outgoing.bytes)
  })

  test('a small arena splits a drain, never a packet', () => {
    const { outgoing, incoming } = makeRing({ kind, dataPages: 16, incoming: { arenaBytes: 4096 } })
    for (let i = 0; i < 30; i += 1) {
      outgoing.staging.set(patternBytes(i, 1400))
      expect(outgoing.send(0, 1400, INBAND, 0, i, 0)).toBe(0)
    }
    let next = 0
    for (let count = incoming.drain(64); count > 0; count = incoming.drain(64)) {
      expect(count).toBeLessThanOrEqual(2)
      for (let i = 0; i < count; i += 1, next += 1) {
        expect(incoming.tidLow(i)).toBe(next)
        expect(payloadOf(incoming, i)).toEqual(patternBytes(next, 1400))
      }
    }
    expect(next).toBe(30)
  })

  test.each([
    [128, 65534],
    [129, 65533],
    [129, 65534],
    [129, 65535],
    [160, 65535],
  ])('a ring of %i data pages carries a packet of %i times 8 bytes', (dataPages, length8) => {
    const fixture = makeRing({ kind, dataPages, startAt: 8 * 4096 - 8, ramBytes: 1 << 20 })
    const { incoming, control } = fixture
    const total = length8 * 8 + 8
    for (const look of ['peek', 'drain'] as const) {
      if (look === 'peek') announcePacket(fixture, total)
      expect(look === 'peek' ? incoming.peek() : incoming.drain(8)).toBe(1)
      expect(incoming.payloadLength(0)).toBe(length8 * 8 - 16)
    }
    incoming.commit()
    expect(control[1]).toBe(control[0])
    expect([incoming.fault, incoming.drain(8), incoming.bytes]).toEqual([0, 0, total])
  })

  test('the largest packet a sender can write is one that the receiver takes', () => {
    const outgoingOptions = { stagingBytes: 1 << 19 }
    const fixture = makeRing({ kind, dataPages: 160, ramBytes: 1 << 20, outgoing: outgoingOptions })
    const { outgoing, incoming } = fixture
    expect(outgoing.maxBodyBytes).toBe(0xffff * 8 - 16)
    outgoing.staging.set(patternBytes(5, outgoing.maxBodyBytes))
    expect(outgoing.send(0, outgoing.maxBodyBytes, INBAND, 0, 1, 0)).toBe(0)
    expect(incoming.drain(8)).toBe(1)
    expect(Buffer.compare(payloadOf(incoming, 0), patternBytes(5, outgoing.maxBodyBytes))).toBe(0)
  })

  test.each([24, 32, 100, 2048])('an arena of %i bytes takes a packet that fills it', (bytes) => {
    const fixture = makeRing({ kind, incoming: { arenaBytes: bytes } })
    const arenaBytes = fixture.incoming.arena.length
    expect([arenaBytes % 16, arenaBytes >= bytes]).toEqual([0, true])
    announcePacket(fixture, arenaBytes)
    expect(fixture.incoming.drain(8)).toBe(1)
  })

  test('the private memory of a ring grows with its pages, up to the largest packet', () => {
    const bytesOf = (dataPages: number): number => {
      const { ring } = makeRing({ kind, dataPages, ramBytes: 1 << 20 })
      return incomingPrivateBytes(ring)
    }
    const entry = 8
    expect(bytesOf(16) - bytesOf(1)).toBe(15 * entry)
    expect(bytesOf(17) - bytesOf(16)).toBe(4096 + entry)
    expect(bytesOf(128) - bytesOf(127)).toBe(4096 + entry)
    expect(bytesOf(160) - bytesOf(128)).toBe(32 * entry)
  })

  test('a packet shown by peek stays until it is consumed, and spans hold its payload', () => {
    const { outgoing, incoming, memory } = makeRing({ kind, pfns: [0, 5, 2], startAt: 8192 - 40 })
    outgoing.staging.set(patternBytes(3, 96))
    outgoing.send(0, 96, INBAND, 1, 42, 0)
    expect(incoming.peek()).toBe(1)
    expect(incoming.peek()).toBe(1)
    expect([incoming.packetType(0), incoming.flags(0), incoming.tidLow(0)]).toEqual([6, 1, 42])
    const seen: number[] = []
    while (incoming.nextSpan()) {
      seen.push(...memory.u8.subarray(incoming.spanAt, incoming.spanAt + incoming.spanLength))
    }
    expect(seen).toEqual([...patternBytes(3, 96)])
    incoming.consume()
    expect(incoming.peek()).toBe(0)
    expect(() => incoming.consume()).toThrow('peeked at')
    incoming.commit()
    expect(outgoing.writableBytes()).toBe(8192 - 8)
  })

  test('peek after a partial drain shows the packet the drain stopped at', () => {
    const { outgoing, incoming } = makeRing({ kind })
    for (let i = 0; i < 4; i += 1) outgoing.send(0, 16, INBAND, 0, i, 0)
    incoming.drain(1)
    expect(incoming.peek()).toBe(1)
    expect(incoming.tidLow(0)).toBe(1)
    incoming.consume()
    expect(incoming.drain(8)).toBe(2)
    expect([incoming.tidLow(0), incoming.tidLow(1)]).toEqual([2, 3])
  })

  test('the ranges of a GPA-direct packet parse from the arena', () => {
    const { outgoing, incoming } = makeRing({ kind })
    const first = encodePageRange(outgoing.stagingView, 8, 0x10, 0x2000, [7, 9, 11])
    const second = encodePageRange(outgoing.stagingView, 8 + first, 0, 1, [13])
    expect(outgoing.writeGpaDirect(0, 2, first + second, 16, 1, 0, 0)).toBe(0)
    outgoing.commit()
    expect(incoming.drain(1)).toBe(1)
    expect(incoming.rangeCount(0)).toBe(2)
    expect(incoming.payloadLength(0)).toBe(16)
    const table = new PageRangeTable({ maxRanges: 4, maxPages: 16 })
    const status = parsePageRanges(
      incoming.arenaView,
      incoming.rangesAt(0),
      incoming.rangesLength(0),
      incoming.rangeCount(0),
      table,
    )
    expect(status).toBe(PageRangeStatus.OK)
    expect([...table.pfns.subarray(0, 4)]).toEqual([7, 9, 11, 13])
  })

  test('the set id and ranges of a transfer-page packet are readable', () => {
    const { outgoing, incoming } = makeRing({ kind })
    outgoing.stagingWords.set([0x40, 0x1000, 0x20, 0x2000], 2)
    outgoing.writeTransferPages(0, 0xcafe, 2, 8, 1, 0, 0)
    outgoing.commit()
    incoming.drain(1)
    expect([incoming.transferPageSetId(0), incoming.rangeCount(0)]).toEqual([0xcafe, 2])
    expect(incoming.rangesLength(0)).toBe(16)
    expect(incoming.arenaView.getUint32(incoming.rangesAt(0) + 12, true)).toBe(0x2000)
  })

  test('appended packets that do not fit stay, and go when there is room', () => {
    const { outgoing, incoming } = makeRing({ kind, startAt: 4096 - 64 })
    for (let i = 0; i < 6; i += 1) {
      const at = outgoing.append(1000, INBAND, 0, i, 0)
      outgoing.batch.set(patternBytes(i, 1000), at)
    }
    expect(outgoing.writeBatch()).toBe(3)
    expect(outgoing.appended).toBe(3)
    expect(outgoing.neededBytes).toBe(packetBytes(1000))
    outgoing.commit()
    const seen: number[] = []
    for (let round = 0; round < 4; round += 1) {
      const count = incoming.drain(64)
      for (let i = 0; i < count; i += 1) {
        seen.push(incoming.tidLow(i))
        expect(payloadOf(incoming, i)).toEqual(patternBytes(incoming.tidLow(i), 1000))
      }
      incoming.commit()
      outgoing.sendBatch()
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5])
    expect(outgoing.appended).toBe(0)
  })

  test('the batch area refuses what it cannot hold, and takes it after a flush', () => {
    const { outgoing } = makeRing({ kind, outgoing: { batchBytes: 128 } })
    expect(outgoing.append(64, INBAND, 0, 0, 0)).toBe(16)
    expect(outgoing.append(64, INBAND, 0, 0, 0)).toBe(RingStatus.FULL)
    outgoing.writeBatch()
    expect(outgoing.append(64, INBAND, 0, 0, 0)).toBe(16)
    outgoing.clearBatch()
    expect(outgoing.appended).toBe(0)
  })

  test('a packet written between appended ones is our own mistake, and said so', () => {
    const { outgoing } = makeRing({ kind })
    outgoing.append(8, INBAND, 0, 0, 0)
    outgoing.write(0, 8, INBAND, 0, 0, 0)
    expect(() => outgoing.sendBatch()).toThrow('between appended')
  })

  test('bytes outside the staging area are never sent', () => {
    const { outgoing } = makeRing({ kind, outgoing: { stagingBytes: 64 } })
    expect(() => outgoing.write(32, 40, INBAND, 0, 0, 0)).toThrow('staging area')
    expect(() => outgoing.send(-8, 8, INBAND, 0, 0, 0)).toThrow('staging area')
    expect(() => outgoing.writeEach(0, 32, 3, 16, INBAND, 0, 0, 0)).toThrow('staging area')
  })

  test('a closed end answers like a dead one and leaves the pages alone', () => {
    const { outgoing, incoming, memory } = makeRing({ kind })
    outgoing.append(8, INBAND, 0, 0, 0)
    outgoing.close()
    incoming.close()
    const before = memory.u8.slice()
    expect(outgoing.fault).toBe(RingFault.CLOSED)
    expect(outgoing.send(0, 8, INBAND, 0, 0, 0)).toBe(RingStatus.FAULT)
    expect(outgoing.sendBatch()).toBe(false)
    expect(outgoing.commit()).toBe(false)
    expect(outgoing.writableBytes()).toBe(RingStatus.FAULT)
    expect(outgoing.setPendingSendSize(64)).toBe(false)
    outgoing.clearPendingSendSize()
    expect(outgoing.spin(1)).toBe(false)
    expect(incoming.drain(1)).toBe(RingStatus.FAULT)
    expect(incoming.peek()).toBe(RingStatus.FAULT)
    expect(incoming.commit()).toBe(false)
    incoming.mask()
    expect(incoming.unmask()).toBe(false)
    expect(incoming.spin(1)).toBe(false)
    expect(Buffer.compare(memory.u8, before)).toBe(0)
  })

  test('an echo writes the payload it received', () => {
    const there = makeRing({ kind })
    const back = makeRing({ kind })
    there.outgoing.staging.set(patternBytes(9, 64))
    there.outgoing.send(0, 64, INBAND, 0, 5, 0)
    expect(there.incoming.drain(1)).toBe(1)
    expect(back.outgoing.writeReceived(there.incoming, 0, INBAND, 0, 6, 0)).toBe(0)
    back.outgoing.commit()
    expect(back.incoming.drain(1)).toBe(1)
    expect(payloadOf(back.incoming, 0)).toEqual(patternBytes(9, 64))
  })

  test('inspect names the state of both ends', () => {
    const { outgoing, incoming } = makeRing({ kind })
    outgoing.send(0, 8, INBAND, 0, 0, 0)
    incoming.drain(1)
    expect(outgoing.inspect()).toMatchObject({ fault: 'NONE', kernel: kind, next: 32, packets: 1 })
    expect(incoming.inspect()).toMatchObject({ fault: 'NONE', next: 32, published: 0, bytes: 32 })
  })
})
