// The root's worker: started by management, serves its control port.

import { flushCompileCache } from 'node:module'
import { workerData } from 'node:worker_threads'

import { serveRoot } from './serve-root.ts'
import type { RootWorkerData } from './worker-protocol.ts'

serveRoot(workerData as RootWorkerData)
// Whoever starts this worker has turned the cache on: the next start finds what this one compiled.
flushCompileCache()
