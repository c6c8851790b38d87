// Piscina's entry: one run in virtual time. The thread is that run's alone while it lasts: its globals are virtual.

import { runTask } from './run-task.ts'
import type { VirtualOutcome, VirtualTask } from './virtual-job.ts'

export function runVirtual(task: VirtualTask): Promise<VirtualOutcome> {
  return runTask(task)
}
