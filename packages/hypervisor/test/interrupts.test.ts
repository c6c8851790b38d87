import { HvStatus } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { NMI_VECTOR } from '../src/index.ts'
import { Guest } from './guest.ts'

describe('an interrupt that the root requests', () => {
  test.each([15, 256, -1, 32.5, Number.NaN])('vector %d is INVALID_PARAMETER', (vector) => {
    const [vp] = new Guest().partition.vps
    expect(vp!.requestInterrupt(vector, false)).toBe(HvStatus.INVALID_PARAMETER)
    expect(vp!.setLine(vector, true)).toBe(HvStatus.INVALID_PARAMETER)
  })

  test('rings once for many, and all arrive by priority', () => {
    const guest = new Guest().boot()
    const vectors = [16, 31, 32, 0x55, 0xf3, 255]
    const rings = guest.vpBells[0]!.rings
    for (const vector of vectors) guest.partition.vps[0]!.requestInterrupt(vector, false)
    expect(guest.vpBells[0]!.rings).toBe(rings + 1)
    expect(guest.vp.hasWork).toBe(true)
    const taken = vectors.map(() => guest.takeInterrupt())
    // Vectors 16 to 31 are class 1, which no task priority of 0 holds back.
    expect(taken).toEqual(vectors.toReversed())
    expect(guest.vp.hasWork).toBe(false)
  })

  test('that ends by itself leaves nothing in service', () => {
    const guest = new Guest().boot()
    guest.partition.vps[0]!.requestInterrupt(0x40, true)
    guest.vp.acknowledge(guest.vp.deliver())
    expect(guest.vp.inspect().apic.inService).toEqual([])
  })

  test('the VP gets exactly the set that was requested since it looked', () => {
    fc.assert(
      fc.property(fc.array(fc.uniqueArray(fc.integer({ min: 16, max: 255 }))), (rounds) => {
        const guest = new Guest().boot()
        for (const vectors of rounds) {
          for (const vector of vectors) guest.partition.vps[0]!.requestInterrupt(vector, false)
          const taken = []
          for (let at = guest.takeInterrupt(); at >= 0; at = guest.takeInterrupt()) taken.push(at)
          expect(taken).toEqual(vectors.toSorted((a, b) => b - a))
        }
      }),
    )
  })
})

describe('a level-triggered line', () => {
  test('is requested again at EOI while it is asserted, and not once it was released', () => {
    const ended: number[] = []
    const guest = new Guest({
      listener: {
        queueSpace() {},
        interruptEnded: (_vp, vector) => void ended.push(vector),
      },
    }).boot()
    const [root] = guest.partition.vps
    root!.setLine(0x31, true)
    for (let round = 0; round < 3; round++) {
      expect(guest.takeInterrupt(), `round ${round}`).toBe(0x31)
      expect(guest.takeInterrupt()).toBe(-1)
      guest.hypervisor.poll(10)
    }
    expect(guest.vp.deliver()).toBe(0x31)
    root!.setLine(0x31, false)
    expect(guest.takeInterrupt()).toBe(0x31)
    guest.hypervisor.poll(10)
    expect(guest.takeInterrupt()).toBe(-1)
    expect(ended).toEqual([0x31, 0x31, 0x31, 0x31])
  })

  test('that stays asserted is one request, and an edge of the same vector is no level', () => {
    const guest = new Guest().boot()
    const [root] = guest.partition.vps
    root!.setLine(0x31, true)
    root!.setLine(0x31, true)
    expect(root!.interruptsRequested).toBe(1)
    guest.vp.deliver()
    expect(guest.vp.inspect().apic.level).toEqual([0x31])
    guest.takeInterrupt()
    root!.requestInterrupt(0x31, false)
    guest.vp.deliver()
    expect(guest.vp.inspect().apic.level).toEqual([])
  })
})

describe('a non-maskable interrupt', () => {
  test('comes before all others, whatever the priority, and not again before its handler returned', () => {
    const guest = new Guest().boot()
    const [root] = guest.partition.vps
    root!.requestInterrupt(0xff, false)
    guest.vp.acknowledge(guest.vp.deliver())
    root!.requestNmi()
    expect(guest.vp.deliver()).toBe(NMI_VECTOR)
    expect(guest.vp.acknowledge(NMI_VECTOR)).toBe(true)
    expect(guest.vp.acknowledge(NMI_VECTOR)).toBe(false)
    root!.requestNmi()
    root!.requestNmi()
    expect(guest.vp.deliver()).toBe(-1)
    guest.vp.returnFromNmi()
    expect(guest.vp.deliver()).toBe(NMI_VECTOR)
    guest.vp.acknowledge(NMI_VECTOR)
    guest.vp.returnFromNmi()
    expect(guest.vp.deliver()).toBe(-1)
  })
})
