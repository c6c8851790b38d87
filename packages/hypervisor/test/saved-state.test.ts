// A VP's saved record: what goes into it, when there is none, and a partition that takes it over.

import { SyntheticMsr } from '@guestyard/hvdef'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import type { SavedVp } from '../src/index.ts'
import { Guest, SINT, VECTOR } from './guest.ts'

const ONE_SHOT_CONFIG = (SINT << 16) | (1 << 3)
const SIM_SLOT = SINT * 256

function savedOf(guest: Guest): SavedVp {
  const saved = guest.vp.save()
  if (saved === null) throw new Error('something is on its way')
  return saved
}

/** Another hypervisor's partition with the same RAM and the same time, which has taken the record over. */
function restoredFrom(guest: Guest, saved: SavedVp): Guest {
  const other = new Guest()
  other.clock.now100ns = 77_000_000
  other.memory.u8.set(guest.memory.u8)
  other.partition.setTimeFrozen(true)
  other.partition.setReferenceTime(guest.partition.referenceTime)
  other.partition.setTimeFrozen(false)
  expect(other.vp.restore(structuredClone(saved))).toBe(true)
  return other
}

function readAll(guest: Guest, saved: SavedVp): unknown[] {
  return saved.msrs.map(({ msr }) => {
    expect(guest.vp.readMsr(msr, guest.vp.msr)).toBe(true)
    return { msr, ...guest.vp.msr }
  })
}

test('a partition that takes a record over has the same registers, and saves the same record', () => {
  const guest = new Guest().boot()
  guest.vp.writeMsr(SyntheticMsr.CRASH_P0, 0x1234, 0x5678)
  const saved = savedOf(guest)
  const other = restoredFrom(guest, saved)
  expect(readAll(other, saved)).toEqual(saved.msrs)
  // The partition's time was set: that is on its way to the reference TSC page.
  other.vp.deliver()
  expect(savedOf(other)).toEqual(saved)
})

test('what an overlay covers comes back when the guest takes the overlay away', () => {
  const guest = new Guest()
  guest.memory.u8.fill(0xa5, guest.simGpa(), guest.simGpa() + 4096)
  guest.boot()
  // What the page shows is its own, here a message that the guest has not read.
  guest.memory.view.setUint32(guest.simGpa() + SIM_SLOT, 7, true)
  const other = restoredFrom(guest, savedOf(guest))
  expect(other.memory.view.getUint32(other.simGpa() + SIM_SLOT, true)).toBe(7)
  other.vp.writeMsr(SyntheticMsr.SIMP, 0, 0)
  const uncovered = other.memory.u8.slice(other.simGpa(), other.simGpa() + 4096)
  expect(uncovered.every((byte) => byte === 0xa5)).toBe(true)
})

test('messages and flags reach the guest as before', () => {
  const guest = new Guest().boot()
  const other = restoredFrom(guest, savedOf(guest))
  other.partition.postMessageToVp(0, SINT, 1, Uint8Array.of(9), 1, 3)
  other.partition.signalEventToVp(0, SINT, 40)
  expect(other.vp.deliver()).toBe(VECTOR)
  expect(other.memory.view.getUint32(other.simGpa() + SIM_SLOT, true)).toBe(1)
  expect(other.memory.u8[other.siefGpa() + SINT * 256 + 5]).toBe(1)
})

test('a one-shot timer fires when it would have, by a reference time that stood still meanwhile', () => {
  const guest = new Guest().boot()
  guest.vp.writeMsr(SyntheticMsr.STIMER0_CONFIG, ONE_SHOT_CONFIG, 0)
  guest.vp.writeMsr(SyntheticMsr.STIMER0_COUNT, 50_000, 0)
  guest.clock.now100ns += 30_000
  const left = 50_000 - guest.partition.referenceTime
  const other = restoredFrom(guest, savedOf(guest))
  other.clock.now100ns += left - 1
  expect(other.vp.deliver()).toBe(-1)
  other.clock.now100ns += 1
  expect(other.vp.deliver()).toBe(VECTOR)
})

test('there is no record while something is on its way into the guest', () => {
  const guest = new Guest().boot()
  guest.partition.postMessageToVp(0, SINT, 1, Uint8Array.of(9), 1, 3)
  expect(guest.vp.save()).toBeNull()
  const vector = guest.vp.deliver()
  expect(guest.vp.save()).toBeNull()
  guest.vp.acknowledge(vector)
  expect(guest.vp.save()).toBeNull()
  guest.vp.endOfInterrupt()
  expect(guest.vp.save()).not.toBeNull()
})

test('a record can write no other registers than it is made of, and nothing into them that a guest could not', () => {
  const saved = savedOf(new Guest().boot())
  const any = { low: fc.nat(0xffff_ffff), high: fc.nat(0xffff_ffff) }
  const msrs = fc.array(fc.record({ msr: fc.nat(0x4000_0200), ...any }), { minLength: 1 })
  fc.assert(
    fc.property(msrs, (written) => {
      const known = written.every(({ msr }) => saved.msrs.some((one) => one.msr === msr))
      const taken = new Guest().vp.restore({ ...saved, msrs: written })
      return known || !taken
    }),
    { numRuns: 50 },
  )
  const wrong: SavedVp[] = [
    { ...saved, version: 2 },
    { ...saved, timers: [] },
    { ...saved, timers: saved.timers.map(() => ({ due: -1, owed: Number.NaN })) },
    { ...saved, covered: { ...saved.covered, sim: new Uint8Array(5) } },
    { ...saved, msrs: [{ msr: SyntheticMsr.SIMP, low: 1, high: 0xffff }] },
  ]
  for (const one of wrong) expect(new Guest().vp.restore(one)).toBe(false)
})
