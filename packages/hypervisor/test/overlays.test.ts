import { PAGE_SIZE, SyntheticMsr } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { Guest, RAM_BYTES, SINT, VECTOR } from './guest.ts'

const M = SyntheticMsr
const PAGES = RAM_BYTES / PAGE_SIZE
const PER_VP = [
  ['SIM', M.SIMP],
  ['SIEF', M.SIEFP],
  ['assist', M.VP_ASSIST_PAGE],
] as const
const ALL = [...PER_VP, ['hypercall', M.HYPERCALL], ['reference TSC', M.REFERENCE_TSC]] as const

/** A guest whose every page is filled with its number, with a guest OS id and nothing else. */
function painted(vpCount = 1): Guest {
  const guest = new Guest({ vpCount })
  guest.vp.writeMsr(M.GUEST_OS_ID, 1, 0x8100_0000)
  for (let page = 0; page < PAGES; page++) guest.memory.fill(page * PAGE_SIZE, page + 1, PAGE_SIZE)
  return guest
}

function place(guest: Guest, msr: number, page: number | null, vp = 0): boolean {
  return guest.vps[vp]!.writeMsr(msr, page === null ? 0 : page * PAGE_SIZE + 1, 0)
}

function isPaint(guest: Guest, page: number): boolean {
  const bytes = guest.memory.u8.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
  return bytes.every((byte) => byte === page + 1)
}

describe.each(ALL)('the %s overlay (TLFS, "GPA Overlay Pages")', (_, msr) => {
  test('covers a page, and the RAM beneath comes back when it is disabled', () => {
    const guest = painted()
    place(guest, msr, 9)
    expect(isPaint(guest, 9)).toBe(false)
    expect(isPaint(guest, 8) && isPaint(guest, 10)).toBe(true)
    place(guest, msr, null)
    expect(isPaint(guest, 9)).toBe(true)
  })

  test('moves, and leaves each page as it found it', () => {
    const guest = painted()
    for (const page of [9, 20, 9, 63, 0]) {
      expect(place(guest, msr, page)).toBe(true)
      for (let other = 0; other < PAGES; other++) {
        expect(isPaint(guest, other), `page ${other}`).toBe(other !== page)
      }
    }
  })

  test('outside RAM is #GP, and stays where it was', () => {
    const guest = painted()
    place(guest, msr, 9)
    expect(place(guest, msr, PAGES)).toBe(false)
    expect(guest.vp.writeMsr(msr, 1, 0xffff_ffff)).toBe(false)
    expect(isPaint(guest, 9)).toBe(false)
    guest.vp.readMsr(msr, guest.vp.msr)
    expect(guest.vp.msr).toEqual({ low: 9 * PAGE_SIZE + 1, high: 0 })
  })
})

describe.each(PER_VP)('the content of the %s page', (_, msr) => {
  test('is zeros at first, and lives through being moved and disabled', () => {
    const guest = painted()
    place(guest, msr, 9)
    const page = (number: number) =>
      guest.memory.u8.subarray(number * PAGE_SIZE, (number + 1) * PAGE_SIZE)
    expect(page(9).every((byte) => byte === 0)).toBe(true)
    page(9)[700] = 0x5a
    place(guest, msr, 12)
    expect(page(12)[700]).toBe(0x5a)
    place(guest, msr, null)
    place(guest, msr, 30)
    expect(page(30)[700]).toBe(0x5a)
  })
})

describe('two overlays at one page', () => {
  test('of two VPs: the first is seen, the second comes when it leaves', () => {
    const guest = painted(2)
    place(guest, M.SIMP, 9, 0)
    guest.memory.u8[9 * PAGE_SIZE] = 1
    place(guest, M.SIMP, 9, 1)
    expect(guest.memory.u8[9 * PAGE_SIZE]).toBe(1)
    place(guest, M.SIMP, null, 0)
    expect(isPaint(guest, 9)).toBe(true)
    guest.vps[1]!.deliver()
    expect(guest.memory.u8[9 * PAGE_SIZE]).toBe(0)
    place(guest, M.SIMP, null, 1)
    expect(isPaint(guest, 9)).toBe(true)
  })

  test('of the partition and a VP, in either order', () => {
    for (const [first, second] of [
      [M.HYPERCALL, M.SIMP],
      [M.SIEFP, M.HYPERCALL],
      [M.REFERENCE_TSC, M.VP_ASSIST_PAGE],
      [M.SIMP, M.REFERENCE_TSC],
    ] as const) {
      const guest = painted()
      place(guest, first, 9)
      const seen = guest.memory.u8.slice(9 * PAGE_SIZE, 10 * PAGE_SIZE)
      place(guest, second, 9)
      expect(guest.memory.u8.slice(9 * PAGE_SIZE, 10 * PAGE_SIZE)).toEqual(seen)
      place(guest, first, null)
      guest.vp.deliver()
      expect(isPaint(guest, 9)).toBe(false)
      place(guest, second, null)
      expect(isPaint(guest, 9)).toBe(true)
    }
  })

  test('a SIM page that is not seen takes messages all the same, and shows them later', () => {
    const guest = painted(2)
    place(guest, M.SIMP, 9, 0)
    const [, vp] = guest.vps
    place(guest, M.SIMP, 9, 1)
    vp!.writeMsr(M.SINT0 + SINT, VECTOR, 0)
    vp!.writeMsr(M.SCONTROL, 1, 0)
    guest.partition.postMessageToVp(1, SINT, 1, new Uint8Array([42]), 1, 1)
    expect(vp!.deliver()).toBe(VECTOR)
    const slot = 9 * PAGE_SIZE + SINT * 256
    expect(guest.memory.u8[slot]).toBe(0)
    place(guest, M.SIMP, null, 0)
    vp!.deliver()
    expect([guest.memory.u8[slot], guest.memory.u8[slot + 16]]).toEqual([1, 42])
  })

  test('any order of placing, moving and removing by three VPs ends with all RAM as it was', () => {
    const step = fc.record({
      msr: fc.constantFrom(...ALL.map(([, msr]) => msr)),
      vp: fc.nat(2),
      page: fc.option(fc.constantFrom(5, 6, 7, PAGES)),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const guest = painted(3)
        for (const { msr, vp, page } of steps) {
          place(guest, msr, page, vp)
          for (let other = 0; other < 5; other++) expect(isPaint(guest, other)).toBe(true)
        }
        for (const vp of guest.vps) vp.deliver()
        for (const [, msr] of ALL) for (const vp of [0, 1, 2]) place(guest, msr, null, vp)
        for (let page = 0; page < PAGES; page++) expect(isPaint(guest, page)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })
})

describe('the hypercall page', () => {
  test('holds its code again after a guest wrote over it and moved it', () => {
    const guest = painted()
    place(guest, M.HYPERCALL, 9)
    guest.memory.fill(9 * PAGE_SIZE, 0, 16)
    place(guest, M.HYPERCALL, 10)
    expect([...guest.memory.u8.subarray(10 * PAGE_SIZE, 10 * PAGE_SIZE + 4)]).toEqual([
      0xe6, 0xee, 0xc3, 0xcc,
    ])
  })

  test('that is locked stays, and refuses every write', () => {
    const guest = painted()
    guest.vp.writeMsr(M.HYPERCALL, 9 * PAGE_SIZE + 3, 0)
    expect(place(guest, M.HYPERCALL, 10)).toBe(false)
    expect(place(guest, M.HYPERCALL, null)).toBe(false)
    guest.vp.writeMsr(M.GUEST_OS_ID, 0, 0)
    expect(isPaint(guest, 9)).toBe(false)
    expect(isPaint(guest, 10)).toBe(true)
  })

  test('goes when the guest OS id becomes 0, and its RAM comes back', () => {
    const guest = painted()
    place(guest, M.HYPERCALL, 9)
    guest.vp.writeMsr(M.GUEST_OS_ID, 0, 0)
    expect(isPaint(guest, 9)).toBe(true)
  })
})

test('the root is told where overlays are, so that no device reaches them', () => {
  const guest = painted(2)
  const { slat } = guest.partition
  place(guest, M.SIMP, 9, 1)
  place(guest, M.HYPERCALL, 12)
  slat.overlays.sample()
  expect([9, 12, 10].map((page) => slat.overlays.isCovered(page))).toEqual([true, true, false])
  place(guest, M.SIMP, null, 1)
  slat.overlays.sample()
  expect(slat.overlays.isCovered(9)).toBe(false)
})
