// Synthetic MSRs (TLFS, "Synthetic MSRs" by chapter). An MSR value is 64 bits: masks below are of the low
// half unless they say high.

/** MSR numbers. SINTn is SINT0 + n; STIMERn_CONFIG and _COUNT are STIMER0_… + 2n. */
export const SyntheticMsr = {
  GUEST_OS_ID: 0x4000_0000,
  HYPERCALL: 0x4000_0001,
  VP_INDEX: 0x4000_0002,
  RESET: 0x4000_0003,
  VP_RUNTIME: 0x4000_0010,
  TIME_REF_COUNT: 0x4000_0020,
  REFERENCE_TSC: 0x4000_0021,
  TSC_FREQUENCY: 0x4000_0022,
  APIC_FREQUENCY: 0x4000_0023,
  EOI: 0x4000_0070,
  ICR: 0x4000_0071,
  TPR: 0x4000_0072,
  VP_ASSIST_PAGE: 0x4000_0073,
  SCONTROL: 0x4000_0080,
  SVERSION: 0x4000_0081,
  SIEFP: 0x4000_0082,
  SIMP: 0x4000_0083,
  EOM: 0x4000_0084,
  SINT0: 0x4000_0090,
  SINT15: 0x4000_009f,
  STIMER0_CONFIG: 0x4000_00b0,
  STIMER0_COUNT: 0x4000_00b1,
  STIMER3_COUNT: 0x4000_00b7,
  GUEST_IDLE: 0x4000_00f0,
  CRASH_P0: 0x4000_0100,
  CRASH_P1: 0x4000_0101,
  CRASH_P2: 0x4000_0102,
  CRASH_P3: 0x4000_0103,
  CRASH_P4: 0x4000_0104,
  CRASH_CTL: 0x4000_0105,
  REENLIGHTENMENT_CONTROL: 0x4000_0106,
  TSC_EMULATION_CONTROL: 0x4000_0107,
  TSC_EMULATION_STATUS: 0x4000_0108,
  TIME_UNHALTED_TIMER_CONFIG: 0x4000_0114,
  TIME_UNHALTED_TIMER_COUNT: 0x4000_0115,
  TSC_INVARIANT_CONTROL: 0x4000_0118,
} as const
export type SyntheticMsr = (typeof SyntheticMsr)[keyof typeof SyntheticMsr]

export const MSR_EOI = 0x4000_0070
export const MSR_EOM = 0x4000_0084
export const MSR_SINT0 = 0x4000_0090
export const MSR_STIMER0_CONFIG = 0x4000_00b0
/** Synthetic timers of one VP. */
export const STIMER_COUNT = 4

/** Bit 0 of HYPERCALL, REFERENCE_TSC, VP_ASSIST_PAGE, SIEFP and SIMP: the page is in place. */
export const MSR_PAGE_ENABLE = 0x1
/** HYPERCALL, bit 1: no more writes until reset. */
export const MSR_HYPERCALL_LOCKED = 0x2
/** SCONTROL, bit 0. */
export const MSR_SCONTROL_ENABLE = 0x1
/** What SVERSION reads. */
export const SYNIC_VERSION = 1
/** RESET, bit 0: resets the partition. */
export const MSR_RESET_NOW = 0x1

/** SINTn bits. */
export const SINT_VECTOR_MASK = 0xff
export const SINT_MASKED = 0x1_0000
export const SINT_AUTO_EOI = 0x2_0000
export const SINT_POLLING = 0x4_0000
export const SINT_AS_INTERCEPT = 0x8_0000
export const SINT_PROXY = 0x10_0000
/** SINTn after reset: masked. */
export const SINT_RESET_VALUE = SINT_MASKED
/** Lowest vector an unmasked SINT may carry. */
export const SINT_VECTOR_MIN = 16

/** STIMERn_CONFIG bits. */
export const STIMER_ENABLE = 0x1
export const STIMER_PERIODIC = 0x2
export const STIMER_LAZY = 0x4
export const STIMER_AUTO_ENABLE = 0x8
export const STIMER_VECTOR_SHIFT = 4 //   11:4, direct mode
export const STIMER_DIRECT = 0x1000
export const STIMER_SINT_SHIFT = 16 //    19:16
/** Bits of the low half that must be zero; the whole high half must be. */
export const STIMER_RESERVED = 0xfff0_e000

/** CRASH_CTL, bits of the high half. */
export const CRASH_NOTIFY_HIGH = 0x8000_0000
export const CRASH_MESSAGE_HIGH = 0x4000_0000
export const CRASH_NO_DUMP_HIGH = 0x2000_0000
/** Longest crash message, in bytes: CRASH_P3 is its GPA, CRASH_P4 its length. */
export const CRASH_MESSAGE_MAX = 4096

/** GUEST_OS_ID, bit 63 (bit 31 of the high half): an open-source system. */
export const GUEST_OS_ID_OPEN_SOURCE_HIGH = 0x8000_0000
/** GUEST_OS_ID, bits 62:56 of an open-source system. */
export const GuestOsType = { LINUX: 1, FREEBSD: 2, XEN: 3, ILLUMOS: 4 } as const

/** Page number in an MSR that places a page: bits 63:12 of the two halves. */
export function msrPageNumber(low: number, high: number): number {
  return (high >>> 0) * 0x10_0000 + (low >>> 12)
}

/** Low half of an MSR that places page `pageNumber` (below 2^52). */
export function msrPageLow(pageNumber: number, bits: number): number {
  return (((pageNumber % 0x10_0000) * 0x1000) | bits) >>> 0
}

/** High half of an MSR that places page `pageNumber`. */
export function msrPageHigh(pageNumber: number): number {
  return Math.floor(pageNumber / 0x10_0000)
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(SyntheticMsr).map(([name, number]) => [number, name]),
)

/** Name of a synthetic MSR, such as `SINT2` or `STIMER1_COUNT`; undefined for a number we do not know. */
export function msrName(n: number): string | undefined {
  if (n >= SyntheticMsr.SINT0 && n <= SyntheticMsr.SINT15) return `SINT${n - SyntheticMsr.SINT0}`
  if (n >= SyntheticMsr.STIMER0_CONFIG && n <= SyntheticMsr.STIMER3_COUNT) {
    const index = n - SyntheticMsr.STIMER0_CONFIG
    return `STIMER${index >> 1}_${(index & 1) === 0 ? 'CONFIG' : 'COUNT'}`
  }
  return NAMES.get(n)
}
