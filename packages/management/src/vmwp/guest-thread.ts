// The thread of one guest, as its worker process holds it: started before there is a partition, since loading takes most of a boot and a
// processor that is granted to a VP whose thread still loads is lost to the others.

import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'
import type { GuestPartition, GuestWorkerData } from '@guestyard/child-partition/worker-protocol'
import type {
  IdeDiskPort,
  MachinePartition,
  MachineWorkerData,
  SavedLinux,
} from '@guestyard/x86-partition/worker-protocol'
import type { PartitionStart } from '@guestyard/root-partition/worker-protocol'

import { guestEnvironment, guestLimits, machineEnvironment } from '../thread-start.ts'
import { describe } from './guest-values.ts'
import type { VmTask } from './protocol.ts'

const GUEST_WORKER = new URL(import.meta.resolve('@guestyard/child-partition/worker'))

export interface GuestThread {
  readonly worker: Worker
  /** This side's ends of the guest's ports. */
  readonly controlPort: MessagePort
  readonly logPort: MessagePort
  /** Resolves when the thread has loaded and waits for its partition. */
  readonly loaded: Promise<null>
  /** Resolves with the reason when the thread has died, however. */
  readonly gone: Promise<string>
}

export function startGuestThread(task: VmTask): GuestThread {
  const control = new MessageChannel()
  const logs = new MessageChannel()
  const ports = { controlPort: control.port2, logPort: logs.port2 }
  const data = workerData(task, ports)
  const worker = new Worker(task.linux === null ? GUEST_WORKER : machineWorker(), {
    name: `guest ${task.name}`,
    workerData: data,
    transferList: [ports.controlPort, ports.logPort],
    env: task.linux === null ? guestEnvironment() : machineEnvironment(),
    resourceLimits: guestLimits(task.heapBytes, task.youngHeapBytes),
  })
  const gone = Promise.withResolvers<string>()
  worker.on('error', (error: unknown) => gone.resolve(describe(error)))
  // `Worker.terminate()` and `process.exit(1)` look the same here.
  worker.on('exit', (code) => gone.resolve(`the guest thread exited with code ${code}`))
  const loaded = new Promise<null>((resolve) => {
    worker.once('message', () => resolve(null))
  })
  return {
    worker,
    controlPort: control.port1,
    logPort: logs.port1,
    loaded,
    gone: gone.promise,
  }
}

/** Looked up when there is one to start: script guests are most guests. */
function machineWorker(): URL {
  return new URL(import.meta.resolve('@guestyard/x86-partition/worker'))
}

function workerData(
  task: VmTask,
  ports: { readonly controlPort: MessagePort; readonly logPort: MessagePort },
): GuestWorkerData | MachineWorkerData {
  const { name, logLevel, spinMicroseconds, linux } = task
  const startedMs = performance.timeOrigin + performance.now()
  const common = { name, startedMs, logLevel, spinMicroseconds, ...ports }
  if (linux !== null) return { ...common, linux, memoryBytes: task.memoryBytes }
  return { ...common, program: task.program, args: task.args, placement: task.placement }
}

/** Hands the thread its RAM and pages: it boots. */
export function bootGuest(
  thread: GuestThread,
  start: PartitionStart,
  ide: IdeDiskPort | null,
  saved: SavedLinux | null,
): void {
  const vp = start.vps[0]
  if (vp === undefined) throw new Error('a partition has at least one virtual processor')
  const partition: GuestPartition & MachinePartition = {
    partitionId: start.partitionId,
    clockOriginMs: start.clockOriginMs,
    memory: start.memory,
    handles: vp.handles,
    doorbell: vp.doorbell,
    rootDoorbell: vp.rootDoorbell,
    ide,
    saved,
  }
  thread.worker.postMessage(partition, ide === null ? [] : [ide.port])
}
