// The worker of two-threads.ts: the host's program on one end of a bare ring pair, polled without a pause.

import { workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { openRingLink } from '@guestyard/ring'
import type { RingLink } from '@guestyard/ring'
import { openBareHost } from '../test/bare-host.ts'

export interface HostEndData {
  readonly link: RingLink
  readonly port: MessagePort
  /** One word: not 0 ends the worker. */
  readonly stop: SharedArrayBuffer
}

const { link, port, stop } = workerData as HostEndData
const stopWord = new Int32Array(stop)
const { program } = openBareHost(openRingLink(link, 'b'))
const heapBefore = process.memoryUsage().heapUsed
let polls = 0
while (Atomics.load(stopWord, 0) === 0) {
  for (let turn = 0; turn < 1000; turn += 1) program.poll(256)
  polls += 1000
}
port.postMessage({ polls, heapGrowth: process.memoryUsage().heapUsed - heapBefore })
