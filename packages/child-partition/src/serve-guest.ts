import { expose } from 'comlink'
import { portEndpoint } from '@guestyard/engine/node'
import { GuestMemory } from '@guestyard/guestmem'

import { GuestRuntime } from './guest-runtime.ts'
import { GuestThread } from './guest-thread.ts'
import type { GuestPartition, GuestWorkerData } from './worker-protocol.ts'

/** Makes the guest of this thread and serves its control port. */
export function serveGuest(data: GuestWorkerData, partition: GuestPartition): void {
  const { name, program, args, placement } = data
  const { partitionId, handles } = partition
  const memory = GuestMemory.attach(partition.memory)
  const guest = new GuestRuntime(
    { name, partitionId, memory, handles, program, args, placement },
    new GuestThread(data, partition),
  )
  expose(guest, portEndpoint(data.controlPort))
}
