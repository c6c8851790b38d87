import { PAGE_SIZE } from '@guestyard/hvdef'
import { GuestMemory, PageList } from '@guestyard/guestmem'
import { RingFault, RingPair, openRings, ringFaultName } from '@guestyard/ring'
import { describe, expect, test } from 'vitest'
import { KINDS, type RingFixture, announcePacket, makeRing, pokeData } from './ring-fixture.ts'

/** A ring with one packet of 16 payload bytes, whose words are then overwritten. */
function withPacket(kind: 'wasm' | 'typed', type = 6): RingFixture {
  const fixture = makeRing({ kind, incoming: { maxRanges: 4, maxPacketBytes: 1024 } })
  fixture.outgoing.stagingWords.set([0, 1, 8, 0, 1, 0], 0)
  fixture.outgoing.writeWithHeader(0, 24, 16, type, 0, 0, 0)
  fixture.outgoing.commit()
  return fixture
}

describe.each(KINDS)('what a peer can write, %s kernel', (kind) => {
  test.each([
    ['a write index beyond the ring', 0, PAGE_SIZE, 'BAD_WRITE_INDEX'],
    ['a write index that is not a multiple of 8', 0, 68, 'BAD_WRITE_INDEX'],
    ['a negative write index', 0, -8, 'BAD_WRITE_INDEX'],
    ['a write index that leaves 8 bytes', 0, 8, 'TRUNCATED_DESCRIPTOR'],
    ['a write index that leaves a descriptor alone', 0, 16, 'LENGTH_BEYOND_INDEX'],
    ['a write index in the middle of the packet', 0, 40, 'LENGTH_BEYOND_INDEX'],
  ])('%s', (_, word, value, fault) => {
    for (const look of ['drain', 'peek'] as const) {
      const { incoming, control } = withPacket(kind)
      control[word] = value
      expect(look === 'drain' ? incoming.drain(8) : incoming.peek()).toBe(-3)
      expect(ringFaultName(incoming.fault)).toBe(fault)
    }
  })

  test('a descriptor alone is judged as any other, whatever lies before it', () => {
    for (const look of ['drain', 'peek'] as const) {
      const fixture = withPacket(kind)
      const { incoming, control } = fixture
      const at = control[0]!
      pokeData(fixture, at, 0x00010006)
      control[0] = at + 16
      expect(incoming.drain(8)).toBe(1)
      expect(look === 'drain' ? incoming.drain(8) : incoming.peek()).toBe(-3)
      expect(incoming.fault).toBe(RingFault.BAD_OFFSET)
    }
  })

  test.each([
    ['8 bytes more than the arena', 2048, 2056],
    ['16 bytes more than the arena', 2048, 2064],
    ['the ring, but for the 8 bytes that stay free', 2048, 16 * PAGE_SIZE - 8],
    ['8 bytes, in an arena that holds nothing,', 0, 24],
    ['8 bytes, in an arena that holds a descriptor,', 16, 24],
  ])('a packet of %s is too large, and ends the ring', (_, arenaBytes, total) => {
    for (const look of ['drain', 'peek'] as const) {
      const fixture = makeRing({ kind, dataPages: 16, incoming: { arenaBytes } })
      const { incoming } = fixture
      announcePacket(fixture, total)
      expect(look === 'drain' ? incoming.drain(8) : incoming.peek()).toBe(-3)
      expect(incoming.fault).toBe(RingFault.PACKET_TOO_LARGE)
    }
  })

  test('packets before one that the arena cannot hold are delivered first', () => {
    const fixture = makeRing({ kind, dataPages: 16, incoming: { arenaBytes: 2048 } })
    fixture.outgoing.send(0, 8, 6, 0, 0, 0)
    fixture.outgoing.send(0, 2000, 6, 0, 1, 0)
    announcePacket(fixture, 2056)
    expect([1, 2, 3].map(() => fixture.incoming.drain(8))).toEqual([1, 1, -3])
    expect(fixture.incoming.fault).toBe(RingFault.PACKET_TOO_LARGE)
  })

  test('a limit above what the arena holds is that of the arena', () => {
    for (const total of [2048, 2056]) {
      const incoming = { arenaBytes: 2048, maxPacketBytes: 1 << 20 }
      const fixture = makeRing({ kind, dataPages: 16, incoming })
      announcePacket(fixture, total)
      expect(fixture.incoming.drain(8)).toBe(total === 2048 ? 1 : -3)
    }
  })

  test.each([
    ['payload offset below the descriptor', 0, 0x00010006, 'BAD_OFFSET'],
    ['payload offset beyond the packet', 0, 0x00080006, 'BAD_OFFSET'],
    ['a length of nothing', 4, 0, 'BAD_OFFSET'],
    ['a length beyond the write index', 4, 9, 'LENGTH_BEYOND_INDEX'],
    ['the largest length there is', 4, 0xffff, 'LENGTH_BEYOND_INDEX'],
    ['a reserved flag', 4, 0x00020007, 'BAD_FLAGS'],
    ['the highest flag', 4, 0x80000007 | 0, 'BAD_FLAGS'],
    ['type 0', 0, 0x00050000, 'UNKNOWN_TYPE'],
    ['type 8', 0, 0x00050008, 'UNKNOWN_TYPE'],
    ['type 38, which is 6 beyond 32', 0, 0x00050026, 'UNKNOWN_TYPE'],
    ['the highest type', 0, 0x0005ffff, 'UNKNOWN_TYPE'],
  ])('%s', (_, offset, value, fault) => {
    for (const look of ['drain', 'peek'] as const) {
      const fixture = withPacket(kind)
      pokeData(fixture, offset, value)
      const answer = look === 'drain' ? fixture.incoming.drain(8) : fixture.incoming.peek()
      expect(answer).toBe(-3)
      expect(ringFaultName(fixture.incoming.fault)).toBe(fault)
    }
  })

  test.each([
    ['no range', 20, 0, 'NO_RANGES'],
    ['more ranges than this end accepts', 20, 5, 'TOO_MANY_RANGES'],
    ['more ranges than the header holds', 20, 2, 'BAD_RANGE'],
    ['a range of no bytes', 24, 0, 'BAD_RANGE'],
    ['a range that needs more pages than the header holds', 24, 4097, 'BAD_RANGE'],
    ['a range offset beyond its first page', 28, 4096, 'BAD_RANGE'],
    ['a range whose end overflows', 24, 0xfffff001 | 0, 'BAD_RANGE'],
    ['a header without room for ranges', 0, 0x00020009, 'SHORT_HEADER'],
  ])('a GPA-direct packet with %s', (_, offset, value, fault) => {
    for (const look of ['drain', 'peek'] as const) {
      const fixture = withPacket(kind, 9)
      pokeData(fixture, offset, value)
      const answer = look === 'drain' ? fixture.incoming.drain(8) : fixture.incoming.peek()
      expect(answer).toBe(-3)
      expect(ringFaultName(fixture.incoming.fault)).toBe(fault)
    }
  })

  test('a transfer-page packet with more ranges than its header holds', () => {
    const fixture = withPacket(kind, 7)
    pokeData(fixture, 20, 3)
    expect(fixture.incoming.drain(8)).toBe(-3)
    expect(fixture.incoming.fault).toBe(RingFault.SHORT_HEADER)
  })

  test('a packet larger than this end accepts', () => {
    const { outgoing, incoming } = withPacket(kind)
    outgoing.send(0, 1010, 6, 0, 0, 0)
    expect(incoming.drain(8)).toBe(1)
    expect(incoming.drain(8)).toBe(-3)
    expect(incoming.fault).toBe(RingFault.PACKET_TOO_LARGE)
  })

  test('a write index that moves back over announced packets', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    for (let i = 0; i < 3; i += 1) outgoing.send(0, 8, 6, 0, 0, 0)
    incoming.drain(1)
    control[0] = 64
    expect(incoming.drain(8)).toBe(-3)
    expect(incoming.fault).toBe(RingFault.WRITE_INDEX_REWOUND)
  })

  test('a write index that wraps over what was taken and not given back', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    for (let i = 0; i < 3; i += 1) outgoing.send(0, 8, 6, 0, 0, 0)
    incoming.drain(3)
    control[0] = 32
    expect(incoming.drain(8)).toBe(-3)
    expect(incoming.fault).toBe(RingFault.WRITE_INDEX_REWOUND)
  })

  test.each([
    ['beyond the ring', PAGE_SIZE, 'BAD_READ_INDEX'],
    ['that is not a multiple of 8', 4, 'BAD_READ_INDEX'],
    ['past what was written', 128, 'READ_INDEX_REWOUND'],
    ['that moves back', 0, 'READ_INDEX_REWOUND'],
  ])('a read index %s', (_, value, fault) => {
    const { outgoing, incoming, control } = makeRing({ kind })
    for (let i = 0; i < 3; i += 1) outgoing.send(0, 8, 6, 0, 0, 0)
    incoming.drain(2)
    incoming.commit()
    expect(outgoing.writableBytes()).toBe(PAGE_SIZE - 8 - 32)
    control[1] = value
    expect(outgoing.writableBytes()).toBe(-3)
    expect(ringFaultName(outgoing.fault)).toBe(fault)
  })

  test('a bad read index met while publishing ends the ring without a signal', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    incoming.unmask()
    control[1] = 4
    expect(outgoing.send(0, 8, 6, 0, 0, 0)).toBe(0)
    expect(outgoing.fault).toBe(RingFault.BAD_READ_INDEX)
    expect(outgoing.send(0, 8, 6, 0, 0, 0)).toBe(-3)
  })

  test('a bad write index met while giving space back ends the ring without a signal', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    outgoing.send(0, 8, 6, 0, 0, 0)
    incoming.drain(1)
    control[3] = 4000
    control[0] = 4096
    expect(incoming.commit()).toBe(false)
    expect(incoming.fault).toBe(RingFault.BAD_WRITE_INDEX)
    expect(incoming.inspect().published).toBe(control[1])
  })

  test('a receiver that dies while giving space back does not sleep before it was told', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    outgoing.send(0, 8, 6, 0, 0, 0)
    incoming.drain(1)
    control[3] = 4000
    control[0] = 4
    expect([incoming.commit(), incoming.commit(), incoming.commitLazily()]).toEqual([
      false,
      false,
      false,
    ])
    expect([incoming.unmask(), incoming.unmask()]).toEqual([true, true])
    expect(incoming.drain(8)).toBe(-3)
    expect(incoming.unmask()).toBe(false)
    expect(control[2]).toBe(1)
  })

  test('a receiver that was told by peek or at its opening may sleep', () => {
    const { incoming, control } = makeRing({ kind, startAt: 4 })
    expect(incoming.fault).toBe(RingFault.BAD_READ_INDEX)
    expect(incoming.unmask()).toBe(true)
    expect(incoming.peek()).toBe(-3)
    expect(incoming.unmask()).toBe(false)
    expect(control[2]).toBe(0)
  })

  test('a sender that dies while asking for space is told to try again, once', () => {
    const { outgoing, control } = makeRing({ kind })
    for (let i = 0; i < 3; i += 1) outgoing.send(0, 1000, 6, 0, 0, 0)
    control[1] = 4
    expect(outgoing.setPendingSendSize(1024)).toBe(true)
    expect(outgoing.send(0, 1000, 6, 0, 0, 0)).toBe(-3)
    expect(outgoing.setPendingSendSize(1024)).toBe(false)
  })

  test('a descriptor changed after it was copied is not the one that is used', () => {
    const fixture = makeRing({ kind })
    for (let i = 0; i < 3; i += 1) fixture.outgoing.send(0, 8, 6, 0, i, 0)
    expect(fixture.incoming.drain(1)).toBe(1)
    pokeData(fixture, 32, -1)
    pokeData(fixture, 36, -1)
    expect(fixture.incoming.drain(8)).toBe(2)
    expect([fixture.incoming.tidLow(0), fixture.incoming.tidLow(1)]).toEqual([1, 2])
  })

  test('reserved words of the control page are ignored', () => {
    const { outgoing, incoming, control } = makeRing({ kind })
    for (let word = 4; word < 1024; word += 1) if (word !== 16) control[word] = -1
    expect(outgoing.send(0, 8, 6, 0, 0, 0)).toBe(0)
    expect(incoming.drain(1)).toBe(1)
    expect(incoming.commit()).toBe(false)
  })
})

describe('opening the rings of a channel', () => {
  const memory = GuestMemory.create({ sizeBytes: 1 << 18 })
  const pages = PageList.from(memory, [9, 4, 17, 3, 22])!

  test('a split that leaves either ring without a data page is refused', () => {
    for (const offset of [-1, 0, 1, 4, 5, 6, 1.5, Number.NaN]) {
      expect(openRings(pages, offset, 'host')).toBe('bad-split')
    }
  })

  test('indices that make no sense are refused', () => {
    for (const at of [9, 17]) {
      for (const word of [0, 1]) {
        memory.u8.fill(0)
        memory.i32[at * 1024 + word] = 12
        expect(openRings(pages, 2, 'host')).toBe('bad-control-page')
      }
    }
  })

  test('both sides meet in the middle', () => {
    memory.u8.fill(0xff)
    const guest = openRings(pages, 2, 'guest')
    const host = openRings(pages, 2, 'host')
    if (!(guest instanceof RingPair && host instanceof RingPair)) throw new Error('refused')
    expect([guest.outgoing.sizeBytes, guest.incoming.sizeBytes]).toEqual([4096, 8192])
    guest.outgoing.staging.fill(7, 0, 8)
    guest.outgoing.send(0, 8, 6, 1, 5, 0)
    expect(host.incoming.drain(1)).toBe(1)
    expect(host.outgoing.writeReceived(host.incoming, 0, 0xb, 0, host.incoming.tidLow(0), 0)).toBe(
      0,
    )
    host.outgoing.commit()
    expect(guest.incoming.drain(1)).toBe(1)
    expect([guest.incoming.packetType(0), guest.incoming.tidLow(0)]).toEqual([0xb, 5])
    expect(guest.incoming.arena[guest.incoming.payloadAt(0)]).toBe(7)
    guest.close()
    host.close()
    host.close()
  })

  test('ten thousand pairs opened and closed in turn reuse what the first ones left', () => {
    for (let round = 0; round < 10_000; round += 1) {
      const guest = openRings(pages, 2, 'guest')
      if (!(guest instanceof RingPair)) throw new Error('refused')
      guest.close()
      expect(guest.outgoing.fault).toBe(RingFault.CLOSED)
    }
  })
})
