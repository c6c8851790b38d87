// The root's worker: started by management, serves its control port.

import { enableCompileCache, flushCompileCache } from 'node:module'
import { workerData } from 'node:worker_threads'

import type { RootWorkerData } from './worker-protocol.ts'

// Before anything is loaded: most of the start is reading and compiling modules.
enableCompileCache()
const { serveRoot } = await import('./serve-root.ts')
serveRoot(workerData as RootWorkerData)
flushCompileCache()
