// How the threads of a host are started lean. Any thread of the host; nothing here is on a data path.

import process from 'node:process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ResourceLimits, WorkerOptions } from 'node:worker_threads'

type Environment = Exclude<WorkerOptions['env'], undefined | symbol>

const MIB = 1024 * 1024

/**
 * Old generation of the host's own threads, MiB. V8 copies its builtins, 2 MiB, into the code range of every isolate that may grow to
 * 2 GiB: anything below spares each thread the copy.
 */
const HOST_HEAP_MIB = 1024
/** A worker process allocates in calls and log lines only: its new space stays as small as V8 lets it. */
const VMWP_YOUNG_MIB = 1

/**
 * Node's compile cache is on from the first module. Were it turned on by the thread itself, the entry module would be stripped of its
 * types first, and the stripper alone weighs ten megabytes a thread.
 */
function compileCache(): { readonly NODE_COMPILE_CACHE: string } {
  const { NODE_COMPILE_CACHE: asked = '' } = process.env
  // Empty turns nothing on: Node takes it for unset.
  return { NODE_COMPILE_CACHE: asked === '' ? join(tmpdir(), 'node-compile-cache') : asked }
}

/** Environment of a thread of the host's, as are the root and worker processes: this process's own, with the compile cache on. Any thread. */
export function hostEnvironment(): Environment {
  return { ...process.env, ...compileCache() }
}

/** Environment of a script guest's thread: nothing of the host's. */
export function guestEnvironment(): Environment {
  return compileCache()
}

/** Environment of a machine guest's thread, which no code of the guest's sees: of the host's, where fetched guests are kept. */
export function machineEnvironment(): Environment {
  const { GUESTYARD_CACHE, XDG_CACHE_HOME } = process.env
  return {
    ...compileCache(),
    ...(GUESTYARD_CACHE === undefined ? {} : { GUESTYARD_CACHE }),
    ...(XDG_CACHE_HOME === undefined ? {} : { XDG_CACHE_HOME }),
  }
}

/** Limits of a worker process. */
export function vmwpLimits(): ResourceLimits {
  return {
    maxOldGenerationSizeMb: HOST_HEAP_MIB,
    maxYoungGenerationSizeMb: VMWP_YOUNG_MIB,
  }
}

/** Limits of a guest's thread, from its settings in bytes. */
export function guestLimits(heapBytes: number, youngHeapBytes: number): ResourceLimits {
  return {
    maxOldGenerationSizeMb: heapBytes / MIB,
    maxYoungGenerationSizeMb: youngHeapBytes / MIB,
  }
}
