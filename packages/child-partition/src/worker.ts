// The worker of a script guest: started by management, given its RAM and pages once it has loaded, serves its control port.

import { flushCompileCache } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { trimHeapWhenIdle } from '@guestyard/engine/node'

import { serveGuest } from './serve-guest.ts'
import type { GuestPartition, GuestWorkerData } from './worker-protocol.ts'

parentPort?.once('message', (partition: GuestPartition) => {
  // A program that looks for it would find it: nothing rests on hiding what the thread was given, and tests of hostile guests begin here.
  Object.assign(workerData as object, partition)
  serveGuest(workerData as GuestWorkerData, partition)
})
parentPort?.postMessage(null)
// Whoever starts this worker has turned the cache on: the next guest finds what this one compiled.
flushCompileCache()
trimHeapWhenIdle()
