import { SlatRight } from '@guestyard/guestmem'
import { HvPrivilege, PAGE_SIZE, SyntheticMsr, privilegeMask } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { CrashReport } from '../src/index.ts'
import { Guest } from './guest.ts'

const M = SyntheticMsr
const ASSIST_PAGE = 20
const ASSIST_WORD = (ASSIST_PAGE * PAGE_SIZE) / 4

/** A guest with its assist page on. */
function assisted(): Guest {
  const guest = new Guest().boot()
  guest.vp.writeMsr(M.VP_ASSIST_PAGE, (ASSIST_PAGE * PAGE_SIZE) | 1, 0)
  return guest
}

function take(guest: Guest, vector: number): void {
  expect(guest.vp.deliver()).toBe(vector)
  expect(guest.vp.acknowledge(vector)).toBe(true)
}

function isOffered(guest: Guest): boolean {
  return (Atomics.load(guest.memory.i32, ASSIST_WORD) & 1) === 1
}

/** What a guest does in place of an EOI: true when the bit was set and it needs none. */
function clearAssist(guest: Guest): boolean {
  return (Atomics.and(guest.memory.i32, ASSIST_WORD, ~1) & 1) === 1
}

describe('EOI assist (TLFS, "EOI Assist")', () => {
  test('is offered for an edge interrupt that is alone, and the cleared bit ends it', () => {
    const guest = assisted()
    const [root] = guest.partition.vps
    root!.requestInterrupt(0x41, false)
    take(guest, 0x41)
    expect(isOffered(guest)).toBe(true)
    expect(clearAssist(guest)).toBe(true)
    root!.requestInterrupt(0x42, false)
    take(guest, 0x42)
    expect(guest.vp.inspect()).toMatchObject({ assistedEnds: 1, apic: { inService: [0x42] } })
  })

  test('is not offered for a level interrupt, nor while another waits behind', () => {
    const guest = assisted()
    const [root] = guest.partition.vps
    root!.setLine(0x41, true)
    take(guest, 0x41)
    expect(isOffered(guest)).toBe(false)
    root!.setLine(0x41, false)
    guest.vp.endOfInterrupt()
    root!.requestInterrupt(0x51, false)
    root!.requestInterrupt(0x52, false)
    take(guest, 0x52)
    expect(isOffered(guest)).toBe(false)
  })

  test('is taken back when another interrupt comes, and the guest’s EOI then ends the first', () => {
    const guest = assisted()
    const [root] = guest.partition.vps
    root!.requestInterrupt(0x42, false)
    take(guest, 0x42)
    root!.requestInterrupt(0x41, false)
    expect(guest.vp.deliver()).toBe(-1)
    expect(clearAssist(guest)).toBe(false)
    guest.vp.writeMsr(M.EOI, 0, 0)
    take(guest, 0x41)
  })

  test('ends exactly the interrupts that were taken, however the guest mixes both ways', () => {
    const step = fc.constantFrom('request', 'take', 'end', 'lie' as const)
    fc.assert(
      fc.property(fc.array(fc.tuple(step, fc.integer({ min: 0x20, max: 0x9f }))), (steps) => {
        const guest = assisted()
        const inService: number[] = []
        for (const [act, vector] of steps) {
          if (act === 'request') {
            guest.partition.vps[0]!.requestInterrupt(vector, false)
          } else if (act === 'take') {
            const next = guest.vp.deliver()
            if (next < 0) continue
            guest.vp.acknowledge(next)
            inService.push(next)
          } else if (act === 'end' && inService.length > 0) {
            inService.pop()
            if (!clearAssist(guest)) guest.vp.writeMsr(M.EOI, 0, 0)
          } else if (act === 'lie') {
            // A guest that sets the bit itself gains nothing.
            if (!isOffered(guest) && inService.length === 0) {
              Atomics.or(guest.memory.i32, ASSIST_WORD, 1)
              clearAssist(guest)
            }
          }
          guest.vp.deliver()
          expect(guest.vp.inspect().apic.inService).toEqual(inService.toSorted((a, b) => a - b))
        }
      }),
    )
  })
})

describe('a crash report (TLFS, "Guest Crash Enlightenment")', () => {
  function crashing(): { guest: Guest; reports: CrashReport[] } {
    const reports: CrashReport[] = []
    const guest = new Guest({
      vpCount: 2,
      listener: { queueSpace() {}, guestCrashed: (report) => void reports.push(report) },
    }).boot()
    return { guest, reports }
  }
  const text = new TextEncoder().encode('Kernel panic: no init found')

  test('reaches the root with its parameters and its text', () => {
    const { guest, reports } = crashing()
    const [, vp] = guest.vps
    guest.memory.write(0x9000, text)
    ;[0x11, 0x22, 0x33, 0x9000, text.length].forEach((value, index) =>
      vp!.writeMsr(M.CRASH_P0 + index, value, index === 0 ? 0xffff_8000 : 0),
    )
    expect(vp!.writeMsr(M.CRASH_CTL, 0, 0xe400_0000)).toBe(true)
    guest.hypervisor.poll(10)
    expect(reports).toEqual([
      {
        vp: 1,
        parameters: [0xffff_8000_0000_0011n, 0x22n, 0x33n, 0x9000n, BigInt(text.length)],
        message: text,
        noDump: true,
        preOsId: 1,
      },
    ])
    expect(guest.partition.inspect().crashes).toBe(1)
  })

  test('is none without "notify", and has no text without "message" or from where there is no RAM', () => {
    const { guest, reports } = crashing()
    guest.vp.writeMsr(M.CRASH_CTL, 0, 0x4000_0000)
    guest.hypervisor.poll(10)
    expect(reports).toEqual([])
    guest.vp.writeMsr(M.CRASH_P3, 0, 0xffff_ffff)
    guest.vp.writeMsr(M.CRASH_P4, 0xffff_ffff, 0xffff_ffff)
    guest.vp.writeMsr(M.CRASH_CTL, 0, 0xc000_0000)
    guest.hypervisor.poll(10)
    guest.vp.writeMsr(M.CRASH_CTL, 0, 0x8000_0000)
    guest.hypervisor.poll(10)
    expect(reports.map((report) => report.message.length)).toEqual([0, 0])
  })

  test('has no text from a page that the guest may not read, and finds one that lies elsewhere', () => {
    const { guest, reports } = crashing()
    const { slat } = guest.partition
    guest.memory.write(0x9ff8, text)
    guest.memory.write(0x1_1000, text.subarray(8))
    const report = (): void => {
      guest.vp.writeMsr(M.CRASH_P3, 0x9ff8, 0)
      guest.vp.writeMsr(M.CRASH_P4, text.length, 0)
      guest.vp.writeMsr(M.CRASH_CTL, 0, 0xc000_0000)
      guest.hypervisor.poll(10)
    }
    slat.unmap(10, 1)
    report()
    slat.mapRam(10, 10, 1, SlatRight.WRITE)
    report()
    slat.mapRam(10, 17, 1, SlatRight.READ)
    report()
    expect(reports.map(({ message }) => message.length)).toEqual([0, 0, text.length])
    expect(reports[2]!.message).toEqual(text)
  })

  test('has at most 4096 bytes of text', () => {
    const { guest, reports } = crashing()
    guest.vp.writeMsr(M.CRASH_P3, 0, 0)
    guest.vp.writeMsr(M.CRASH_P4, 0x1_0000, 0)
    guest.vp.writeMsr(M.CRASH_CTL, 0, 0xc000_0000)
    guest.hypervisor.poll(10)
    expect(reports[0]!.message).toHaveLength(4096)
  })

  test('CRASH_CTL reads what may be asked for', () => {
    const { guest } = crashing()
    guest.vp.readMsr(M.CRASH_CTL, guest.vp.msr)
    expect(guest.vp.msr).toEqual({ low: 0, high: 0xe000_0000 })
  })
})

test('RESET with bit 0 asks the root, and reads 0', () => {
  const asked: number[] = []
  const guest = new Guest({
    listener: { queueSpace() {}, resetRequested: (vp) => void asked.push(vp) },
  }).boot()
  guest.vp.writeMsr(M.RESET, 0, 0)
  guest.hypervisor.poll(10)
  expect(asked).toEqual([])
  guest.vp.writeMsr(M.RESET, 1, 0)
  guest.hypervisor.poll(10)
  expect(asked).toEqual([0])
  guest.vp.readMsr(M.RESET, guest.vp.msr)
  expect(guest.vp.msr.low).toBe(0)
})

describe('GUEST_IDLE', () => {
  test('idles the VP until any interrupt is requested, even one that its priority holds back', () => {
    const guest = new Guest().boot()
    guest.vp.writeMsr(M.TPR, 0xff, 0)
    guest.vp.readMsr(M.GUEST_IDLE, guest.vp.msr)
    guest.vp.deliver()
    expect(guest.vp.isIdle).toBe(true)
    guest.partition.vps[0]!.requestInterrupt(0x41, false)
    expect(guest.vp.deliver()).toBe(-1)
    expect(guest.vp.isIdle).toBe(false)
  })

  test('is #GP to write, and without its privilege to read', () => {
    const guest = new Guest()
    expect(guest.vp.writeMsr(M.GUEST_IDLE, 0, 0)).toBe(false)
    const bare = new Guest({ privileges: privilegeMask([HvPrivilege.ACCESS_VP_INDEX]) })
    expect(bare.vp.readMsr(M.GUEST_IDLE, bare.vp.msr)).toBe(false)
  })
})
