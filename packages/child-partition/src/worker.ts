// The worker of a script guest: started by management with the guest's RAM and pages, serves its control port.

import { flushCompileCache } from 'node:module'
import { workerData } from 'node:worker_threads'
import { trimHeapWhenIdle } from '@guestyard/engine/node'

import { serveGuest } from './serve-guest.ts'
import type { GuestWorkerData } from './worker-protocol.ts'

serveGuest(workerData as GuestWorkerData)
// Whoever starts this worker has turned the cache on: the next guest finds what this one compiled.
flushCompileCache()
trimHeapWhenIdle()
