import { parentPort, workerData } from 'node:worker_threads'

import { SoakEnd } from './soak-end.ts'
import type { SoakWorkerData } from './soak-end.ts'

const end = new SoakEnd(workerData as SoakWorkerData)
parentPort!.postMessage('up')
parentPort!.postMessage(end.run())
