import { expose } from 'comlink'
import { portEndpoint } from '@guestyard/engine/node'
import { GuestMemory } from '@guestyard/guestmem'

import { GuestRuntime } from './guest-runtime.ts'
import { GuestThread } from './guest-thread.ts'
import type { GuestWorkerData } from './worker-protocol.ts'

/** Makes the guest of this thread and serves its control port. */
export function serveGuest(data: GuestWorkerData): void {
  const { name, partitionId, handles, program, args, placement } = data
  const memory = GuestMemory.attach(data.memory)
  const guest = new GuestRuntime(
    { name, partitionId, memory, handles, program, args, placement },
    new GuestThread(data),
  )
  expose(guest, portEndpoint(data.controlPort))
}
