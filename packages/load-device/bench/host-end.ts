// The worker of two-threads.ts: the host's program on one end of a bare ring pair, polled without a pause.

import { workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { openRingLink } from '@guestyard/ring'
import type { RingLink } from '@guestyard/ring'
import type { ChannelProgram } from '@guestyard/vmbus'
import type { ServerChannel } from '@guestyard/vmbus/server'
import { LOAD_CLASS_ID, LOAD_INSTANCE_ID } from '@guestyard/load-device'
import { LoadVsp, RelayHub } from '@guestyard/load-device/vsp'

export interface HostEndData {
  readonly link: RingLink
  readonly port: MessagePort
  /** One word: not 0 ends the worker. */
  readonly stop: SharedArrayBuffer
}

const { link, port, stop } = workerData as HostEndData
const ring = openRingLink(link, 'b')
const stopWord = new Int32Array(stop)

/** As much of a server's channel as this device uses; there is no bus, and nobody sleeps. */
const channel: Omit<ServerChannel, 'domain'> = {
  relid: 1,
  incoming: ring.incoming,
  outgoing: ring.outgoing,
  targetVp: 0,
  userDefined: new Uint8Array(120),
  subChannelIndex: 0,
  subChannelCount: 0,
  classId: LOAD_CLASS_ID,
  instanceId: LOAD_INSTANCE_ID,
  busVersion: 0,
  signal: () => {},
  wake: () => {},
  offerSubChannels: () => 0,
  gpadl: () => undefined,
  completeOpen: () => {},
  completeClose: () => {},
  fail: (reason) => {
    throw new Error(`The channel failed: ${reason}.`)
  },
}

const program = new LoadVsp({ hub: new RelayHub(), partitionKey: 1 }).open(
  channel as ServerChannel,
) as ChannelProgram
program.disarm()
const heapBefore = process.memoryUsage().heapUsed
let polls = 0
while (Atomics.load(stopWord, 0) === 0) {
  for (let turn = 0; turn < 1000; turn += 1) program.poll(256)
  polls += 1000
}
port.postMessage({ polls, heapGrowth: process.memoryUsage().heapUsed - heapBefore })
