// The life of a VM, whatever runs it: its states, its ends, and the words for what can't be done in them.
//
//   off ──start──▶ starting ──booted──▶ running ──stop──▶ stopping ──▶ off
//                      │                    │ guest ended            │
//                      └──▶ failed ◀────────┴──(threw, crashed, …)───┘
//
// `exited`, `stopped` and `saved` lead to off; every other reason leads to failed. Both may be started again.

import type { BootReport, VmExit } from '../vmwp/protocol.ts'
import { MEMORY_GRANULE_BYTES, type VmSettings } from './settings.ts'

export type VmState = 'off' | 'starting' | 'running' | 'stopping' | 'failed'

/** One run of a VM: from its start to its end. */
export interface VmRun {
  /** Resolves after `VmLife.ended` has been told. */
  readonly exit: Promise<VmExit>
}

/** How a run is begun, and when its guest is up. */
export interface VmStart<R extends VmRun> {
  /** Makes the run and tells `VmLife.began` of it. The signal ends a start that still waits for its turn. */
  readonly launch: (calledOff: AbortSignal) => Promise<R>
  /** Resolves when the guest's bus is up and its program runs; rejects when the run ended before that. */
  readonly booted: (run: R) => Promise<BootReport>
}

const MIB = 2 ** 20

/** Ends that leave a VM off. */
const FINE: ReadonlySet<string> = new Set(['stopped', 'exited', 'saved'])

/** One VM's. Its owner's thread only. */
export class VmLife<R extends VmRun> {
  readonly settings: VmSettings
  readonly #onState: () => void
  #state: VmState = 'off'
  /** Set from the moment a start is asked for until its run is there. */
  #launching: Promise<R> | null = null
  #calledOff: AbortController = new AbortController()
  #run: R | null = null
  #lastExit: VmExit | null = null
  /** What the last run's program reported and nobody took while it ran. */
  #reports: unknown[] = []
  /** RAM of the present run, of the last one, or of the first one to come. */
  memoryBytes: number

  constructor(settings: VmSettings, onState: () => void) {
    this.settings = settings
    this.#onState = onState
    this.memoryBytes = settings.memoryBytes
  }

  get state(): VmState {
    return this.#state
  }

  /** How the last run ended; null while none has. */
  get lastExit(): VmExit | null {
    return this.#lastExit
  }

  get run(): R | null {
    return this.#run
  }

  /** Resolves with the reason when the present run ends, or with that of the last one. Rejects when there was none. */
  get exit(): Promise<VmExit> {
    if (this.#run !== null) return this.#run.exit
    if (this.#lastExit !== null) return Promise.resolve(this.#lastExit)
    return Promise.reject(this.#notRunning())
  }

  async start({ launch, booted }: VmStart<R>): Promise<BootReport> {
    const { name } = this.settings
    if (this.#run !== null || this.#launching !== null) {
      throw new Error(`VM "${name}" is already ${this.#state}`)
    }
    this.#become('starting')
    this.#calledOff = new AbortController()
    this.#launching = launch(this.#calledOff.signal)
    const run = await this.#launched(this.#launching)
    try {
      const report = await booted(run)
      if (this.#run === run && this.#state === 'starting') this.#become('running')
      return report
    } catch (error) {
      throw this.#notStarted(await run.exit, error)
    }
  }

  /** A run is there. By `launch`, as soon as it can end. */
  began(run: R): void {
    this.#run = run
    this.#reports = []
    this.memoryBytes = this.settings.memoryBytes
  }

  /** No run could be made. What `launch` rejects with. */
  refused(exit: VmExit): Error {
    this.#lastExit = exit
    return this.#notStarted(exit, undefined)
  }

  /** The run there is or is about to be; a start that still waits for its turn is called off. */
  async present(): Promise<R | null> {
    if (this.#launching === null) return this.#run
    this.#calledOff.abort(new Error(`VM "${this.settings.name}" was stopped before it booted`))
    // A launch that fails is told to whoever asked for it.
    return this.#launching.catch(() => null)
  }

  /** Somebody has asked it to shut down: however it ends, it is off then. */
  stopping(): void {
    this.#become('stopping')
  }

  /** The present run is over. `reports`: what its program reported and nobody took. */
  ended(exit: VmExit, reports: readonly unknown[]): VmExit {
    this.#run = null
    this.#lastExit = exit
    this.#reports = [...reports]
    const asked = this.#state === 'stopping'
    const fine = FINE.has(exit.reason) || asked
    this.#become(fine ? 'off' : 'failed')
    return exit
  }

  /** The present run. Throws when there is none. */
  running(): R {
    if (this.#run === null) throw this.#notRunning()
    return this.#run
  }

  /** What the last run's program reported, once; undefined while one runs, which has to be asked. Throws before the first. */
  takeKeptReports(): unknown[] | undefined {
    if (this.#run !== null) return undefined
    if (this.#lastExit === null) throw this.#notRunning()
    return this.#reports.splice(0)
  }

  /** Throws a RangeError for RAM that the present run can't be given, and an Error when there is none. */
  checkAdded(bytes: number): void {
    const { name, memoryMaximumBytes: most } = this.settings
    if (!(bytes > 0) || bytes % MEMORY_GRANULE_BYTES !== 0) {
      throw new RangeError(`VM "${name}": addMemory: ${bytes} is not a multiple of 64 KiB`)
    }
    this.running()
    if (this.memoryBytes + bytes > most) {
      const has = `it has ${mebibytes(this.memoryBytes)} of ${mebibytes(most)} at most`
      throw new RangeError(`VM "${name}": addMemory: ${mebibytes(bytes)} more: ${has}`)
    }
  }

  async #launched(launching: Promise<R>): Promise<R> {
    try {
      return await launching
    } catch (error) {
      this.#become(this.#calledOff.signal.aborted ? 'off' : 'failed')
      throw error
    } finally {
      this.#launching = null
    }
  }

  #notStarted({ reason, detail }: VmExit, cause: unknown): Error {
    const text = `VM "${this.settings.name}" did not start (${reason}): ${detail}`
    return cause === undefined ? new Error(text) : new Error(text, { cause })
  }

  #notRunning(): Error {
    const last = this.#lastExit
    const why = last === null ? '' : `: it ended (${last.reason}): ${last.detail}`
    return new Error(`VM "${this.settings.name}" is ${this.#state}${why}`)
  }

  #become(state: VmState): void {
    this.#state = state
    this.#onState()
  }
}

/** A question to a run that ends meanwhile is answered by its end, never left open. */
export async function endedEarly(run: VmRun): Promise<never> {
  const exit = await run.exit
  throw new Error(`the VM ended (${exit.reason}): ${exit.detail}`)
}

function mebibytes(bytes: number): string {
  return `${bytes / MIB} MiB`
}
