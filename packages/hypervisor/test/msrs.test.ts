import { HvPrivilege, PAGE_SIZE, SINT_MASKED, SyntheticMsr, privilegeMask } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { SYNTHETIC_MSRS } from '../src/synthetic-msrs.ts'
import { Guest, HYPERCALL_PAGE, RAM_BYTES, SINT } from './guest.ts'

const M = SyntheticMsr
const PAST_RAM = RAM_BYTES | 1
const ALL = privilegeMask([...SYNTHETIC_MSRS].flatMap((row) => row.privilege ?? []))

function read(guest: Guest, msr: number): [number, number] {
  expect(guest.vp.readMsr(msr, guest.vp.msr)).toBe(true)
  return [guest.vp.msr.low, guest.vp.msr.high]
}

describe('access (TLFS, "Synthetic MSRs")', () => {
  test.each([
    ['VP_INDEX', M.VP_INDEX],
    ['TIME_REF_COUNT', M.TIME_REF_COUNT],
    ['SVERSION', M.SVERSION],
  ])('a write to %s is #GP', (_, msr) => expect(new Guest().vp.writeMsr(msr, 0, 0)).toBe(false))

  test('a read of EOI is #GP, and a read of EOM is 0', () => {
    const guest = new Guest()
    expect(guest.vp.readMsr(M.EOI, guest.vp.msr)).toBe(false)
    expect(read(guest, M.EOM)).toEqual([0, 0])
  })

  test.each([
    0,
    0x10,
    0x3fff_ffff,
    0x4000_0004,
    M.REENLIGHTENMENT_CONTROL,
    M.TIME_UNHALTED_TIMER_CONFIG,
    0x4000_00b8,
    0x4000_0200,
    0xc000_0080,
  ])('MSR %i has no row: #GP both ways', (msr) => {
    const guest = new Guest()
    expect(guest.vp.readMsr(msr, guest.vp.msr)).toBe(false)
    expect(guest.vp.writeMsr(msr, 0, 0)).toBe(false)
  })

  test.each(
    SYNTHETIC_MSRS.filter((row) => row.privilege !== null).map((row) => [row.name, row] as const),
  )('%s without its privilege is #GP both ways', (_, row) => {
    const bit = row.privilege!
    const guest = new Guest({ privileges: { low: (ALL.low & ~(1 << bit)) >>> 0, high: ALL.high } })
    for (let index = 0; index < row.count; index++) {
      expect(guest.vp.readMsr(row.msr + index, guest.vp.msr)).toBe(false)
      expect(guest.vp.writeMsr(row.msr + index, 0, 0)).toBe(false)
    }
  })

  test('VP_ASSIST_PAGE needs no privilege, since Linux writes it without one', () => {
    const guest = new Guest({ privileges: privilegeMask([HvPrivilege.ACCESS_VP_INDEX]) })
    expect(guest.vp.writeMsr(M.VP_ASSIST_PAGE, PAGE_SIZE | 1, 0)).toBe(true)
    expect(read(guest, M.VP_ASSIST_PAGE)).toEqual([PAGE_SIZE | 1, 0])
    expect(guest.vp.writeMsr(M.VP_ASSIST_PAGE, PAGE_SIZE | 3, 0)).toBe(false)
    expect(guest.vp.writeMsr(M.VP_ASSIST_PAGE, PAST_RAM, 0)).toBe(false)
  })

  test('no sequence of writes of any values throws, and a refused one changes nothing that reads back', () => {
    const rows = SYNTHETIC_MSRS.filter((row) => row.write !== null)
    const u32 = fc.oneof(
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.integer({ min: 0, max: RAM_BYTES / PAGE_SIZE }).map((page) => page * PAGE_SIZE + 1),
    )
    const write = fc.record({
      row: fc.constantFrom(...rows),
      index: fc.nat(15),
      low: u32,
      high: fc.constantFrom(0, 0, 0, 1, 0xffff_ffff),
    })
    fc.assert(
      fc.property(fc.array(write), (writes) => {
        const guest = new Guest({ privileges: ALL })
        for (const { row, index, low, high } of writes) {
          const msr = row.msr + (index % row.count)
          const before = row.read === null ? [] : read(guest, msr)
          if (!guest.vp.writeMsr(msr, low, high) && row.read !== null) {
            expect(read(guest, msr)).toEqual(before)
          }
          guest.vp.deliver()
        }
      }),
    )
  })
})

describe('partition scope', () => {
  test('a guest OS id written on one VP reads back on another', () => {
    const guest = new Guest({ vpCount: 2 })
    guest.vp.writeMsr(M.GUEST_OS_ID, 0x1234_5678, 0x8100_9abc)
    expect(guest.vps[1]!.readMsr(M.GUEST_OS_ID, guest.vps[1]!.msr)).toBe(true)
    expect(guest.vps[1]!.msr).toEqual({ low: 0x1234_5678, high: 0x8100_9abc })
  })

  test('the hypercall page stays off while the guest OS id is 0', () => {
    const guest = new Guest()
    expect(guest.vp.writeMsr(M.HYPERCALL, 0x1001, 0)).toBe(true)
    expect(read(guest, M.HYPERCALL)).toEqual([0x1000, 0])
    guest.enableHypercalls()
    expect(read(guest, M.HYPERCALL)).toEqual([0x1001, 0])
  })

  test('the enabled page holds code that traps and returns, and breakpoints after it', () => {
    const guest = new Guest()
    guest.enableHypercalls()
    const page = guest.memory.u8.slice(HYPERCALL_PAGE * PAGE_SIZE, (HYPERCALL_PAGE + 1) * PAGE_SIZE)
    expect([...page.subarray(0, 4)]).toEqual([0xe6, 0xee, 0xc3, 0xcc])
    expect(page.subarray(3).every((byte) => byte === 0xcc)).toBe(true)
  })

  test('reserved bits of HYPERCALL are preserved, a page past RAM is #GP', () => {
    const guest = new Guest()
    guest.enableHypercalls()
    expect(guest.vp.writeMsr(M.HYPERCALL, 0x1ffd, 0)).toBe(true)
    expect(read(guest, M.HYPERCALL)).toEqual([0x1ffd, 0])
    expect(guest.vp.writeMsr(M.HYPERCALL, PAST_RAM, 0)).toBe(false)
    expect(guest.vp.writeMsr(M.HYPERCALL, 1, 0xffff_ffff)).toBe(false)
    expect(read(guest, M.HYPERCALL)).toEqual([0x1ffd, 0])
  })

  test('writing 0 to the guest OS id disables the hypercall page', () => {
    const guest = new Guest()
    guest.enableHypercalls()
    guest.vp.writeMsr(M.GUEST_OS_ID, 0, 0)
    expect(read(guest, M.HYPERCALL)).toEqual([0x1000, 0])
  })

  test('a locked HYPERCALL is #GP to write, and outlives its guest OS id', () => {
    const guest = new Guest()
    guest.enableHypercalls()
    expect(guest.vp.writeMsr(M.HYPERCALL, 0x1003, 0)).toBe(true)
    expect(guest.vp.writeMsr(M.HYPERCALL, 0, 0)).toBe(false)
    guest.vp.writeMsr(M.GUEST_OS_ID, 0, 0)
    expect(read(guest, M.HYPERCALL)).toEqual([0x1003, 0])
  })

  test('TIME_REF_COUNT counts from the creation of the partition, and rises though the clock stands still', () => {
    const guest = new Guest({ vpCount: 2 })
    const [first] = read(guest, M.TIME_REF_COUNT)
    guest.vps[1]!.readMsr(M.TIME_REF_COUNT, guest.vps[1]!.msr)
    const [third] = read(guest, M.TIME_REF_COUNT)
    expect([first, guest.vps[1]!.msr.low, third]).toEqual([1, 2, 3])
    guest.clock.now100ns += 2 ** 40
    expect(read(guest, M.TIME_REF_COUNT)).toEqual([0, 2 ** 8])
    guest.clock.now100ns -= 2 ** 40
    expect(read(guest, M.TIME_REF_COUNT)).toEqual([1, 2 ** 8])
  })
})

describe('VP scope', () => {
  test('VP_INDEX is the VP’s own', () => {
    const guest = new Guest({ vpCount: 3 })
    guest.vps.forEach((vp, index) => {
      vp.readMsr(M.VP_INDEX, vp.msr)
      expect(vp.msr).toEqual({ low: index, high: 0 })
    })
  })

  test('SynIC registers reset to masked SINTs and everything off', () => {
    const guest = new Guest()
    for (let sint = 0; sint < 16; sint++) {
      expect(read(guest, M.SINT0 + sint)).toEqual([SINT_MASKED, 0])
    }
    for (const msr of [M.SCONTROL, M.SIEFP, M.SIMP]) expect(read(guest, msr)).toEqual([0, 0])
    expect(read(guest, M.SVERSION)).toEqual([1, 0])
  })

  test('an unmasked SINT refuses vectors below 16, a masked one takes any', () => {
    const guest = new Guest()
    for (const vector of [0, 15]) {
      expect(guest.vp.writeMsr(M.SINT0 + SINT, vector, 0)).toBe(false)
      expect(guest.vp.writeMsr(M.SINT0 + SINT, vector | SINT_MASKED, 0)).toBe(true)
    }
    expect(guest.vp.writeMsr(M.SINT0 + SINT, 16, 0)).toBe(true)
  })

  test('SIMP, SIEFP, SCONTROL and SINTs read back every bit that was written', () => {
    const guest = new Guest()
    for (const [msr, low] of [
      [M.SIMP, 0x4ffd],
      [M.SIEFP, 0x5003],
      [M.SCONTROL, 0xffff_fffe],
      [M.SINT0, 0xffff_ffff],
    ] as const) {
      expect(guest.vp.writeMsr(msr, low, msr === M.SINT0 ? 0xdead_beef : 0)).toBe(true)
      expect(read(guest, msr)[0]).toBe(low)
    }
    expect(read(guest, M.SINT0)[1]).toBe(0xdead_beef)
  })

  test('an enabled SIM or SIEF page past RAM is #GP; a disabled one may be anywhere', () => {
    const guest = new Guest()
    for (const msr of [M.SIMP, M.SIEFP]) {
      expect(guest.vp.writeMsr(msr, PAST_RAM, 0)).toBe(false)
      expect(guest.vp.writeMsr(msr, 1, 1)).toBe(false)
      expect(guest.vp.writeMsr(msr, 0, 0xffff_ffff)).toBe(true)
    }
  })

  test('a SIM page is zeros when it is placed, and keeps its content when the same place is written again', () => {
    const guest = new Guest()
    const gpa = guest.simGpa()
    guest.memory.fill(gpa, 0xaa, PAGE_SIZE)
    guest.vp.writeMsr(M.SIMP, gpa | 1, 0)
    expect(guest.memory.u8.subarray(gpa, gpa + PAGE_SIZE).every((byte) => byte === 0)).toBe(true)
    guest.memory.u8[gpa] = 7
    guest.vp.writeMsr(M.SIMP, gpa | 1, 0)
    expect(guest.memory.u8[gpa]).toBe(7)
  })

  test('TPR keeps eight bits', () => {
    const guest = new Guest()
    guest.vp.writeMsr(M.TPR, 0x1ff, 0)
    expect(read(guest, M.TPR)).toEqual([0xff, 0])
  })
})
