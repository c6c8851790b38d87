export {
  HOST_PAGES_DEFAULT,
  HostMemoryPool,
  type HostMemoryInspection,
  type MemoryBalance,
  type RamExtent,
} from './host-memory.ts'
export { Hypervisor, PARTITIONS_MAX_DEFAULT } from './hypervisor.ts'
export type {
  CreatePartitionResult,
  HypervisorInspection,
  HypervisorOptions,
  PartitionOptions,
} from './hypervisor.ts'
export { ROOT_PARTITION_ID } from './partition-table.ts'
export { VPS_MAX } from './partition-page.ts'
export type { PartitionBacking, PartitionListener, VpDoorbell } from './partition-backing.ts'
export type { Partition, PartitionInspection, PartitionState } from './partition.ts'
export type { PropertyValue } from './partition-properties.ts'
export { ROOT_PRIVILEGES } from './root-processor.ts'
export type { RootProcessor } from './root-processor.ts'
export type {
  DeviceInterrupts,
  InterruptDestination,
  InterruptMessage,
} from './root-calls/device-calls.ts'
export type {
  EventPortOptions,
  MessageHandler,
  MessagePortOptions,
  SignalHandler,
  SintFlagTarget,
  SintTarget,
} from './port.ts'
export { VirtualProcessor } from './virtual-processor.ts'
export type { Clock } from './clock.ts'
export type { VirtualProcessorOptions, VpHandles } from './vp-handles.ts'
export type { SavedMsr, SavedVp } from './saved-state.ts'
export type { SavedTimer } from './time/synthetic-timers.ts'
export type { VpInspection } from './vp-inspection.ts'
export type { Wake } from './wake.ts'
export type { CpuidResult } from './cpuid-leaves.ts'
export type { MsrValue } from './msr-value.ts'
export {
  HYPERCALL_CONTINUED,
  HYPERCALL_MEMORY_INTERCEPT,
  HYPERCALL_REGISTER_WORDS,
  HYPERCALL_UNDEFINED_OPCODE,
} from './hypercalls.ts'
export type { HypercallInspection } from './hypercall-counters.ts'
export { NMI_VECTOR } from './apic.ts'
export { InterceptRegister } from './intercepts/intercept-slot.ts'
export { GENERAL_PROTECTION } from './intercepts/intercept-unit.ts'
export type { AccessSize, InterceptOutcome, InterceptUnit } from './intercepts/intercept-unit.ts'
export type { RootVp } from './root-vp.ts'
export { DEFAULT_CHILD_PRIVILEGES } from './features.ts'
export type { CrashReport } from './crash-report.ts'
export type { Translations } from './siblings.ts'
export { VpReport, type RootDispatch } from './dispatch-state.ts'
export type { VpCounters } from './root-vp.ts'
