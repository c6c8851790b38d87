// Piscina's entry: loaded by a thread of the pool, called once for each VM that the thread runs.

import { enableCompileCache, flushCompileCache } from 'node:module'

import type { VmExit, VmTask } from './protocol.ts'

// Before anything is loaded: most of a worker process's start is reading and compiling modules.
enableCompileCache()
const loaded = await import('./run-vm.ts')
flushCompileCache()

/** Runs the VM and resolves with the reason of its end. Never rejects for what a guest does. */
export function runVm(task: VmTask): Promise<VmExit> {
  return loaded.runVm(task)
}
