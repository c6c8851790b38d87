// CPUID as a guest sees it (TLFS, "Feature and Interface Discovery"). One table for a VP, made from what its partition
// may do; every other leaf answers zeros, 0x40000081 and 82 too, which Linux reads whatever the largest leaf is.

import {
  CPUID_HYPERVISOR_PRESENT,
  CPUID_INTERFACE_HV1,
  CPUID_VENDOR_EBX,
  CPUID_VENDOR_ECX,
  CPUID_VENDOR_EDX,
  CpuidLeaf,
  HvPrivilege,
  hasPrivilege,
} from '@guestyard/hvdef'
import type { PrivilegeMask } from '@guestyard/hvdef'

import { HARDWARE_FEATURES, SPIN_COUNT, featuresOf, recommendationsOf } from './features.ts'

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
/** Leaf 0x40000004, ECX: bits of a physical address. */
const PHYSICAL_ADDRESS_BITS = 36
/** The processor's own extended leaves. */
const EXTENDED_MAX = 0x8000_0000
const ADVANCED_POWER = 0x8000_0007
/** Leaf 0x80000007, EDX. */
const INVARIANT_TSC = 0x100

const ZERO: Row = [0, 0, 0, 0, 0]

/** The leaves of one VP, answered by `read`. */
export class CpuidLeaves {
  readonly #rows: ReadonlyMap<number, Row>
  /** The guest sees that its TSC is invariant once it has asked to, if it may ask. */
  readonly #mustAsk: boolean
  readonly #hasAsked: () => boolean

  /** `showsInvariantTsc`: whether TSC_INVARIANT_CONTROL has been set. */
  constructor(subject: CpuidSubject, showsInvariantTsc: () => boolean) {
    this.#rows = new Map(rowsOf(subject).map((row) => [row[0], row]))
    this.#mustAsk = hasPrivilege(subject.privileges, HvPrivilege.ACCESS_TSC_INVARIANT_CONTROLS)
    this.#hasAsked = showsInvariantTsc
  }

  /** Fills `out` for a leaf. No leaf here has sub-leaves. */
  read(leaf: number, out: CpuidResult): void {
    const number = leaf >>> 0
    const row = this.#rows.get(number) ?? ZERO
    out.eax = row[1]
    out.ebx = row[2]
    out.ecx = row[3]
    out.edx = row[4]
    if (number === ADVANCED_POWER && this.#mustAsk && !this.#hasAsked()) out.edx &= ~INVARIANT_TSC
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
    [CpuidLeaf.FEATURES, privileges.low, privileges.high, 0, featuresOf(privileges)],
    [
      CpuidLeaf.RECOMMENDATIONS,
      recommendationsOf(privileges),
      SPIN_COUNT,
      PHYSICAL_ADDRESS_BITS,
      0,
    ],
    [CpuidLeaf.LIMITS, vpCount, vpCount, 0, 0],
    [CpuidLeaf.HARDWARE_FEATURES, HARDWARE_FEATURES, 0, 0, 0],
    [EXTENDED_MAX, ADVANCED_POWER, 0, 0, 0],
    [ADVANCED_POWER, 0, 0, 0, INVARIANT_TSC],
  ]
}
