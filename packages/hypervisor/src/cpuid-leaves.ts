// CPUID as a guest sees it (TLFS, "Feature and Interface Discovery"). One table for a VP, made from what its partition
// may do; every other leaf answers zeros.

import {
  CPUID_HYPERVISOR_PRESENT,
  CPUID_INTERFACE_HV1,
  CPUID_VENDOR_EBX,
  CPUID_VENDOR_ECX,
  CPUID_VENDOR_EDX,
  CpuidLeaf,
  HvFeature,
  HvRecommendation,
  SPIN_COUNT_NEVER,
} from '@guestyard/hvdef'
import type { PrivilegeMask } from '@guestyard/hvdef'

/** The answer to CPUID: four u32. */
export interface CpuidResult {
  eax: number
  ebx: number
  ecx: number
  edx: number
}

/** What the leaves of a VP depend on. */
export interface CpuidSubject {
  readonly vpIndex: number
  readonly vpCount: number
  readonly privileges: PrivilegeMask
}

type Row = readonly [leaf: number, eax: number, ebx: number, ecx: number, edx: number]

/** Build and version of the interface level that this hypervisor follows: 10.0.20348. */
const BUILD_NUMBER = 20348
const VERSION = 0x000a_0000

const ZERO: Row = [0, 0, 0, 0, 0]

/** The leaves of one VP, answered by `read`. */
export class CpuidLeaves {
  readonly #rows: ReadonlyMap<number, Row>

  constructor(subject: CpuidSubject) {
    this.#rows = new Map(rowsOf(subject).map((row) => [row[0], row]))
  }

  /** Fills `out` for a leaf. No leaf here has sub-leaves. */
  read(leaf: number, out: CpuidResult): void {
    const row = this.#rows.get(leaf >>> 0) ?? ZERO
    out.eax = row[1]
    out.ebx = row[2]
    out.ecx = row[3]
    out.edx = row[4]
  }
}

function rowsOf(subject: CpuidSubject): Row[] {
  const { vpIndex, vpCount, privileges } = subject
  const identity = ((vpIndex & 0xff) << 24) | (Math.min(vpCount, 0xff) << 16)
  return [
    // "Guestyard" "CPU", in the order EBX, EDX, ECX of leaf 0.
    [0, 1, 0x7365_7547, 0x5550_4364, 0x7261_7974],
    [1, 0, identity >>> 0, CPUID_HYPERVISOR_PRESENT, 0],
    [
      CpuidLeaf.VENDOR_AND_MAX,
      CpuidLeaf.HARDWARE_FEATURES,
      CPUID_VENDOR_EBX,
      CPUID_VENDOR_ECX,
      CPUID_VENDOR_EDX,
    ],
    [CpuidLeaf.INTERFACE, CPUID_INTERFACE_HV1, 0, 0, 0],
    [CpuidLeaf.VERSION, BUILD_NUMBER, VERSION, 0, 0],
    [
      CpuidLeaf.FEATURES,
      privileges.low,
      privileges.high,
      0,
      HvFeature.SINT_POLLING_MODE | HvFeature.HYPERCALL_MSR_LOCK,
    ],
    [CpuidLeaf.RECOMMENDATIONS, HvRecommendation.DEPRECATE_AUTO_EOI, SPIN_COUNT_NEVER, 0, 0],
    [CpuidLeaf.LIMITS, vpCount, vpCount, 0, 0],
    [CpuidLeaf.HARDWARE_FEATURES, 0, 0, 0, 0],
  ]
}
