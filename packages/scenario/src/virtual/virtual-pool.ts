// Runs in virtual time, each on a thread of its own that ends with it: what a program leaves in its globals, its prototypes or its
// CommonJS modules is nobody's after it, so a seed gives the same alone as in a sweep. Main thread; what runs there does not touch it.

import { availableParallelism } from 'node:os'
import { MessageChannel } from 'node:worker_threads'

import { hostEnvironment } from '@guestyard/management'
import { Piscina } from 'piscina'

import { InputError } from '../input-error.ts'
import type { Progress } from '../progress.ts'
import { silentProgress } from '../progress.ts'
import type { RunReport } from '../run-scenario.ts'
import { HEARTBEAT_BYTES, Heartbeat } from './heartbeat.ts'
import { RunHangs } from './run-hangs.ts'
import type {
  Hang,
  VirtualJob,
  VirtualMessage,
  VirtualOutcome,
  VirtualTask,
} from './virtual-job.ts'

// The task file keeps the extension this file was loaded with: `.ts` in the workspace, `.js` when packed.
const TASK = new URL(
  `./task${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`,
  import.meta.url,
)
/** How often a run is looked at, and how long it may give no sign of life. */
const LOOK_MS = 500
const SILENCE_MS_DEFAULT = 10_000
/** How much longer it may be silent that uses no processor time: it is blocked, or others are ahead of it. */
const SILENCE_WITHOUT_WORK = 6
/** How much longer the real world may take for an answer. */
const PATIENCE = 3
/** How long an interrupted run may take to close what it started. */
const CLOSE_WITHIN_MS = 2_000
/** The scenario's own, the first that every run makes. */
const HOST_ACTOR = 1
/** Guests that hang before a run is given up. */
const HANGS_MAX = 8

export interface VirtualPoolOptions {
  /** Runs at once; as many as the machine has processors when left out. */
  readonly threads?: number
  /** Milliseconds of work without a sign of life after which a guest is taken to hang. */
  readonly silenceMs?: number
}

export interface VirtualRunOptions {
  readonly progress?: Progress
  readonly signal?: AbortSignal
  /** The run ended, but its trace could not be written: why. */
  readonly onTraceProblem?: (problem: string) => void
}

export class VirtualPool {
  readonly threads: number
  readonly #silenceMs: number
  readonly #running: Set<Piscina<VirtualTask, VirtualOutcome>> = new Set()
  /** Runs that wait for another to end. */
  readonly #queue: (() => void)[] = []
  #free: number
  #isClosed = false

  constructor(options: VirtualPoolOptions = {}) {
    this.threads = options.threads ?? availableParallelism()
    this.#silenceMs = options.silenceMs ?? SILENCE_MS_DEFAULT
    this.#free = this.threads
  }

  /**
   * Runs a scenario with a seed. Rejects with `InputError` for a file that is none, with `RunHangs` when the scenario or too many
   * of its guests keep the processor, and with the signal's reason when an interrupted run does not end in time.
   */
  async run(job: VirtualJob, options: VirtualRunOptions = {}): Promise<RunReport> {
    const hangs: Hang[] = []
    for (;;) {
      const outcome = await this.#runOnce(job, hangs, options)
      if ('turn' in outcome) {
        if (outcome.actor === HOST_ACTOR) {
          throw new RunHangs(`${job.path} took the processor and did not give it back`)
        }
        if (hangs.length >= HANGS_MAX) {
          throw new RunHangs(`${job.path}: ${HANGS_MAX} guests hang, and more`)
        }
        // The same run once more, the same to the last byte, but that now it is known who hangs when.
        hangs.push(outcome)
      } else if (outcome.ok) {
        if (outcome.traceProblem !== null) options.onTraceProblem?.(outcome.traceProblem)
        return outcome.report
      } else {
        throw new InputError(outcome.where, outcome.problem)
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const next of this.#queue.splice(0)) next()
    await Promise.all([...this.#running].map((thread) => thread.destroy()))
  }

  async #runOnce(
    job: VirtualJob,
    hangs: readonly Hang[],
    options: VirtualRunOptions,
  ): Promise<VirtualOutcome | Hang> {
    if (this.#free === 0) await new Promise<void>((resolve) => void this.#queue.push(resolve))
    else this.#free -= 1
    if (this.#isClosed) throw new Error('the pool is closed')
    const thread = newThread()
    this.#running.add(thread)
    try {
      return await this.#runOn(thread, job, hangs, options)
    } finally {
      await thread.destroy()
      this.#running.delete(thread)
      const next = this.#queue.shift()
      if (next === undefined) this.#free += 1
      else next()
    }
  }

  async #runOn(
    thread: Piscina<VirtualTask, VirtualOutcome>,
    job: VirtualJob,
    hangs: readonly Hang[],
    { progress = silentProgress, signal }: VirtualRunOptions,
  ): Promise<VirtualOutcome | Hang> {
    signal?.throwIfAborted()
    const { port1, port2 } = new MessageChannel()
    const buffer = new SharedArrayBuffer(HEARTBEAT_BYTES)
    const watch = new Watch(new Heartbeat(buffer), this.#silenceMs)
    const kill = new AbortController()
    const onAbort = (): void => {
      port1.postMessage('abort')
      setTimeout(() => kill.abort(), CLOSE_WITHIN_MS).unref()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    port1.on('message', (message: VirtualMessage) => progress[message.is](message.text))
    const patienceMs = this.#silenceMs * PATIENCE
    const task: VirtualTask = { ...job, hangs, patienceMs, port: port2, heartbeat: buffer }
    const running = thread.run(task, { transferList: [port2] as never, signal: kill.signal })
    const timer = setInterval(() => watch.look(() => kill.abort()), LOOK_MS)
    try {
      return await running
    } catch (error) {
      signal?.throwIfAborted()
      if (watch.hang === null) throw error
      return watch.hang
    } finally {
      clearInterval(timer)
      signal?.removeEventListener('abort', onAbort)
      port1.close()
    }
  }
}

function newThread(): Piscina<VirtualTask, VirtualOutcome> {
  return new Piscina({
    filename: TASK.href,
    name: 'runVirtual',
    minThreads: 0,
    maxThreads: 1,
    concurrentTasksPerWorker: 1,
    env: hostEnvironment(),
    // The thread's globals are virtual while it runs: nothing of the pool may look at a clock there.
    atomics: 'disabled',
  })
}

/**
 * Finds out that a thread gives no sign of life. On a machine that is busy with other things a thread may stand still for long:
 * one that hangs has used as much processor time as it was given patience, or else waits for something that never comes.
 */
class Watch {
  readonly #heartbeat: Heartbeat
  readonly #silenceMs: number
  #last = ''
  #sinceMs = performance.now()
  #cpuMs = processCpuMs()
  hang: Hang | null = null

  constructor(heartbeat: Heartbeat, silenceMs: number) {
    this.#heartbeat = heartbeat
    this.#silenceMs = silenceMs
  }

  look(onSilent: () => void): void {
    const { loops, turn, actor } = this.#heartbeat.read()
    const now = `${loops} ${turn}`
    // Before its first turn a thread may have to wait for one of the pool's threads, and load its modules.
    if (now !== this.#last || turn === 0) {
      this.#last = now
      this.#sinceMs = performance.now()
      this.#cpuMs = processCpuMs()
    } else if (this.hang === null && this.#isOver()) {
      this.hang = { turn, actor }
      onSilent()
    }
  }

  #isOver(): boolean {
    const silentMs = performance.now() - this.#sinceMs
    const usedMs = processCpuMs() - this.#cpuMs
    return (
      (silentMs >= this.#silenceMs && usedMs >= this.#silenceMs) ||
      silentMs >= this.#silenceMs * SILENCE_WITHOUT_WORK
    )
  }
}

function processCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
