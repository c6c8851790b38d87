// One VM in the inventory: its settings, its state, and the task that runs it while it runs.
//
//   off ──start──▶ starting ──booted──▶ running ──stop──▶ stopping ──▶ off
//                      │                    │ guest ended            │
//                      └──▶ failed ◀────────┴──(threw, crashed, …)───┘
//
// `exited` and `stopped` lead to off; every other reason leads to failed. Both may be started again.

import { wrap, type Remote } from 'comlink'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { portEndpoint } from '@guestyard/engine/node'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import type { HeartbeatStatus } from '@guestyard/root-partition/worker-protocol'

import type {
  BootReport,
  GuestInspection,
  VmExit,
  VmOutcome,
  VmTask,
  VmwpControl,
} from '../vmwp/protocol.ts'
import { MEMORY_GRANULE_BYTES, type VmSettings } from './settings.ts'

export type VmState = 'off' | 'starting' | 'running' | 'stopping' | 'failed'

/** What a VM needs of its host to run; implemented by `Host`. */
export interface VmRunner {
  run(task: VmTask, signal: AbortSignal): Promise<VmOutcome>
  openRootPort(): Promise<MessagePort>
  openLogPort(): MessagePort
  /** Resolves when this VM may boot, with what tells that it has. */
  enterBoot(signal: AbortSignal): Promise<() => void>
  readonly logLevel: VmTask['logLevel']
}

interface Run {
  readonly control: Remote<VmwpControl>
  readonly port: MessagePort
  readonly abort: AbortController
  readonly leaveBoot: () => void
  readonly exit: Promise<VmExit>
  readonly outcome: Promise<VmOutcome>
}

/** How long `stop` lets the guest shut down by itself, in milliseconds. */
export const STOP_GRACE_MS = 2_000
/** How much longer its worker process may take, in milliseconds. */
const STOP_PATIENCE_MS = 1_500

/** A VM of a host; made by `Host.createVm`. Main thread only. */
export class Vm {
  readonly settings: VmSettings
  readonly #runner: VmRunner
  readonly #onState: (vm: Vm) => void
  #state: VmState
  /** Set from the moment a start is asked for until its run is there. */
  #launching: Promise<Run> | null
  /** Ends a start that still waits for its turn to boot. */
  #calledOff: AbortController
  #run: Run | null
  #lastExit: VmExit | null
  /** RAM of the present run. */
  #memoryBytes: number

  constructor(settings: VmSettings, runner: VmRunner, onState: (vm: Vm) => void) {
    this.settings = settings
    this.#runner = runner
    this.#onState = onState
    this.#state = 'off'
    this.#launching = null
    this.#calledOff = new AbortController()
    this.#run = null
    this.#lastExit = null
    this.#memoryBytes = settings.memoryBytes
  }

  get name(): string {
    return this.settings.name
  }

  get state(): VmState {
    return this.#state
  }

  /** How the last run ended; null while none has. */
  get lastExit(): VmExit | null {
    return this.#lastExit
  }

  /** Resolves with the reason when the present run ends. Rejects when the VM is not running. */
  get exit(): Promise<VmExit> {
    if (this.#run !== null) return this.#run.exit
    if (this.#lastExit !== null) return Promise.resolve(this.#lastExit)
    return Promise.reject(this.#notRunning())
  }

  /** Starts the VM; resolves when its bus is up and its program is running. */
  async start(): Promise<BootReport> {
    if (this.#run !== null || this.#launching !== null) {
      throw new Error(`VM "${this.name}" is already ${this.#state}`)
    }
    this.#become('starting')
    this.#calledOff = new AbortController()
    this.#launching = this.#launch(this.#calledOff.signal)
    const run = await this.#launched(this.#launching)
    try {
      const report = await Promise.race([run.control.booted(), bootBeforeEnd(run)])
      if (this.#run === run && this.#state === 'starting') this.#become('running')
      return report
    } catch (error) {
      const exit = await run.exit
      throw new Error(`VM "${this.name}" did not start (${exit.reason}): ${exit.detail}`, {
        cause: error,
      })
    } finally {
      run.leaveBoot()
    }
  }

  /** Asks the guest to shut down and ends it after `graceMs`. Does nothing when the VM is off. */
  async stop(graceMs: number = STOP_GRACE_MS): Promise<void> {
    const run = await this.#present()
    if (run === null) return
    this.#become('stopping')
    // A worker process that does not end by itself, because the root or its own thread hangs, is ended.
    const patience = setTimeout(() => run.abort.abort(), graceMs + STOP_PATIENCE_MS)
    // The worker process may be gone before it can answer; its end is what counts.
    await Promise.race([run.control.stop(graceMs), run.exit])
    await run.exit
    clearTimeout(patience)
  }

  /** Ends the VM at once: its worker process and the guest's thread are terminated. */
  async turnOff(): Promise<void> {
    const run = await this.#present()
    if (run === null) return
    run.abort.abort()
    await run.exit
  }

  /** Resolves when the guest's program has returned; rejects with what it threw. */
  async programEnded(): Promise<void> {
    await this.#ask((control) => control.programEnded())
  }

  /** Runs a load inside the guest. */
  runLoad(spec: LoadSpec): Promise<LoadResult> {
    return this.#ask((control) => control.runLoad(spec))
  }

  /** Calls a function that the guest's program exposed; data is structured-cloned both ways. */
  call(name: string, data?: unknown): Promise<unknown> {
    return this.#ask((control) => control.call(name, data))
  }

  /** What the guest's program reported since the last call. */
  takeReports(): Promise<unknown[]> {
    return this.#ask((control) => control.takeReports())
  }

  /**
   * Gives the running VM more RAM: `bytes`, a multiple of 64 KiB, up to the largest RAM of its settings. Resolves with its RAM in all,
   * once the guest knows of it; rejects with what stands against it.
   */
  async addMemory(bytes: number): Promise<number> {
    if (!(bytes > 0) || bytes % MEMORY_GRANULE_BYTES !== 0) {
      throw new RangeError(`VM "${this.name}": addMemory: ${bytes} is not a multiple of 64 KiB`)
    }
    const { memoryMaximumBytes: most } = this.settings
    if (this.#run !== null && this.#memoryBytes + bytes > most) {
      const has = `it has ${mebibytes(this.#memoryBytes)} of ${mebibytes(most)} at most`
      throw new RangeError(`VM "${this.name}": addMemory: ${mebibytes(bytes)} more: ${has}`)
    }
    return this.#ask(async (control) => (this.#memoryBytes = await control.addMemory(bytes)))
  }

  /** Whether the guest answers its heartbeat service: every two seconds it is asked. */
  heartbeat(): Promise<HeartbeatStatus> {
    return this.#ask((control) => control.heartbeat())
  }

  inspectGuest(): Promise<GuestInspection> {
    return this.#ask((control) => control.inspectGuest())
  }

  /** Set-1 make code and `KeyFlags`; false when the guest's keyboard can't take it now. */
  pressKey(makeCode: number, flags: number = 0): Promise<boolean> {
    return this.#ask((control) => control.pressKey(makeCode, flags))
  }

  /** Absolute position 0..32767; false when the guest's mouse can't take it now. */
  moveMouse(x: number, y: number, buttons: number = 0, wheel: number = 0): Promise<boolean> {
    return this.#ask((control) => control.moveMouse(x, y, buttons, wheel))
  }

  /** The run there is or is about to be. */
  async #present(): Promise<Run | null> {
    if (this.#launching === null) return this.#run
    this.#calledOff.abort(new Error(`VM "${this.name}" was stopped before it booted`))
    // A launch that fails is told to whoever asked for it.
    return this.#launching.catch(() => null)
  }

  async #launched(launching: Promise<Run>): Promise<Run> {
    try {
      return await launching
    } catch (error) {
      this.#become(this.#calledOff.signal.aborted ? 'off' : 'failed')
      throw error
    } finally {
      this.#launching = null
    }
  }

  async #launch(calledOff: AbortSignal): Promise<Run> {
    const leaveBoot = await this.#runner.enterBoot(calledOff)
    try {
      return await this.#begin(leaveBoot)
    } catch (error) {
      leaveBoot()
      throw error
    }
  }

  async #begin(leaveBoot: () => void): Promise<Run> {
    const { port1, port2 } = new MessageChannel()
    const abort = new AbortController()
    const { settings } = this
    const task: VmTask = {
      ...settings,
      rootPort: await this.#runner.openRootPort(),
      controlPort: port2,
      logPort: this.#runner.openLogPort(),
      logLevel: this.#runner.logLevel,
    }
    const outcome = this.#runner.run(task, abort.signal)
    const run: Run = {
      control: wrap<VmwpControl>(portEndpoint(port1)),
      port: port1,
      abort,
      leaveBoot,
      exit: outcome.then(({ exit }) => this.#ended(exit, port1)),
      outcome,
    }
    this.#run = run
    this.#memoryBytes = settings.memoryBytes
    return run
  }

  #ended(exit: VmExit, port: MessagePort): VmExit {
    port.close()
    this.#run = null
    this.#lastExit = exit
    const asked = this.#state === 'stopping'
    const fine = exit.reason === 'stopped' || exit.reason === 'exited' || asked
    this.#become(fine ? 'off' : 'failed')
    return exit
  }

  async #ask<T>(question: (control: Remote<VmwpControl>) => Promise<T>): Promise<T> {
    const run = this.#run
    if (run === null) throw this.#notRunning()
    return Promise.race([question(run.control), endedEarly(run)])
  }

  #notRunning(): Error {
    const why =
      this.#lastExit === null
        ? ''
        : `: it ended (${this.#lastExit.reason}): ${this.#lastExit.detail}`
    return new Error(`VM "${this.name}" is ${this.#state}${why}`)
  }

  #become(state: VmState): void {
    this.#state = state
    this.#onState(this)
  }
}

function mebibytes(bytes: number): string {
  return `${bytes / 2 ** 20} MiB`
}

/** A guest that was up, and ended before its answer came, has started all the same. */
async function bootBeforeEnd(run: Run): Promise<BootReport> {
  const { boot } = await run.outcome
  return boot ?? endedEarly(run)
}

/** A question to a worker process that dies is answered by its end, never left open. */
async function endedEarly(run: Run): Promise<never> {
  const exit = await run.exit
  throw new Error(`the VM ended (${exit.reason}): ${exit.detail}`)
}
