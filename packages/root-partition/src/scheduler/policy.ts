// What every scheduling policy answers. The scheduler owns the counters and the grants; a policy only decides.

/** A VP as a policy sees it. */
export interface SchedulableVp {
  readonly partitionId: number
  readonly vpIndex: number
  /** Proportional share, 1..10000. */
  readonly weight: number
}

/** Names as Hyper-V has them (system property "scheduler type"). */
export type SchedulerPolicyName = 'classic' | 'core' | 'root'

export interface SchedulerPolicy {
  readonly name: SchedulerPolicyName
  /** The logical processor that the VP is to run on when it becomes ready. */
  place(vp: SchedulableVp): number
  /** The VP is gone from the logical processor it was placed on. */
  remove(vp: SchedulableVp, lp: number): void
}
