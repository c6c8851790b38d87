// What a partition may have of the logical processors, in the units of Hyper-V's properties (HvPartitionPropertyCpuWeight,
// -CpuCap, -CpuReserve). They belong to the partition and hold for each of its VPs.

import { CPU_FRACTION_ONE, CPU_WEIGHT_DEFAULT, CPU_WEIGHT_MAX } from '@guestyard/hvdef'

export interface CpuProperties {
  /** Proportional share of each VP while processors are contended: 1 to 10000. */
  readonly weight: number
  /** Most of a logical processor that each VP gets: 1 to 0x10000, not below the reserve. */
  readonly cap: number
  /** What of a logical processor each VP is guaranteed: 0 to 0x10000. */
  readonly reserve: number
}

/** What a partition has that nobody said anything about. */
export const CPU_PROPERTIES_DEFAULT: CpuProperties = {
  weight: CPU_WEIGHT_DEFAULT,
  cap: CPU_FRACTION_ONE,
  reserve: 0,
}

/** True when the values are in their ranges. */
export function areCpuProperties(properties: CpuProperties): boolean {
  const { weight, cap, reserve } = properties
  return (
    isWhole(weight, 1, CPU_WEIGHT_MAX) &&
    isWhole(cap, 1, CPU_FRACTION_ONE) &&
    isWhole(reserve, 0, CPU_FRACTION_ONE) &&
    reserve <= cap
  )
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max
}
