export { RootPartition, type RootPartitionOptions, type VpDoorbells } from './root-partition.ts'
export {
  ChannelRoute,
  type ChannelRouteCounts,
  DeviceInterruptCalls,
  DeviceVectors,
  InterruptLine,
  InterruptRemapping,
  InterruptRouter,
  PortIds,
  type BusInbox,
  type InterruptInspection,
  type InterruptRefusal,
  type InterruptRefusalReason,
  type InterruptSink,
  type InterruptTarget,
  type MapResult,
  type MsiEntry,
  type RemappingInspection,
} from './interrupts/index.ts'
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
