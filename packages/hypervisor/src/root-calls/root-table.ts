// Every call that the root may make: what a child's VP meets, and the calls about children. One row each, in the file of its family.

import type { HypercallRow } from '../hypercalls.ts'
import type { PortTable } from '../port-table.ts'
import { SHARED_CALLS } from '../vp-calls.ts'
import type { SharedCapabilities } from '../vp-calls.ts'
import { DEVICE_CALLS } from './device-calls.ts'
import type { DeviceInterrupts } from './device-calls.ts'
import { INTERRUPT_CALLS } from './interrupt-calls.ts'
import type { InterruptCallTargets } from './interrupt-calls.ts'
import { MEMORY_CALLS } from './memory-calls.ts'
import type { MemoryCallTargets } from './memory-calls.ts'
import { PARTITION_CALLS } from './partition-calls.ts'
import type { PartitionLife } from './partition-calls.ts'
import { PORT_CALLS } from './port-calls.ts'
import { PROCESSOR_CALLS } from './processor-calls.ts'
import type { ProcessorCallTargets } from './processor-calls.ts'
import { REGISTER_CALLS } from './register-calls.ts'
import type { RegisterCallTargets } from './register-calls.ts'

/** What stands behind the root's calls, a part for each family. */
export interface RootCapabilities extends SharedCapabilities {
  readonly partitions: PartitionLife
  readonly memory: MemoryCallTargets
  readonly processors: ProcessorCallTargets
  readonly registers: RegisterCallTargets
  readonly ports: PortTable
  readonly interrupts: InterruptCallTargets
  readonly devices: DeviceInterrupts
}

/** The calls of the root's VP. */
export const ROOT_CALLS: readonly HypercallRow<RootCapabilities>[] = [
  ...SHARED_CALLS,
  ...PARTITION_CALLS,
  ...MEMORY_CALLS,
  ...PROCESSOR_CALLS,
  ...REGISTER_CALLS,
  ...PORT_CALLS,
  ...INTERRUPT_CALLS,
  ...DEVICE_CALLS,
]
