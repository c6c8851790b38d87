// How the script guest's kernel finds its hypervisor, in the order a stock guest does it: CPUID, guest OS id,
// hypercall page, SynIC pages, SINT 2, SynIC on. Runs once, on the VP's thread, before anything else.

import {
  CPUID_HYPERVISOR_PRESENT,
  CPUID_MAX_LEAF_MIN,
  CPUID_VENDOR_EBX,
  CPUID_VENDOR_ECX,
  CPUID_VENDOR_EDX,
  CpuidLeaf,
  HvPrivilege,
  MSR_PAGE_ENABLE,
  MSR_SCONTROL_ENABLE,
  MSR_SINT0,
  PAGE_SHIFT,
  SyntheticMsr,
} from '@guestyard/hvdef'
import type { VirtualProcessor } from '@guestyard/hypervisor'

import { VMBUS_SINT, VMBUS_VECTOR } from './interrupts.ts'

/** Guest OS id: open source (bit 63), type 0x7f (ours: no public type), version 0.1. */
const GUEST_OS_ID_HIGH = 0xff00_0000
const GUEST_OS_ID_LOW = 0x0001_0000

/** Pages the kernel keeps for itself, by page frame number. */
export const KernelPage = {
  HYPERCALL: 1,
  HYPERCALL_INPUT: 2,
  SIM: 3,
  SIEF: 4,
  /** First page that the allocator hands out. */
  FIRST_FREE: 16,
} as const

/** Without these a guest can't talk at all. */
const NEEDED = [
  HvPrivilege.ACCESS_HYPERCALL_MSRS,
  HvPrivilege.ACCESS_VP_INDEX,
  HvPrivilege.ACCESS_SYNIC_REGS,
  HvPrivilege.POST_MESSAGES,
  HvPrivilege.SIGNAL_EVENTS,
] as const

export type Enlightenment =
  | { readonly ok: true; readonly vendor: string; readonly vpIndex: number }
  | { readonly ok: false; readonly reason: string }

/** Detects the hypervisor and turns on what VMBus needs. */
export function enlighten(vp: VirtualProcessor): Enlightenment {
  const vendor = detect(vp)
  if (!vendor.ok) return vendor

  const steps = [
    [SyntheticMsr.GUEST_OS_ID, GUEST_OS_ID_LOW, GUEST_OS_ID_HIGH],
    [SyntheticMsr.HYPERCALL, pageEnabled(KernelPage.HYPERCALL), 0],
    [SyntheticMsr.SIMP, pageEnabled(KernelPage.SIM), 0],
    [SyntheticMsr.SIEFP, pageEnabled(KernelPage.SIEF), 0],
    [MSR_SINT0 + VMBUS_SINT, VMBUS_VECTOR, 0],
    [SyntheticMsr.SCONTROL, MSR_SCONTROL_ENABLE, 0],
  ] as const
  for (const [msr, low, high] of steps) {
    if (!vp.writeMsr(msr, low, high)) {
      return { ok: false, reason: `MSR 0x${msr.toString(16)} refused the write (#GP)` }
    }
  }
  // The hypercall register answers a write that it did not take with bit 0 clear, not with a fault.
  if (!vp.readMsr(SyntheticMsr.HYPERCALL, vp.msr) || (vp.msr.low & MSR_PAGE_ENABLE) === 0) {
    return { ok: false, reason: 'the hypercall page could not be enabled' }
  }
  if (!vp.readMsr(SyntheticMsr.VP_INDEX, vp.msr)) {
    return { ok: false, reason: 'the VP index could not be read (#GP)' }
  }
  return { ok: true, vendor: vendor.vendor, vpIndex: vp.msr.low }
}

type Detected =
  | { readonly ok: true; readonly vendor: string }
  | { readonly ok: false; readonly reason: string }

function detect(vp: VirtualProcessor): Detected {
  const leaf = { eax: 0, ebx: 0, ecx: 0, edx: 0 }
  vp.cpuid(1, 0, leaf)
  if ((leaf.ecx & CPUID_HYPERVISOR_PRESENT) === 0) {
    return { ok: false, reason: 'CPUID leaf 1 announces no hypervisor' }
  }
  vp.cpuid(CpuidLeaf.VENDOR_AND_MAX, 0, leaf)
  const known =
    leaf.ebx >>> 0 === CPUID_VENDOR_EBX &&
    leaf.ecx >>> 0 === CPUID_VENDOR_ECX &&
    leaf.edx >>> 0 === CPUID_VENDOR_EDX
  if (!known || leaf.eax >>> 0 < CPUID_MAX_LEAF_MIN) {
    return { ok: false, reason: 'the hypervisor is not one this guest knows' }
  }
  const vendor = vendorText(leaf.ebx, leaf.ecx, leaf.edx)
  vp.cpuid(CpuidLeaf.FEATURES, 0, leaf)
  for (const bit of NEEDED) {
    const word = bit < 32 ? leaf.eax : leaf.ebx
    if ((word & (1 << (bit & 31))) === 0) {
      return { ok: false, reason: `the partition lacks privilege bit ${bit}` }
    }
  }
  return { ok: true, vendor }
}

function pageEnabled(pfn: number): number {
  return (pfn << PAGE_SHIFT) | MSR_PAGE_ENABLE
}

function vendorText(...words: readonly number[]): string {
  return words
    .flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff))
    .map((code) => String.fromCharCode(code))
    .join('')
}
