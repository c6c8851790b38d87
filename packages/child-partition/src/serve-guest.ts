import { expose } from 'comlink'
import { portEndpoint } from '@guestyard/engine/node'

import { GuestRuntime } from './guest-runtime.ts'
import type { GuestWorkerData } from './worker-protocol.ts'

/** Makes the guest of this thread and serves its control port. */
export function serveGuest(data: GuestWorkerData): void {
  expose(new GuestRuntime(data), portEndpoint(data.controlPort))
}
