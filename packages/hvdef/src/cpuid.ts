// CPUID leaves of the hypervisor (TLFS, "Feature and Interface Discovery").

/** Leaf 1, ECX bit 31: a hypervisor is present. */
export const CPUID_HYPERVISOR_PRESENT = 0x8000_0000

/** Leaf numbers. */
export const CpuidLeaf = {
  VENDOR_AND_MAX: 0x4000_0000, //        EAX max leaf, then "Micr" "osof" "t Hv"
  INTERFACE: 0x4000_0001, //             EAX "Hv#1"
  VERSION: 0x4000_0002,
  FEATURES: 0x4000_0003, //              EBX:EAX privileges, EDX features
  RECOMMENDATIONS: 0x4000_0004,
  LIMITS: 0x4000_0005,
  HARDWARE_FEATURES: 0x4000_0006,
} as const
export type CpuidLeaf = (typeof CpuidLeaf)[keyof typeof CpuidLeaf]

/** Leaf 0x40000000: "Microsoft Hv" in EBX, ECX, EDX. */
export const CPUID_VENDOR_EBX = 0x7263_694d
export const CPUID_VENDOR_ECX = 0x666f_736f
export const CPUID_VENDOR_EDX = 0x7648_2074
/** Leaf 0x40000001, EAX: "Hv#1". */
export const CPUID_INTERFACE_HV1 = 0x3123_7648
/** Least maximum leaf with which Linux recognises the hypervisor. */
export const CPUID_MAX_LEAF_MIN = 0x4000_0005

/** Privileges, as bit numbers of the 64-bit mask: 0..31 in EAX, 32..63 in EBX. */
export const HvPrivilege = {
  ACCESS_VP_RUNTIME_REG: 0,
  ACCESS_PARTITION_REFERENCE_COUNTER: 1,
  ACCESS_SYNIC_REGS: 2,
  ACCESS_SYNTHETIC_TIMER_REGS: 3,
  ACCESS_INTR_CTRL_REGS: 4,
  ACCESS_HYPERCALL_MSRS: 5,
  ACCESS_VP_INDEX: 6,
  ACCESS_RESET_REG: 7,
  ACCESS_STATS_REG: 8,
  ACCESS_PARTITION_REFERENCE_TSC: 9,
  ACCESS_GUEST_IDLE_REG: 10,
  ACCESS_FREQUENCY_REGS: 11,
  ACCESS_REENLIGHTENMENT_CONTROLS: 13,
  ACCESS_TSC_INVARIANT_CONTROLS: 15,
  CREATE_PARTITIONS: 32,
  ACCESS_PARTITION_ID: 33,
  ACCESS_MEMORY_POOL: 34,
  ADJUST_MESSAGE_BUFFERS: 35,
  POST_MESSAGES: 36,
  SIGNAL_EVENTS: 37,
  CREATE_PORT: 38,
  CONNECT_PORT: 39,
  ACCESS_STATS: 40,
  DEBUGGING: 43,
  CPU_MANAGEMENT: 44,
  ACCESS_VSM: 48,
  ACCESS_VP_REGISTERS: 49,
  ENABLE_EXTENDED_HYPERCALLS: 52,
  START_VIRTUAL_PROCESSOR: 53,
  ISOLATION: 54,
} as const
export type HvPrivilege = (typeof HvPrivilege)[keyof typeof HvPrivilege]

/** Leaf 0x40000003, EDX. */
export const HvFeature = {
  MWAIT: 0x1,
  CPU_DYNAMIC_PARTITIONING: 0x8,
  XMM_FAST_INPUT: 0x10,
  GUEST_IDLE_STATE: 0x20,
  FREQUENCY_MSRS: 0x100,
  CRASH_MSRS: 0x400,
  DEBUG_MSRS: 0x800,
  EXTENDED_GVA_RANGES: 0x4000,
  XMM_FAST_OUTPUT: 0x8000,
  SINT_POLLING_MODE: 0x2_0000,
  HYPERCALL_MSR_LOCK: 0x4_0000,
  DIRECT_SYNTHETIC_TIMERS: 0x8_0000,
  TIME_UNHALTED_TIMER: 0x80_0000,
} as const

/** Leaf 0x40000004, EAX. */
export const HvRecommendation = {
  HYPERCALL_FOR_CR3_SWITCH: 0x1,
  HYPERCALL_FOR_LOCAL_FLUSH: 0x2,
  HYPERCALL_FOR_REMOTE_FLUSH: 0x4,
  APIC_MSRS: 0x8,
  RESET_MSR: 0x10,
  RELAXED_TIMING: 0x20,
  X2APIC_MSRS: 0x100,
  DEPRECATE_AUTO_EOI: 0x200,
  CLUSTER_IPI_HYPERCALL: 0x400,
  SPARSE_VP_SETS: 0x800,
  NESTED: 0x1000,
  ENLIGHTENED_VMCS: 0x4000,
  CORE_SCHEDULER_REQUESTED: 0x1_0000,
  NO_NONARCHITECTURAL_CORE_SHARING: 0x4_0000,
  MMIO_HYPERCALLS: 0x20_0000,
} as const

/** Leaf 0x40000004, EBX: never notify the hypervisor of a long spin. */
export const SPIN_COUNT_NEVER = 0xffff_ffff

/** Leaf 0x40000006, EAX. */
export const HvHardwareFeature = {
  APIC_OVERLAY_ASSIST: 0x1,
  MSR_BITMAPS: 0x2,
  PERFORMANCE_COUNTERS: 0x4,
  SECOND_LEVEL_ADDRESS_TRANSLATION: 0x8,
  DMA_REMAPPING: 0x10,
  INTERRUPT_REMAPPING: 0x20,
  TIMERS_VOLATILE: 0x200,
} as const

/** The two halves of a privilege mask: `low` for EAX, `high` for EBX of leaf 0x40000003. */
export interface PrivilegeMask {
  readonly low: number
  readonly high: number
}

/** Mask with the given privileges set. */
export function privilegeMask(privileges: readonly HvPrivilege[]): PrivilegeMask {
  let low = 0
  let high = 0
  for (const bit of privileges) {
    if (bit < 32) low |= 1 << bit
    else high |= 1 << (bit - 32)
  }
  return { low: low >>> 0, high: high >>> 0 }
}

/** True when the mask holds the privilege. */
export function hasPrivilege(mask: PrivilegeMask, privilege: HvPrivilege): boolean {
  const half = privilege < 32 ? mask.low : mask.high
  return ((half >>> (privilege & 31)) & 1) === 1
}
