import { PAGE_SIZE, ReferenceTscPage, SyntheticMsr } from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { Hypervisor, VirtualProcessor } from '../src/index.ts'
import { Guest } from './guest.ts'

const TSC_PAGE = 9

function readTime(guest: Guest): bigint {
  expect(guest.vp.readMsr(SyntheticMsr.TIME_REF_COUNT, guest.vp.msr)).toBe(true)
  return join(guest.vp.msr)
}

function join({ low, high }: { low: number; high: number }): bigint {
  return (BigInt(high) << 32n) | BigInt(low)
}

/** What a guest computes from the page and RDTSC. */
function pageTime(guest: Guest): bigint {
  const page = ReferenceTscPage.decode(guest.memory.view, TSC_PAGE * PAGE_SIZE)
  expect(page.sequence).not.toBe(0)
  const tsc = { low: 0, high: 0 }
  guest.vp.readTsc(tsc)
  return ((join(tsc) * page.scale) >> 64n) + page.offset
}

function withPage(): Guest {
  const guest = new Guest().boot()
  expect(guest.vp.writeMsr(SyntheticMsr.REFERENCE_TSC, (TSC_PAGE * PAGE_SIZE) | 1, 0)).toBe(true)
  return guest
}

describe('the reference TSC page (TLFS, "Partition Reference Time Enlightenment")', () => {
  test('gives with RDTSC the time that TIME_REF_COUNT gives, at every moment of three years', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 * 365 * 86_400 * 10_000_000 }), (time) => {
        const guest = withPage()
        guest.clock.now100ns = 1000 + time
        expect(pageTime(guest)).toBe(BigInt(time))
        expect(readTime(guest)).toBe(BigInt(time))
      }),
    )
  })

  test('holds the scale of the frequency that the frequency register names', () => {
    const guest = withPage()
    guest.vp.readMsr(SyntheticMsr.TSC_FREQUENCY, guest.vp.msr)
    const page = ReferenceTscPage.decode(guest.memory.view, TSC_PAGE * PAGE_SIZE)
    expect(page.scale).toBe((10_000_000n << 64n) / join(guest.vp.msr))
    expect(guest.vp.msr).toEqual({ low: 2_560_000_000, high: 0 })
  })

  test('is enabled without a guest OS id, as Linux does it', () => {
    const guest = new Guest()
    expect(guest.vp.writeMsr(SyntheticMsr.REFERENCE_TSC, (TSC_PAGE * PAGE_SIZE) | 1, 0)).toBe(true)
    expect(ReferenceTscPage.decode(guest.memory.view, TSC_PAGE * PAGE_SIZE).sequence).toBe(1)
  })
})

describe('time that the parent stops and sets', () => {
  test('is in the counter, in the page and in the timers', () => {
    const guest = withPage()
    const fire = () => guest.vp.inspect().timers.expirations
    guest.vp.writeMsr(SyntheticMsr.STIMER0_CONFIG, 0x1511, 0)
    guest.vp.writeMsr(SyntheticMsr.STIMER0_COUNT, 5_000, 0)
    guest.clock.now100ns = 1000 + 2_000
    guest.partition.setTimeFrozen(true)
    guest.vp.deliver()
    expect(ReferenceTscPage.decode(guest.memory.view, TSC_PAGE * PAGE_SIZE).sequence).toBe(0)
    expect(guest.vp.nextDeadline100ns).toBe(Number.POSITIVE_INFINITY)
    guest.clock.now100ns += 100_000
    guest.vp.deliver()
    expect([readTime(guest), fire()]).toEqual([2_000n, 0])

    const rings = guest.vpBells[0]!.rings
    guest.partition.setReferenceTime(4_000)
    guest.partition.setTimeFrozen(false)
    expect(guest.vpBells[0]!.rings).toBeGreaterThan(rings)
    guest.vp.deliver()
    expect(guest.vp.nextDeadline100ns).toBe(guest.clock.now100ns + 1_000)
    guest.clock.now100ns += 999
    guest.vp.deliver()
    expect([pageTime(guest), readTime(guest), fire()]).toEqual([4_999n, 4_999n, 0])
    guest.clock.now100ns += 1
    guest.vp.deliver()
    expect(fire()).toBe(1)
  })
})

test('a clock that reads anew is read for TIME_REF_COUNT and RDTSC, and not on the way into the guest', () => {
  const guest = new Guest().boot()
  let reads = 0
  const clock = {
    nowMs: 1,
    now100ns: 10_000,
    update() {
      reads++
      this.now100ns += 10
      return this.nowMs
    },
  }
  const vp = new VirtualProcessor(guest.partition.handlesFor(0)!, {
    memory: guest.memory,
    wakeRoot: guest.rootBell,
    clock,
  })
  vp.deliver()
  expect(reads).toBe(0)
  vp.readMsr(SyntheticMsr.TIME_REF_COUNT, vp.msr)
  expect([reads, vp.msr.low]).toEqual([1, 9010])
  vp.readTsc(vp.msr)
  expect([reads, vp.msr.low]).toEqual([2, 10_020 * 256])
})

test('a TSC that is no power of two of 10 MHz is our mistake', () => {
  const clock = { nowMs: 0, now100ns: 0, tscHz: 2_400_000_000 }
  const guest = new Guest()
  expect(new Hypervisor({ clock })).toBeDefined()
  expect(
    () =>
      new VirtualProcessor(guest.partition.handlesFor(0)!, {
        memory: guest.memory,
        wakeRoot: guest.rootBell,
        clock,
      }),
  ).toThrow('power of two')
})

describe('the other registers of time', () => {
  test('APIC_FREQUENCY is 200 MHz', () => {
    const guest = new Guest()
    guest.vp.readMsr(SyntheticMsr.APIC_FREQUENCY, guest.vp.msr)
    expect(guest.vp.msr).toEqual({ low: 200_000_000, high: 0 })
  })

  test('VP_RUNTIME is the counter that was handed in', () => {
    const guest = new Guest({ vp: () => ({ runtime100ns: () => 2 ** 33 + 5 }) })
    guest.vp.readMsr(SyntheticMsr.VP_RUNTIME, guest.vp.msr)
    expect(guest.vp.msr).toEqual({ low: 5, high: 2 })
  })

  test('VP_RUNTIME without one is the time that the VP had a processor', () => {
    const guest = new Guest()
    const runtime = () => {
      guest.vp.readMsr(SyntheticMsr.VP_RUNTIME, guest.vp.msr)
      return guest.vp.msr.low
    }
    const { dispatch } = guest.partition.vps[0]!
    guest.clock.now100ns += 500
    guest.vp.grantedLp()
    expect(runtime()).toBe(0)
    dispatch.grant(0, false)
    guest.vp.grantedLp()
    guest.clock.now100ns += 300
    expect(runtime()).toBe(300)
    guest.vp.grantedLp()
    dispatch.revoke()
    guest.clock.now100ns += 20
    guest.vp.grantedLp()
    guest.clock.now100ns += 5000
    guest.vp.grantedLp()
    expect(runtime()).toBe(320)
    dispatch.grant(0, false)
    guest.vp.grantedLp()
    guest.clock.now100ns += 1
    expect(runtime()).toBe(321)
  })

  test('TSC_INVARIANT_CONTROL takes bit 0 and no other', () => {
    const guest = new Guest({ vpCount: 2 })
    expect(guest.vp.writeMsr(SyntheticMsr.TSC_INVARIANT_CONTROL, 2, 0)).toBe(false)
    expect(guest.vp.writeMsr(SyntheticMsr.TSC_INVARIANT_CONTROL, 1, 1)).toBe(false)
    expect(guest.vp.writeMsr(SyntheticMsr.TSC_INVARIANT_CONTROL, 1, 0)).toBe(true)
    const [, other] = guest.vps
    other!.readMsr(SyntheticMsr.TSC_INVARIANT_CONTROL, other!.msr)
    expect(other!.msr).toEqual({ low: 1, high: 0 })
  })
})
