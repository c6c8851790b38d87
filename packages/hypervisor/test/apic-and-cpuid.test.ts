import {
  CpuidLeaf,
  HvFeature,
  HvPrivilege,
  HvRecommendation,
  SyntheticMsr,
  privilegeMask,
} from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { LocalApic } from '../src/apic.ts'
import { Guest } from './guest.ts'

describe('the virtual APIC', () => {
  test('the highest requested vector comes first', () => {
    const apic = new LocalApic()
    for (const vector of [0x31, 0xf3, 0x80]) apic.request(vector, false)
    expect(apic.highest()).toBe(0xf3)
  })

  test('a vector of the class in service, or of the task priority’s, waits', () => {
    const apic = new LocalApic()
    apic.request(0x55, false)
    apic.taskPriority = 0x50
    expect(apic.highest()).toBe(-1)
    apic.taskPriority = 0x4f
    expect(apic.highest()).toBe(0x55)
    apic.acknowledge(0x55)
    apic.request(0x5f, false)
    expect(apic.highest()).toBe(-1)
    apic.request(0x60, false)
    expect(apic.highest()).toBe(0x60)
  })

  test('EOI ends the highest in service, and says which', () => {
    const apic = new LocalApic()
    for (const vector of [0x40, 0x80]) {
      apic.request(vector, false)
      apic.acknowledge(vector)
    }
    expect([apic.endOfInterrupt(), apic.endOfInterrupt(), apic.endOfInterrupt()]).toEqual([
      0x80, 0x40, -1,
    ])
  })

  test.each([-1, 0, 15, 16, 255, 256, 1.5, Number.NaN])(
    'acknowledging %f, which was not requested, is false',
    (vector) => {
      expect(new LocalApic().acknowledge(vector)).toBe(false)
    },
  )

  test('behaves as a set of requests and a set in service', () => {
    const step = fc.oneof(
      fc.tuple(fc.constant('request' as const), fc.integer({ min: 16, max: 255 }), fc.boolean()),
      fc.tuple(fc.constant('take' as const)),
      fc.tuple(fc.constant('eoi' as const)),
      fc.tuple(fc.constant('tpr' as const), fc.integer({ min: 0, max: 255 })),
    )
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const apic = new LocalApic()
        const requested = new Map<number, boolean>()
        const inService = new Set<number>()
        let priority = 0
        const top = (vectors: Iterable<number>) => Math.max(-1, ...vectors)
        const expected = () => {
          const vector = top(requested.keys())
          return vector >> 4 > Math.max(priority >> 4, top(inService) >> 4) ? vector : -1
        }
        for (const [name, vector = 0, autoEoi = false] of steps) {
          if (name === 'request') {
            apic.request(vector, autoEoi)
            requested.set(vector, autoEoi)
          } else if (name === 'take') {
            const next = apic.highest()
            if (next >= 0) {
              apic.acknowledge(next)
              if (requested.get(next) === false) inService.add(next)
              requested.delete(next)
            }
          } else if (name === 'eoi') {
            const ended = top(inService)
            expect(apic.endOfInterrupt()).toBe(ended)
            inService.delete(ended)
          } else {
            apic.taskPriority = vector
            priority = vector
          }
          expect(apic.highest()).toBe(expected())
        }
      }),
    )
  })
})

describe('CPUID', () => {
  const guest = new Guest({ vpCount: 3 })
  const leaf = (number: number, vp = 0) => {
    const out = { eax: 1, ebx: 2, ecx: 3, edx: 4 }
    guest.vps[vp]!.cpuid(number, 0, out)
    return [out.eax, out.ebx, out.ecx, out.edx]
  }

  test('leaf 1 says that a hypervisor is present, and which APIC this is', () => {
    const [, ebx = 0, ecx = 0] = leaf(1, 2)
    expect(ecx >>> 31).toBe(1)
    expect(ebx >>> 24).toBe(2)
  })

  test('the vendor leaf spells Microsoft Hv with a maximum that Linux accepts', () => {
    const [max = 0, ...words] = leaf(CpuidLeaf.VENDOR_AND_MAX)
    const text = String.fromCharCode(...new Uint8Array(new Uint32Array(words).buffer))
    expect(text).toBe('Microsoft Hv')
    expect(max).toBeGreaterThanOrEqual(0x4000_0005)
  })

  test('the feature leaf is the privilege mask, without what makes Linux a root partition', () => {
    const [low = 0, high = 0] = leaf(CpuidLeaf.FEATURES)
    expect([low, high]).toEqual([0x8eff, 0x20_0032])
    expect(high & (1 | (1 << 12))).toBe(0)
  })

  test('what is announced goes with its privilege', () => {
    const bare = new Guest({ privileges: privilegeMask([HvPrivilege.ACCESS_HYPERCALL_MSRS]) })
    const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 }
    bare.vp.cpuid(CpuidLeaf.FEATURES, 0, out)
    const { GUEST_IDLE_STATE, FREQUENCY_MSRS, DIRECT_SYNTHETIC_TIMERS } = HvFeature
    expect(out.edx & (GUEST_IDLE_STATE | FREQUENCY_MSRS | DIRECT_SYNTHETIC_TIMERS)).toBe(0)
    bare.vp.cpuid(CpuidLeaf.RECOMMENDATIONS, 0, out)
    expect(out.eax & (HvRecommendation.APIC_MSRS | HvRecommendation.RESET_MSR)).toBe(0)
    expect(out.eax & HvRecommendation.DEPRECATE_AUTO_EOI).not.toBe(0)
  })

  test('an invariant TSC shows once it was asked for, or at once to a guest that cannot ask', () => {
    const powered = (of: Guest) => {
      const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 }
      of.vp.cpuid(0x8000_0007, 0, out)
      return out.edx
    }
    const asking = new Guest()
    expect(powered(asking)).toBe(0)
    asking.vp.writeMsr(SyntheticMsr.TSC_INVARIANT_CONTROL, 1, 0)
    expect(powered(asking)).toBe(0x100)
    expect(powered(new Guest({ privileges: privilegeMask([]) }))).toBe(0x100)
  })

  test('the remaining leaves are as documented, and unknown ones are zero', () => {
    expect(leaf(0x4000_0001)).toEqual([0x3123_7648, 0, 0, 0])
    expect(leaf(0x4000_0002)).toEqual([20348, 0x000a_0000, 0, 0])
    expect(leaf(0x4000_0004)).toEqual([0xe3c, 0xfff, 36, 0])
    expect(leaf(0x4000_0003).slice(2)).toEqual([0, 0xe_c530])
    expect(leaf(0x4000_0006)).toEqual([0x18, 0, 0, 0])
    expect(leaf(0x4000_0005)).toEqual([3, 3, 0, 0])
    for (const number of [2, 0x4000_0007, 0x4000_0081, 0x4000_0082, 0xffff_ffff]) {
      expect(leaf(number)).toEqual([0, 0, 0, 0])
    }
  })
})
