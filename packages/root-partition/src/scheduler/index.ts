export type { SchedulableVp, SchedulerPolicy, SchedulerPolicyName } from './policy.ts'
export { RootPolicy } from './root-policy.ts'
export { Scheduler, type DispatchGrant, type SchedulerInspection } from './scheduler.ts'
