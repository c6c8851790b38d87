// What this hypervisor can do, in one place: the privileges that a child has unless its owner says otherwise, and the feature and
// recommendation bits that follow from the privileges it has. CPUID leaves are made of this (cpuid-leaves.ts), and the tables
// of MSRs and calls say what each privilege gates.

import {
  HvFeature,
  HvHardwareFeature,
  HvPrivilege,
  HvRecommendation,
  hasPrivilege,
  privilegeMask,
} from '@guestyard/hvdef'
import type { PrivilegeMask } from '@guestyard/hvdef'

/** What a guest gets, and no more: everything here works. */
export const DEFAULT_CHILD_PRIVILEGES: PrivilegeMask = privilegeMask([
  HvPrivilege.ACCESS_VP_RUNTIME_REG,
  HvPrivilege.ACCESS_PARTITION_REFERENCE_COUNTER,
  HvPrivilege.ACCESS_SYNIC_REGS,
  HvPrivilege.ACCESS_SYNTHETIC_TIMER_REGS,
  HvPrivilege.ACCESS_INTR_CTRL_REGS,
  HvPrivilege.ACCESS_HYPERCALL_MSRS,
  HvPrivilege.ACCESS_VP_INDEX,
  HvPrivilege.ACCESS_RESET_REG,
  HvPrivilege.ACCESS_PARTITION_REFERENCE_TSC,
  HvPrivilege.ACCESS_GUEST_IDLE_REG,
  HvPrivilege.ACCESS_FREQUENCY_REGS,
  HvPrivilege.ACCESS_TSC_INVARIANT_CONTROLS,
  HvPrivilege.ACCESS_PARTITION_ID,
  HvPrivilege.POST_MESSAGES,
  HvPrivilege.SIGNAL_EVENTS,
  HvPrivilege.START_VIRTUAL_PROCESSOR,
])

/** Turns of a spin lock after which HvCallNotifyLongSpinWait is worth its exit. */
export const SPIN_COUNT = 0xfff

/** Leaf 0x40000003, EDX: for everybody, and with a privilege. */
const FEATURES: number =
  HvFeature.XMM_FAST_INPUT |
  HvFeature.CRASH_MSRS |
  HvFeature.EXTENDED_GVA_RANGES |
  HvFeature.XMM_FAST_OUTPUT |
  HvFeature.SINT_POLLING_MODE |
  HvFeature.HYPERCALL_MSR_LOCK
const FEATURES_WITH: readonly (readonly [HvPrivilege, number])[] = [
  [HvPrivilege.ACCESS_GUEST_IDLE_REG, HvFeature.GUEST_IDLE_STATE],
  [HvPrivilege.ACCESS_FREQUENCY_REGS, HvFeature.FREQUENCY_MSRS],
  [HvPrivilege.ACCESS_SYNTHETIC_TIMER_REGS, HvFeature.DIRECT_SYNTHETIC_TIMERS],
]

/** Leaf 0x40000004, EAX. Auto-EOI costs more than it saves here. */
const RECOMMENDATIONS: number =
  HvRecommendation.HYPERCALL_FOR_REMOTE_FLUSH |
  HvRecommendation.RELAXED_TIMING |
  HvRecommendation.DEPRECATE_AUTO_EOI |
  HvRecommendation.CLUSTER_IPI_HYPERCALL |
  HvRecommendation.SPARSE_VP_SETS
const RECOMMENDATIONS_WITH: readonly (readonly [HvPrivilege, number])[] = [
  [HvPrivilege.ACCESS_INTR_CTRL_REGS, HvRecommendation.APIC_MSRS],
  [HvPrivilege.ACCESS_RESET_REG, HvRecommendation.RESET_MSR],
]

/** Leaf 0x40000006, EAX. */
export const HARDWARE_FEATURES: number =
  HvHardwareFeature.SECOND_LEVEL_ADDRESS_TRANSLATION | HvHardwareFeature.DMA_REMAPPING

/** Feature bits of a partition with these privileges. */
export function featuresOf(privileges: PrivilegeMask): number {
  return withPrivileges(FEATURES, FEATURES_WITH, privileges)
}

/** Recommendation bits of a partition with these privileges. */
export function recommendationsOf(privileges: PrivilegeMask): number {
  return withPrivileges(RECOMMENDATIONS, RECOMMENDATIONS_WITH, privileges)
}

function withPrivileges(
  bits: number,
  more: readonly (readonly [HvPrivilege, number])[],
  privileges: PrivilegeMask,
): number {
  let all = bits
  for (const [privilege, bit] of more) if (hasPrivilege(privileges, privilege)) all |= bit
  return all >>> 0
}
