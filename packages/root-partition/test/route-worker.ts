// One VP on a thread of its own, which does nothing but take interrupts: each that it handles adds one to a counter.

import { parentPort, workerData } from 'node:worker_threads'

import { GuestMemory, type WasmMemory } from '@guestyard/guestmem'
import { VirtualProcessor, type VpHandles } from '@guestyard/hypervisor'
import { Doorbell } from '@guestyard/ring'

import { SINT_VECTOR, enableSynic, takeFlag } from './support/interrupt-guest.ts'

export interface RouteWorkerData {
  readonly handles: VpHandles
  readonly memory: WasmMemory
  readonly doorbell: SharedArrayBuffer
  readonly rootDoorbell: SharedArrayBuffer
  /** Word 0: interrupts handled by all VPs. */
  readonly counters: SharedArrayBuffer
  readonly relid: number
}

const data = workerData as RouteWorkerData
const memory = GuestMemory.attach(data.memory)
const counters = new Int32Array(data.counters)
const bell = new Doorbell(data.doorbell)
const vp = new VirtualProcessor(data.handles, {
  memory,
  wakeRoot: new Doorbell(data.rootDoorbell),
  clock: { nowMs: 0, now100ns: 0 },
})
enableSynic(vp)
parentPort!.postMessage('ready')

let stray = 0
while (!bell.stopped) {
  const sample = bell.sample()
  const vector = vp.deliver()
  if (vector < 0) {
    bell.waitBlocking(sample)
    continue
  }
  vp.acknowledge(vector)
  const due = vector !== SINT_VECTOR || takeFlag(memory, vp.vpIndex, data.relid)
  vp.endOfInterrupt()
  if (!due) {
    stray += 1
    continue
  }
  Atomics.add(counters, 0, 1)
  Atomics.notify(counters, 0)
}
parentPort!.postMessage({ stray })
