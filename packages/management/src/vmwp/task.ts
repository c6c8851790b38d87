// Piscina's entry: loaded by a thread of the pool, `runVm` called once for each VM that the thread runs.

import { flushCompileCache } from 'node:module'
import { trimHeapWhenIdle } from '@guestyard/engine/node'

export { runVm } from './run-vm.ts'

// The pool has turned the cache on: the next worker process finds what this one compiled.
flushCompileCache()
trimHeapWhenIdle()
