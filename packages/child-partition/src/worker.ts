// The worker of a script guest: started by management with the guest's RAM and pages, serves its control port.

import { enableCompileCache, flushCompileCache } from 'node:module'
import { workerData } from 'node:worker_threads'

import type { GuestWorkerData } from './worker-protocol.ts'

// Before anything is loaded: most of a guest's boot is reading and compiling modules that the guest before it compiled too.
enableCompileCache()
const { serveGuest } = await import('./serve-guest.ts')
serveGuest(workerData as GuestWorkerData)
flushCompileCache()
