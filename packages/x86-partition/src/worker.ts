// The worker of a machine guest: started by management, given its memory and pages once it has loaded, serves its control port.

import { flushCompileCache } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { expose } from 'comlink'
import { portEndpoint, trimHeapWhenIdle } from '@guestyard/engine/node'

import { startMachineThread } from './node/machine-thread.ts'
import type { MachinePartition, MachineWorkerData } from './worker-protocol.ts'

parentPort?.once('message', (partition: MachinePartition) => {
  const data = workerData as MachineWorkerData
  expose(startMachineThread(data, partition), portEndpoint(data.controlPort))
})
parentPort?.postMessage(null)
// Whoever starts this worker has turned the cache on: the next guest finds what this one compiled.
flushCompileCache()
trimHeapWhenIdle()
