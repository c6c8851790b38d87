export { RootPartition, type RootPartitionOptions, type VpDoorbells } from './root-partition.ts'
export { InterruptRouter, PortIds, type BusInbox } from './interrupts/index.ts'
export {
  RootPolicy,
  Scheduler,
  type DispatchGrant,
  type SchedulableVp,
  type SchedulerInspection,
  type SchedulerPolicy,
  type SchedulerPolicyName,
} from './scheduler/index.ts'
export type { PartitionDevices } from './providers.ts'
