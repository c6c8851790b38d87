// Locks an image and stays, until its thread or its process is ended.

import { parentPort, workerData } from 'node:worker_threads'

import { lockImage } from '@guestyard/storage/file'

const path = parentPort === null ? process.argv[2]! : (workerData as string)
lockImage(path, 'write')
if (parentPort === null) process.stdout.write('locked\n')
else parentPort.postMessage('locked')
setInterval(() => undefined, 1000)
