export { CPU_PROPERTIES_DEFAULT, areCpuProperties, type CpuProperties } from './cpu-properties.ts'
export type { DispatchGrant } from './dispatch-grant.ts'
export { fairShares, jainIndex } from './fairness.ts'
export type {
  LogicalProcessorInspection,
  ScheduledVpInspection,
  SchedulerInspection,
} from './inspection.ts'
export {
  performanceCounters,
  type PerformanceCounters,
  type SchedulerCounters,
} from './performance-counters.ts'
export type { SchedulerPolicyName } from './policy.ts'
export {
  PERIOD_MS_DEFAULT,
  SLICE_MS_DEFAULT,
  type OverdueVp,
  type SchedulerOptions,
  type SchedulerSettings,
} from './scheduler-options.ts'
export { Scheduler } from './scheduler.ts'
export {
  Simulation,
  type Behaviour,
  type SimulatedVp,
  type SimulatedVpOptions,
  type Step,
} from './simulation.ts'
