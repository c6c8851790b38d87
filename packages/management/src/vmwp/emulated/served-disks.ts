// IDE disks of a VM as its worker process holds them.

import type { PartitionStart } from '@guestyard/root-partition/worker-protocol'
import type { IdeDiskPort } from '@guestyard/x86-partition/worker-protocol'

/** The IDE disks of a running VM, wherever their controller is. */
export interface ServedDisks {
  /** Where the processor's thread asks for bytes, if it is the one that has the controller. */
  readonly far: IdeDiskPort | null
  /** The partition is there: its RAM may be reached. */
  bind(start: PartitionStart): void
  inspect(): object
  close(): void
  isClosed(): boolean
  readonly lost: readonly string[]
}
