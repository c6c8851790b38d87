// The value of an MSR, as it passes between the parts of a VP.

/** An MSR value, filled in by reads. Both halves are u32. */
export interface MsrValue {
  low: number
  high: number
}
