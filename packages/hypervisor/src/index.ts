export {
  HOST_PAGES_DEFAULT,
  HostMemoryPool,
  type HostMemoryInspection,
  type MemoryBalance,
  type RamExtent,
} from './host-memory.ts'
export {
  DEFAULT_CHILD_PRIVILEGES,
  Hypervisor,
  PARTITIONS_MAX_DEFAULT,
  ROOT_PARTITION_ID,
  VPS_MAX,
} from './hypervisor.ts'
export type { CreatePartitionResult, HypervisorOptions } from './hypervisor.ts'
export type {
  Partition,
  PartitionInspection,
  PartitionListener,
  PartitionOptions,
} from './partition.ts'
export type {
  EventPortOptions,
  MessageHandler,
  MessagePortOptions,
  SignalHandler,
  SintFlagTarget,
  SintTarget,
} from './port.ts'
export { VirtualProcessor } from './virtual-processor.ts'
export type {
  Clock,
  VirtualProcessorOptions,
  VpHandles,
  VpInspection,
} from './virtual-processor.ts'
export type { Wake } from './caller.ts'
export type { CpuidResult } from './cpuid-leaves.ts'
export type { MsrValue } from './partition-registers.ts'
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
