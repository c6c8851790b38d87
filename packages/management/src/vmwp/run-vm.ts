// VMWP: the worker process of one running VM, as one task of a Piscina pool. It owns the VM's partition from
// creation to deletion and watches the guest's thread. When it dies, only its VM is gone.

import { wrap, type Remote } from 'comlink'
import { createPortLogger, portEndpoint } from '@guestyard/engine/node'
import type { PartitionStart, RootServices } from '@guestyard/root-partition/worker-protocol'

import type { VmOutcome, VmTask } from './protocol.ts'
import { WorkerProcess } from './worker-process.ts'

/** Runs the VM and resolves with the reason of its end. Never rejects for what a guest does. */
export async function runVm(task: VmTask): Promise<VmOutcome> {
  const log = createPortLogger(task.logPort, task.logLevel, { component: 'vmwp', vm: task.name })
  const root = wrap<RootServices>(portEndpoint(task.rootPort))
  try {
    const created = await root.createPartition({
      name: task.name,
      memoryBytes: task.memoryBytes,
      memoryMaximumBytes: task.memoryMaximumBytes,
      vpCount: task.vpCount,
      weight: task.weight,
      cap: task.cap,
      reserve: task.reserve,
    })
    if (!created.ok) {
      return { exit: { reason: 'start-failed', detail: created.reason }, boot: null }
    }
    log.info({ partitionId: created.start.partitionId }, 'partition created')
    const outcome = await runGuest(task, created.start, root)
    log.info({ partitionId: created.start.partitionId, ...outcome.exit }, 'guest ended')
    return outcome
  } finally {
    // The pool reuses this thread: nothing of this VM may keep its event loop alive.
    task.rootPort.close()
    task.controlPort.close()
    task.logPort.close()
  }
}

/** How long the root may take to delete a partition before its worker process ends all the same. */
const DELETE_PATIENCE_MS = 1_000

async function runGuest(
  task: VmTask,
  start: PartitionStart,
  root: Remote<RootServices>,
): Promise<VmOutcome> {
  const process = new WorkerProcess(task, start, root)
  try {
    return { exit: await process.ended, boot: process.boot }
  } finally {
    await process.dispose()
    // A root that does not answer must not hold the VM's end up; the root deletes what was created through a port that closes.
    const patience = Promise.withResolvers<void>()
    const timer = setTimeout(patience.resolve, DELETE_PATIENCE_MS)
    await Promise.race([root.deletePartition(start.partitionId), patience.promise])
    clearTimeout(timer)
  }
}
