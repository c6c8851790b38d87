// One VM in the inventory: its settings, its life (see vm-life.ts), and the task that runs it while it runs.

import { wrap, type Remote } from 'comlink'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { portEndpoint } from '@guestyard/engine/node'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import type { DiskAddress, HeartbeatStatus } from '@guestyard/root-partition/worker-protocol'

import type {
  BootReport,
  ExecAnswer,
  GuestInspection,
  VmExit,
  VmOutcome,
  VmTask,
  VmwpControl,
} from '../vmwp/protocol.ts'
import { DiskPlaces, checkDiskSize, discOf, type DiskOptions } from './disk-settings.ts'
import type { VmSettings } from './settings.ts'
import { VmLife, endedEarly, type VmRun, type VmState } from './vm-life.ts'

/** A port to the root for one run of a VM. */
export interface RootPort {
  readonly port: MessagePort
  /** Resolves when the port has closed, the root has forgotten the VM, and its images are free. */
  readonly released: Promise<void>
}

/** What a VM needs of its host to run; implemented by `Host`. */
export interface VmRunner {
  run(task: VmTask, signal: AbortSignal): Promise<VmOutcome>
  openRootPort(): Promise<RootPort>
  openLogPort(): MessagePort
  /** Resolves when this VM may boot, with what tells that it has. */
  enterBoot(signal: AbortSignal): Promise<() => void>
  readonly logLevel: VmTask['logLevel']
}

interface Run extends VmRun {
  readonly control: Remote<VmwpControl>
  readonly port: MessagePort
  readonly abort: AbortController
  readonly leaveBoot: () => void
  readonly outcome: Promise<VmOutcome>
}

/** How long `stop` lets the guest shut down by itself, in milliseconds. */
export const STOP_GRACE_MS = 2_000
/** The same for an operating system, on processors that others use too. */
export const LINUX_STOP_GRACE_MS = 30_000
/** How much longer its worker process may take, in milliseconds. */
const STOP_PATIENCE_MS = 1_500
/** How long its images may take to be flushed and let go before its end is told all the same, in milliseconds. */
const RELEASE_PATIENCE_MS = 10_000

/** A VM of a host; made by `Host.createVm`. Main thread only. */
export class Vm {
  readonly settings: VmSettings
  readonly #runner: VmRunner
  readonly #life: VmLife<Run>
  /** Where the present run has disks. */
  readonly #places: DiskPlaces

  constructor(settings: VmSettings, runner: VmRunner, onState: (vm: Vm) => void) {
    this.settings = settings
    this.#runner = runner
    this.#life = new VmLife(settings, () => onState(this))
    this.#places = new DiskPlaces(settings.name)
  }

  get name(): string {
    return this.settings.name
  }

  get state(): VmState {
    return this.#life.state
  }

  /** How the last run ended; null while none has. */
  get lastExit(): VmExit | null {
    return this.#life.lastExit
  }

  /** Resolves with the reason when the present run ends, or with that of the last one. Rejects when there was none. */
  get exit(): Promise<VmExit> {
    return this.#life.exit
  }

  /** Starts the VM; resolves when its bus is up and its program is running. */
  start(): Promise<BootReport> {
    return this.#life.start({
      launch: (calledOff) => this.#launch(calledOff, null),
      booted: (run) => booted(run),
    })
  }

  /** Asks the guest to shut down and ends it after `graceMs`: 2 s when left out, 30 s for Linux. Does nothing when the VM is off. */
  async stop(graceMs: number = this.#graceMs): Promise<void> {
    const run = await this.#life.present()
    if (run === null) return
    this.#life.stopping()
    // A worker process that does not end by itself, because the root or its own thread hangs, is ended.
    const patience = setTimeout(() => run.abort.abort(), graceMs + STOP_PATIENCE_MS)
    // The worker process may be gone before it can answer; its end is what counts.
    await Promise.race([run.control.stop(graceMs), run.exit])
    await run.exit
    clearTimeout(patience)
  }

  /** Ends the VM at once: its worker process and the guest's thread are terminated. */
  async turnOff(): Promise<void> {
    const run = await this.#life.present()
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

  /**
   * Runs a shell script in a Linux guest, after those that were asked for before, and resolves with what it printed and its exit code.
   * Rejects when the VM ends before, as after a panic.
   */
  async exec(script: string): Promise<ExecAnswer> {
    return execAnswer(this.name, await this.call('exec', script))
  }

  /** What a Linux guest's console says: bytes as soon as there are any, null when there will be none. One reader at a time. */
  async readConsole(): Promise<Uint8Array | null> {
    const answer: unknown = await this.call('console-read')
    if (answer === null || answer instanceof Uint8Array) return answer
    throw new Error(`VM "${this.name}": its console makes no sense`)
  }

  /** Types at a Linux guest's console. */
  async writeConsole(bytes: Uint8Array): Promise<void> {
    await this.call('console-write', bytes)
  }

  /** What the guest's program reported since the last call, before its end and after it. */
  async takeReports(): Promise<unknown[]> {
    return this.#life.takeKeptReports() ?? this.#ask((control) => control.takeReports())
  }

  /**
   * Gives the running VM more RAM: `bytes`, a multiple of 64 KiB, up to the largest RAM of its settings. Resolves with its RAM in all,
   * once the guest knows of it; rejects with what stands against it.
   */
  async addMemory(bytes: number): Promise<number> {
    this.#life.checkAdded(bytes)
    return this.#ask(async (control) => (this.#life.memoryBytes = await control.addMemory(bytes)))
  }

  /**
   * Saves the running machine to a file, which replaces one of that name, and ends it as `saved`. Resolves when the file is whole. Rejects in
   * one line: the machine runs on then, unless it ended by itself.
   */
  async save(file: string): Promise<void> {
    const run = this.#life.running()
    const refused = (why: string): Error => new Error(`VM "${this.name}" is not saved: ${why}`)
    try {
      // Its worker process may be gone before it can answer; its end is what counts.
      await Promise.race([run.control.save(file), run.exit])
    } catch (error) {
      throw refused(error instanceof Error ? error.message : String(error))
    }
    const { reason, detail } = await run.exit
    if (reason !== 'saved') throw refused(detail)
  }

  /** Goes on from such a file instead of booting. As `start`; a file may be gone on from more than once, while its disks are as they were. */
  restore(file: string): Promise<BootReport> {
    return this.#life.start({
      launch: (calledOff) => this.#launch(calledOff, file),
      booted: (run) => booted(run),
    })
  }

  /** Whether the guest answers its heartbeat service: every two seconds it is asked. */
  heartbeat(): Promise<HeartbeatStatus> {
    return this.#ask((control) => control.heartbeat())
  }

  /**
   * Gives the running VM a disk or a DVD drive on a SCSI controller; resolves with its place once the guest is told. Rejects, in one
   * line, when the image is no good or the place is taken.
   */
  async attachDisk(options: DiskOptions): Promise<DiskAddress> {
    const disk = this.#places.take(options)
    const { controllerType, controllerNumber, controllerLocation } = disk
    try {
      await this.#ask((control) => control.attachDisk(disk))
    } catch (error) {
      this.#places.leave(disk)
      throw error
    }
    return { controllerType, controllerNumber, controllerLocation }
  }

  /** Pulls the cable of a running VM's adapter, or plugs it in. False when it has no such adapter. */
  setNicLink(nic: number, isUp: boolean): Promise<boolean> {
    return this.#ask((control) => control.setNicLink(nic, isUp))
  }

  /** Changes the speed of a running VM's link as its guest is told, 1 to 400,000 Mbit/s. Rejects when it has no such adapter. */
  setNicLinkSpeed(nic: number, mbps: number): Promise<void> {
    return this.#ask((control) => control.setNicLinkSpeed(nic, mbps))
  }

  /** Takes a disk out of the running VM, whatever the guest does with it; resolves when its image is free. */
  async detachDisk(address: DiskAddress): Promise<void> {
    await this.#ask((control) => control.detachDisk(address))
    this.#places.leave(address)
  }

  /**
   * Puts a disc, an ISO image, into an empty DVD drive of the running VM, on a SCSI controller; resolves once the guest is told. Rejects,
   * in one line, when the image is no good or the drive has a disc.
   */
  async insertDvd(place: DiskAddress, iso: string | URL): Promise<void> {
    const disc = discOf(iso, `VM "${this.name}": insertDvd`)
    await this.#ask((control) => control.insertDvd(place, disc))
  }

  /** Takes the disc out of a drive of the running VM, locked or not; resolves when its image is free. Rejects when there is none. */
  async ejectDvd(place: DiskAddress): Promise<void> {
    await this.#ask((control) => control.ejectDvd(place))
  }

  /**
   * Makes a disk of the running VM larger, a VHDX or a raw image on a SCSI controller: `sizeBytes` in all, whole blocks. Resolves when it
   * is so on the host's disk, and the guest is told; rejects, in one line, when it can't be. No disk gets smaller while it is used.
   */
  async resizeDisk(place: DiskAddress, sizeBytes: number): Promise<void> {
    checkDiskSize(sizeBytes, `VM "${this.name}": resizeDisk`)
    await this.#ask((control) => control.resizeDisk(place, sizeBytes))
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

  get #graceMs(): number {
    return this.settings.linux === null ? STOP_GRACE_MS : LINUX_STOP_GRACE_MS
  }

  async #launch(calledOff: AbortSignal, saved: string | null): Promise<Run> {
    const leaveBoot = await this.#runner.enterBoot(calledOff)
    try {
      return await this.#begin(leaveBoot, saved)
    } catch (error) {
      leaveBoot()
      throw error
    }
  }

  async #begin(leaveBoot: () => void, saved: string | null): Promise<Run> {
    const { port1, port2 } = new MessageChannel()
    const abort = new AbortController()
    const { settings } = this
    const root = await this.#runner.openRootPort()
    const task: VmTask = {
      ...settings,
      saved,
      rootPort: root.port,
      controlPort: port2,
      logPort: this.#runner.openLogPort(),
      logLevel: this.#runner.logLevel,
    }
    const outcome = outcomeOf(this.#runner.run(task, abort.signal), root.released)
    const run: Run = {
      control: wrap<VmwpControl>(portEndpoint(port1)),
      port: port1,
      abort,
      leaveBoot,
      exit: outcome.then(({ exit, reports }) => {
        port1.close()
        return this.#life.ended(exit, reports)
      }),
      outcome,
    }
    this.#life.began(run)
    this.#places.begin(settings.disks)
    return run
  }

  async #ask<T>(question: (control: Remote<VmwpControl>) => Promise<T>): Promise<T> {
    const run = this.#life.running()
    return Promise.race([question(run.control), endedEarly(run)])
  }
}

async function booted(run: Run): Promise<BootReport> {
  try {
    return await Promise.race([run.control.booted(), bootBeforeEnd(run)])
  } finally {
    run.leaveBoot()
  }
}

/** A run is over when others may have its images. */
async function outcomeOf(run: Promise<VmOutcome>, released: Promise<void>): Promise<VmOutcome> {
  const outcome = await run
  const late = Promise.withResolvers<void>()
  const patience = setTimeout(late.resolve, RELEASE_PATIENCE_MS)
  await Promise.race([released, late.promise])
  clearTimeout(patience)
  return outcome
}

/** What VM `name` answered to `exec`. The guest's thread says it: anything may come, and what makes no sense is thrown out. */
export function execAnswer(name: string, value: unknown): ExecAnswer {
  if (isExecAnswer(value)) return value
  throw new Error(`VM "${name}": its answer to exec makes no sense`)
}

function isExecAnswer(value: unknown): value is ExecAnswer {
  if (typeof value !== 'object' || value === null) return false
  const { exitCode, output, isCut } = value as Partial<Record<string, unknown>>
  return Number.isInteger(exitCode) && output instanceof Uint8Array && typeof isCut === 'boolean'
}

/** A guest that was up, and ended before its answer came, has started all the same. */
async function bootBeforeEnd(run: Run): Promise<BootReport> {
  const { boot } = await run.outcome
  return boot ?? endedEarly(run)
}
