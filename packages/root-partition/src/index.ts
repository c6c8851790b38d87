export { RootPartition } from './root-partition.ts'
export type { RootPartitionOptions, VpDoorbells } from './root-partition-options.ts'
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
  CPU_PROPERTIES_DEFAULT,
  PERIOD_MS_DEFAULT,
  SLICE_MS_DEFAULT,
  Scheduler,
  Simulation,
  areCpuProperties,
  fairShares,
  jainIndex,
  performanceCounters,
  type Behaviour,
  type CpuProperties,
  type DispatchGrant,
  type LogicalProcessorInspection,
  type OverdueVp,
  type PerformanceCounters,
  type ScheduledVpInspection,
  type SchedulerCounters,
  type SchedulerInspection,
  type SchedulerOptions,
  type SchedulerSettings,
  type SchedulerPolicyName,
  type SimulatedVp,
  type SimulatedVpOptions,
  type Step,
} from './scheduler/index.ts'
export { openDisk, type OpenDiskOptions } from './disks/open-disk.ts'
export type { OpenDisk, OpenedDisk, PartitionDisks } from './disks/partition-disks.ts'
export { BusLog } from './bus-log.ts'
export type { PartitionDevices } from './providers.ts'
export { WinHv } from './winhv/index.ts'
export {
  InterceptQueue,
  VidPartition,
  type ExitOwner,
  type InterceptInspection,
  type VpAccess,
  type VpAnswer,
  type VpExit,
} from './vid/index.ts'
export type { SavedPartition } from './saved-partition.ts'
