// Every word of both control pages and every field of a descriptor, at the values where checks go wrong, one at a time, held
// against what a host must do about it (the receiver's checks of a ring, written down here a second time).

import { describe, expect, test } from 'vitest'
import {
  PACKET_TYPE_COMPLETION,
  PACKET_TYPE_DATA_INBAND,
  PACKET_TYPE_DATA_USING_GPA_DIRECT,
  PACKET_TYPE_DATA_USING_TRANSFER_PAGES,
  RING_WORD_FEATURE_BITS,
  RING_WORD_IN,
  RING_WORD_INTERRUPT_MASK,
  RING_WORD_OUT,
  RING_WORD_PENDING_SEND_SIZE,
} from '@guestyard/hvdef'
import { RingFault, ringFaultName } from '@guestyard/ring'

import { EndlessLoad } from './endless-load.ts'
import { CONTROL_WORDS, boundaryValues } from './ring-pages.ts'
import { Victim } from './victim.ts'
import { Yard } from './yard.ts'

interface Scene {
  readonly yard: Yard
  readonly neighbour: EndlessLoad
  readonly victim: Victim
}

function scene(): Scene {
  const yard = new Yard()
  const neighbour = new EndlessLoad(yard, yard.boot('neighbour'))
  const victim = new Victim(yard, yard.boot('victim', 'scattered'))
  yard.restRoot()
  return { yard, neighbour, victim }
}

/** The host looks; what it reports is noted. */
function hostLooks({ yard, victim }: Scene): void {
  victim.signal()
  yard.restRoot()
  victim.noteEvents()
}

function reopen({ yard, victim }: Scene): void {
  victim.close()
  victim.open()
  yard.restRoot()
}

const NAMES: Readonly<Record<number, string>> = {
  [RING_WORD_IN]: 'in',
  [RING_WORD_OUT]: 'out',
  [RING_WORD_INTERRUPT_MASK]: 'interrupt mask',
  [RING_WORD_PENDING_SEND_SIZE]: 'pending send size',
  [RING_WORD_FEATURE_BITS]: 'feature bits',
}

function nameOf(word: number): string {
  return NAMES[word] ?? `reserved word ${word}`
}

describe('words of the control pages', () => {
  test('a guest may write any value to any word but the indices it owns, and its channel lives', () => {
    const on = scene()
    for (const side of ['up', 'down'] as const) {
      const owned = side === 'up' ? RING_WORD_IN : RING_WORD_OUT
      for (let word = 0; word < CONTROL_WORDS; word += 1) {
        if (word === owned) continue
        const ring = on.victim.rings[side]
        const before = ring.control(word)
        for (const value of boundaryValues(ring.dataBytes)) {
          ring.setControl(word, value)
          on.victim.signal()
          on.yard.pollRoot()
        }
        on.yard.restRoot()
        on.victim.noteEvents()
        expect(on.victim.failure, `${side}, ${nameOf(word)}`).toBeUndefined()
        ring.setControl(word, before)
        if (word % 16 === 0) on.neighbour.mustProgress()
      }
    }
    // After all that, the channel still carries packets.
    const { rings } = on.victim
    const written = rings.down.control(RING_WORD_IN)
    on.victim.load('echo', 64)
    for (let turn = 0; turn < 20; turn += 1) {
      on.victim.turn()
      on.yard.pollRoot()
    }
    expect(on.victim.isOpen).toBe(true)
    expect(rings.down.control(RING_WORD_IN)).not.toBe(written)
    on.neighbour.mustBeUntouched()
    on.victim.mustBeUntouchedElsewhere()
  })

  test('a write index outside the data, or not a multiple of 8, costs the guest its channel at once', () => {
    const on = scene()
    const { dataBytes } = on.victim.rings.up
    for (const value of boundaryValues(dataBytes)) {
      const index = value >>> 0
      if (index < dataBytes && index % 8 === 0) continue
      on.victim.rings.up.setControl(RING_WORD_IN, index)
      hostLooks(on)
      expect(on.victim.failure, `in = ${index}`).toBe(RingFault.BAD_WRITE_INDEX)
      on.neighbour.mustProgress()
      reopen(on)
    }
  })

  test('a read index outside the data, or not a multiple of 8, costs the guest its channel when the host needs room', () => {
    const on = scene()
    const { dataBytes } = on.victim.rings.down
    for (const value of boundaryValues(dataBytes)) {
      const index = value >>> 0
      if (index < dataBytes && index % 8 === 0) continue
      on.victim.load('root-to-guest', 1000)
      // The host fills the ring of a guest that reads nothing, and looks at the read index again and again.
      on.victim.rings.down.setControl(RING_WORD_OUT, index)
      hostLooks(on)
      expect(on.victim.failure, `out = ${index}`).toBe(RingFault.BAD_READ_INDEX)
      on.neighbour.mustProgress()
      reopen(on)
    }
  })
})

interface Descriptor {
  readonly type: number
  readonly offset8: number
  readonly length8: number
  readonly flags: number
  /** Bytes that the write index moves on. */
  readonly announced: number
}

const ACCEPTED_TYPES: ReadonlySet<number> = new Set([
  PACKET_TYPE_DATA_INBAND,
  PACKET_TYPE_DATA_USING_TRANSFER_PAGES,
  PACKET_TYPE_DATA_USING_GPA_DIRECT,
  PACKET_TYPE_COMPLETION,
])

/** What must become of a packet whose bytes behind the descriptor are all zero. The order is the order of the checks. */
function verdict({ type, offset8, length8, flags, announced }: Descriptor): readonly number[] {
  if (announced < 16) return [RingFault.TRUNCATED_DESCRIPTOR]
  const faults: number[] = []
  // 16 bytes hold a descriptor and no trailer: nothing that fits them is a packet, whichever check says so.
  if (announced < 24) faults.push(RingFault.TRUNCATED_DESCRIPTOR)
  if (offset8 < 2 || offset8 > length8) faults.push(RingFault.BAD_OFFSET)
  if (length8 * 8 + 8 > announced) faults.push(RingFault.LENGTH_BEYOND_INDEX)
  if ((flags & ~1) !== 0) faults.push(RingFault.BAD_FLAGS)
  if (!ACCEPTED_TYPES.has(type)) faults.push(RingFault.UNKNOWN_TYPE)
  const hasRanges =
    type === PACKET_TYPE_DATA_USING_GPA_DIRECT || type === PACKET_TYPE_DATA_USING_TRANSFER_PAGES
  if (hasRanges && offset8 < 3) faults.push(RingFault.SHORT_HEADER)
  else if (type === PACKET_TYPE_DATA_USING_GPA_DIRECT) faults.push(RingFault.NO_RANGES)
  return faults
}

function* descriptors(): Generator<Descriptor> {
  const types = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 31, 32, 38, 0x106, 0x8006, 0xffff]
  const lengths = [0, 1, 2, 3, 4, 8, 512, 1533, 1535, 1536, 0x7fff, 0xffff]
  const offsets = [0, 1, 2, 3, 4, 9, 0x7fff, 0xffff]
  const flags = [0, 1, 2, 3, 0x100, 0x8000, 0xffff]
  const plain = { type: 6, offset8: 2, length8: 4, flags: 0, announced: 40 }
  for (const type of types) yield { ...plain, type }
  for (const type of types) yield { ...plain, type, offset8: 3 }
  for (const flag of flags) yield { ...plain, flags: flag }
  for (const length8 of lengths) {
    const announced = Math.min(length8 * 8 + 8, 12_272)
    for (const offset8 of offsets) yield { ...plain, length8, offset8, announced }
    for (const wrong of [-8, 8]) {
      const off = announced + wrong
      if (off > 0 && off <= 12_272) yield { ...plain, length8, announced: off }
    }
  }
  for (const announced of [8, 16, 24, 32, 40]) yield { ...plain, announced }
}

describe('fields of a descriptor', () => {
  test('each boundary value is accepted or costs the channel, as the checks of a receiver say', () => {
    const on = scene()
    let accepted = 0
    for (const descriptor of descriptors()) {
      // More than one byte packet behind the first would be judged too: an announced remainder is zeros.
      const { up } = on.victim.rings
      for (let at = 0; at < up.dataBytes; at += 4) up.setData(at, 0)
      const start = up.control(RING_WORD_OUT)
      const { type, offset8, length8, flags, announced } = descriptor
      up.setData(start, type | (offset8 << 16))
      up.setData(start + 4, length8 | (flags << 16))
      up.setControl(RING_WORD_IN, (start + announced) % up.dataBytes)
      hostLooks(on)

      const faults = verdict(descriptor)
      const { failure } = on.victim
      const name = typeof failure === 'number' ? ringFaultName(failure) : failure
      const what = `${JSON.stringify(descriptor)} at ${start}: ${name}`
      const isWhole = length8 * 8 + 8 === announced
      if (faults.length > 0) {
        expect(faults, what).toContain(failure)
      } else if (isWhole) {
        expect(failure, what).toBeUndefined()
        expect(up.control(RING_WORD_OUT), what).toBe((start + announced) % up.dataBytes)
        accepted += 1
      } else {
        // What follows the packet is zeros, which are no packet.
        expect(failure, what).not.toBeUndefined()
      }
      on.neighbour.mustProgress()
      if (failure !== undefined) reopen(on)
    }
    expect(accepted).toBeGreaterThan(20)
    on.neighbour.mustBeUntouched()
    on.victim.mustBeUntouchedElsewhere()
  })

  test('the same descriptor is judged alike at every place of the ring, across its end too', () => {
    const on = scene()
    const { up } = on.victim.rings
    const places = up.dataBytes / 8
    const seen = new Set<number>()
    // 40 bytes and the ring's size share no factor beyond 8: going round, a packet begins at every place there is.
    for (let packet = 0; packet < places; packet += 1) {
      const start = up.control(RING_WORD_OUT)
      seen.add(start)
      up.setData(start, PACKET_TYPE_DATA_INBAND | (2 << 16))
      up.setData(start + 4, 4)
      up.setControl(RING_WORD_IN, (start + 40) % up.dataBytes)
      hostLooks(on)
      expect(on.victim.failure, `at ${start}`).toBeUndefined()
      expect(up.control(RING_WORD_OUT)).toBe((start + 40) % up.dataBytes)
    }
    expect(seen.size).toBe(places)
  })
})
