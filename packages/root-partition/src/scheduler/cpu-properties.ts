// What a partition may have of the logical processors, in the units of Hyper-V's properties (HvPartitionPropertyCpuWeight,
// -CpuCap, -CpuReserve). They belong to the partition and hold for each of its VPs.

/** A whole logical processor, as caps and reserves count. */
export const CPU_SHARE_ONE = 0x1_0000
export const CPU_WEIGHT_MAX = 10_000

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
  weight: 100,
  cap: CPU_SHARE_ONE,
  reserve: 0,
}

/**
 * True when the values are in their ranges. A cap of 0, which the property's range has, would never let a VP run: it is refused
 * here and set to the default by Hyper-V's own tools.
 */
export function areCpuProperties(properties: CpuProperties): boolean {
  const { weight, cap, reserve } = properties
  return (
    isWhole(weight, 1, CPU_WEIGHT_MAX) &&
    isWhole(cap, 1, CPU_SHARE_ONE) &&
    isWhole(reserve, 0, CPU_SHARE_ONE) &&
    reserve <= cap
  )
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max
}
