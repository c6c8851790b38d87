// HOT
import type { ScheduledVp } from './scheduled-vp.ts'

/** A logical processor and what it runs. Times are 100 ns units. Root thread only. */
export class LogicalProcessor {
  readonly index: number
  readonly core: number
  /** Who holds the grant; it may have been revoked, and is not idle until the VP said that it stopped. */
  vp: ScheduledVp | null = null
  isRevoked = false
  /** When the VP was granted the processor, when its present slice ends, when it was told to stop. */
  grantedAt = 0
  sliceEnd = 0
  revokedAt = 0
  /** When an overdue VP is reported next. */
  reportAt = 0
  /** Who ran before. */
  lastVp: ScheduledVp | null = null

  guestRunTime = 0
  dispatches = 0
  contextSwitches = 0
  preemptions = 0

  constructor(index: number, threadsPerCore: number) {
    this.index = index
    this.core = Math.floor(index / threadsPerCore)
  }
}
