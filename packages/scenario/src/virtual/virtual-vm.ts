// A VM of the virtual host: the life of any VM (`VmLife`), and what the worker process does for one, without their threads.

import type { GuestRuntime } from '@guestyard/child-partition'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import {
  LINUX_STOP_GRACE_MS,
  STOP_GRACE_MS,
  VmLife,
  endedEarly,
  execAnswer,
} from '@guestyard/management'
import type {
  DiskAddress,
  DiskOptions,
  ExecAnswer,
  GuestInspection,
  VmExit,
  VmRun,
  VmSettings,
  VmState,
} from '@guestyard/management'
import type { SavedVmFile } from '@guestyard/management/saved'
import type { RootPartition } from '@guestyard/root-partition'
import type {
  HeartbeatStatus,
  PartitionSpec,
  PartitionStart,
  ShutdownOutcome,
} from '@guestyard/root-partition/worker-protocol'
import type { VirtualActor } from '@guestyard/engine/virtual'
import { LifeStage, TraceKind } from '@guestyard/trace'
import type { LinuxGuest, SavedLinux } from '@guestyard/x86-partition/node'
import { MACHINE_PRIVILEGES, MACHINE_ROOMS } from '@guestyard/x86-partition/worker-protocol'

import type { BootReport, ScenarioVm } from '../vm-handle.ts'
import { VirtualDevices } from './virtual-devices.ts'
import { VirtualDisks } from './virtual-disks.ts'
import { VirtualGuest } from './virtual-guest.ts'
import { VirtualLinux } from './virtual-linux.ts'
import { finishSaving, readSavedVm, restoreVm, saveVm } from './virtual-save.ts'
import type { RestingVm } from './virtual-save.ts'
import type { VirtualWorld } from './virtual-world.ts'

const NS_PER_MS = 1e6

/** A doorbell made before the thread that waits on it. */
export class LateDoorbell {
  actor: VirtualActor | null = null

  ring(): void {
    this.actor?.ring()
  }
}

/** What a VM needs of its host. */
export interface VirtualVmHost {
  readonly world: VirtualWorld
  readonly root: VirtualActor
  /** To be touched in the root's turns only. */
  readonly partition: RootPartition
  /** The doorbells made since it was asked last: after a partition was made, its VPs'. */
  takeDoorbells(): readonly LateDoorbell[]
  onState(vm: VirtualVm): void
}

/** What a run is made of. */
interface Made {
  readonly start: PartitionStart
  readonly doorbells: readonly LateDoorbell[]
  readonly devices: VirtualDevices
  readonly saved: SavedLinux | null
}

/** What runs in a VM, as far as the VM is concerned. */
type Runtime = GuestRuntime | LinuxGuest

interface Run extends VmRun {
  readonly guest: VirtualGuest | VirtualLinux
  readonly devices: VirtualDevices
  readonly start: PartitionStart
  readonly isRestored: boolean
  readonly partitionId: number
  readonly runtime: Promise<Runtime>
  readonly booted: PromiseWithResolvers<BootReport>
  readonly program: PromiseWithResolvers<void>
  readonly exit: Promise<VmExit>
  readonly isOver: (exit: VmExit) => void
  /** What the program reported by its end and nobody had taken. */
  reports: readonly unknown[]
  over: boolean
  stopping: boolean
}

export class VirtualVm implements ScenarioVm {
  readonly settings: VmSettings
  readonly #host: VirtualVmHost
  readonly #life: VmLife<Run>
  readonly #disks: VirtualDisks

  constructor(settings: VmSettings, host: VirtualVmHost) {
    this.settings = settings
    this.#disks = new VirtualDisks(settings.name, (change) =>
      this.#askRoot((partition, id) => {
        const disks = partition.disksOf(id)
        return disks === undefined ? 'no such partition' : change(disks)
      }),
    )
    this.#host = host
    this.#life = new VmLife(settings, () => host.onState(this))
  }

  get name(): string {
    return this.settings.name
  }

  get state(): VmState {
    return this.#life.state
  }

  get lastExit(): VmExit | null {
    return this.#life.lastExit
  }

  get exit(): Promise<VmExit> {
    const { exit } = this.#life
    return this.#life.run === null ? exit : this.#waitingFor('exit', exit)
  }

  start(): Promise<BootReport> {
    return this.#life.start({
      launch: () => this.#launch(null),
      booted: (run) => this.#waitingFor('start', run.booted.promise),
    })
  }

  restore(file: string): Promise<BootReport> {
    return this.#life.start({
      launch: () => this.#launch(file),
      booted: (run) => this.#waitingFor('restore', run.booted.promise),
    })
  }

  async save(file: string): Promise<void> {
    const run = this.#life.running()
    const { world, root, partition } = this.#host
    const { guest, start } = run
    const { memoryBytes, disks, nics } = this.settings
    const refused = (why: string): Error => new Error(`VM "${this.name}" is not saved: ${why}`)
    if (!(guest instanceof VirtualLinux)) throw refused('only Linux guests are')
    if (disks.some((disk) => disk.controllerType === 'ide')) throw refused('it has IDE disks')
    if (disks.some((disk) => disk.source?.is === 'memory')) throw refused('it has disks in memory')
    if (nics.length > 0) throw refused('it has network adapters')
    const runtime = (await run.runtime) as LinuxGuest
    let resting: RestingVm
    try {
      const saving = { world, root, partition, start, memoryBytes, guest, runtime }
      resting = await this.#waitingFor('save', saveVm(saving, file))
    } catch (error) {
      throw refused(error instanceof Error ? error.message : String(error))
    }
    run.stopping = true
    this.#end(run, 'saved', `saved to ${file}`)
    await run.exit
    try {
      await finishSaving(world, resting, disks)
    } catch (error) {
      throw refused(error instanceof Error ? error.message : String(error))
    }
  }

  async stop(graceMs: number = this.#graceMs): Promise<void> {
    const run = await this.#life.present()
    if (run === null) return
    this.#life.stopping()
    run.stopping = true
    const late = Promise.withResolvers<'late'>()
    const cancel = this.#host.world.host.post(graceMs * NS_PER_MS, () => late.resolve('late'))
    // A guest that throws while it shuts down has still ended by request.
    const asked = this.#shutDown(run, graceMs).then(
      () => 'done' as const,
      () => 'late' as const,
    )
    const how = await Promise.race([asked, late.promise, run.exit])
    cancel()
    if (how === 'done') await this.#keepReports(run)
    if (how === 'done') this.#end(run, 'stopped', 'shut down on request')
    else this.#end(run, 'turned-off', `the guest did not shut down within ${graceMs} ms`)
    await run.exit
  }

  async turnOff(): Promise<void> {
    const run = await this.#life.present()
    if (run === null) return
    this.#end(run, 'turned-off', 'turned off on request')
    await run.exit
  }

  /** The guest has the processor and never gives it back: it polls no more, and after its time is ended. */
  hang(): void {
    const { run } = this.#life
    if (run === null) return
    const { notRespondingMs } = this.settings
    const { world } = this.#host
    world.trace?.record(TraceKind.LIFE, run.partitionId, LifeStage.HUNG)
    run.guest.actor.remove()
    world.host.post(notRespondingMs * NS_PER_MS, () => {
      this.#end(run, 'not-responding', `the guest did not poll for ${notRespondingMs} ms`)
    })
  }

  /** True when `actor` is this VM's processor. */
  isActor(actor: number): boolean {
    return this.#life.run?.guest.actor.id === actor
  }

  async programEnded(): Promise<void> {
    const run = this.#life.running()
    await this.#waitingFor("program's end", run.program.promise)
  }

  async runLoad(spec: LoadSpec): Promise<LoadResult> {
    return this.#ask('load', (runtime) => runtime.runLoad(structuredClone(spec)))
  }

  async call(name: string, data?: unknown): Promise<unknown> {
    const copy: unknown = structuredClone(data)
    return this.#ask(`call of "${name}"`, (runtime) => runtime.call(name, copy))
  }

  async exec(script: string): Promise<ExecAnswer> {
    return execAnswer(this.name, await this.call('exec', script))
  }

  async takeReports(): Promise<unknown[]> {
    const kept = this.#life.takeKeptReports()
    return kept ?? this.#ask('reports', (runtime) => runtime.takeReports())
  }

  inspectGuest(): Promise<GuestInspection> {
    // What a machine's kernel keeps to itself is left out of its report.
    return this.#ask('inspection', (runtime) => runtime.inspect() as GuestInspection)
  }

  setNicLink(nic: number, isUp: boolean): Promise<boolean> {
    return this.#askRoot((partition, id) => partition.setNicLink(id, nic, isUp))
  }

  async setNicLinkSpeed(nic: number, mbps: number): Promise<void> {
    const reason = await this.#askRoot((partition, id) => partition.setNicLinkSpeed(id, nic, mbps))
    if (reason !== null) throw new Error(reason)
  }

  pressKey(makeCode: number, flags: number = 0): Promise<boolean> {
    return this.#askRoot(
      (partition, id) => partition.devicesOf(id)?.keyboard.pressKey(makeCode, flags) ?? false,
    )
  }

  moveMouse(x: number, y: number, buttons: number = 0, wheel: number = 0): Promise<boolean> {
    return this.#askRoot(
      (partition, id) => partition.devicesOf(id)?.mouse.moveTo(x, y, buttons, wheel) ?? false,
    )
  }

  async addMemory(bytes: number): Promise<number> {
    this.#life.checkAdded(bytes)
    const added = await this.#askRoot((partition, id) => partition.addMemory(id, bytes))
    if (!added.ok) throw new Error(added.reason)
    const { memoryBytes } = added
    await this.#ask('memory', (runtime) => runtime.memoryAdded(memoryBytes))
    this.#life.memoryBytes = memoryBytes
    return memoryBytes
  }

  heartbeat(): Promise<HeartbeatStatus> {
    return this.#askRoot(
      (partition, id) => partition.devicesOf(id)?.integration.heartbeat.status ?? 'no-contact',
    )
  }

  /** As the worker process of a VM: by the guest's shutdown service, or over its control port. */
  async #shutDown(run: Run, graceMs: number): Promise<void> {
    const { world, root, partition } = this.#host
    const timeoutSeconds = Math.ceil(graceMs / 1_000)
    const outcome = await world.ask(root, null, () => {
      const { promise, resolve } = Promise.withResolvers<ShutdownOutcome>()
      partition.shutDown(run.partitionId, { timeoutSeconds }, resolve)
      root.ring()
      return promise
    })
    await this.#askGuest(run, (runtime) =>
      outcome === 'accepted' ? runtime.poweredOff() : runtime.shutDown(),
    )
  }

  attachDisk(options: DiskOptions): Promise<DiskAddress> {
    return this.#disks.attach(options)
  }

  detachDisk(place: DiskAddress): Promise<void> {
    return this.#disks.detach(place)
  }

  insertDvd(place: DiskAddress, iso: string | URL): Promise<void> {
    return this.#disks.insert(place, iso)
  }

  ejectDvd(place: DiskAddress): Promise<void> {
    return this.#disks.eject(place)
  }

  resizeDisk(place: DiskAddress, sizeBytes: number): Promise<void> {
    return this.#disks.resize(place, sizeBytes)
  }

  get #graceMs(): number {
    return this.settings.linux === null ? STOP_GRACE_MS : LINUX_STOP_GRACE_MS
  }

  async #launch(file: string | null): Promise<Run> {
    const { world, root } = this.#host
    const { linux, name, memoryBytes, memoryMaximumBytes, vpCount, weight, cap, reserve, relay } =
      this.settings
    const saved = file === null ? null : await this.#readSaved(file)
    const disks = this.settings.disks.filter((disk) => disk.controllerType === 'scsi')
    if (linux !== null && disks.length < this.settings.disks.length) {
      const detail = 'an IDE disk of a Linux guest needs the threads engine'
      throw this.#life.refused({ reason: 'start-failed', detail })
    }
    const spec = {
      name,
      memoryBytes,
      memoryMaximumBytes,
      vpCount,
      weight,
      cap,
      reserve,
      relay,
      disks,
      ...(linux === null ? {} : { rooms: MACHINE_ROOMS, privileges: MACHINE_PRIVILEGES }),
      nics: this.settings.nics,
    }
    const made = await world.ask(root, null, () => this.#create(spec, saved))
    if (typeof made === 'string') {
      throw this.#life.refused({ reason: 'start-failed', detail: made })
    }
    const run = this.#assemble(made)
    this.#life.began(run)
    this.#disks.begin(this.settings.disks)
    void this.#live(run)
    return run
  }

  /** A partition with the devices of its worker process, or why there is none. In the root's turn. */
  #create(spec: PartitionSpec, saved: SavedVmFile | null): Made | string {
    const { partition } = this.#host
    let devices: VirtualDevices
    try {
      devices = new VirtualDevices(this.settings, this.#host)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return `partition "${this.name}" refused: ${why}`
    }
    const created = partition.createPartition(spec)
    const doorbells = this.#host.takeDoorbells()
    if (!created.ok) {
      devices.close()
      return created.reason
    }
    devices.serve(created.start)
    const { start } = created
    const problem = saved === null ? null : restoreVm(partition, start, saved)
    if (problem === null) return { start, doorbells, devices, saved: saved?.vm.guest ?? null }
    devices.close()
    void partition.deletePartition(start.partitionId)
    return `partition "${this.name}" refused: ${problem}`
  }

  async #readSaved(file: string): Promise<SavedVmFile> {
    const { linux } = this.settings
    try {
      if (linux === null) throw new Error(`${file}: only Linux guests are saved`)
      return await readSavedVm(this.#host.world, file, this.settings)
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      throw this.#life.refused({ reason: 'start-failed', detail })
    }
  }

  #assemble({ start, doorbells, devices, saved }: Made): Run {
    const { world, root } = this.#host
    const { settings } = this
    const { linux } = settings
    const common = {
      settings,
      start,
      root,
      onFailed: (error: unknown) => this.#end(run, 'crashed', this.#describe(error)),
      onExited: (code: number) =>
        this.#end(run, 'crashed', `the guest thread exited with code ${code}`),
    } as const
    const guest =
      linux === null
        ? new VirtualGuest(world, common)
        : new VirtualLinux(world, { ...common, linux, saved })
    for (const doorbell of doorbells) doorbell.actor = guest.actor
    world.trace?.record(TraceKind.LIFE, start.partitionId, LifeStage.CREATED)
    const over = Promise.withResolvers<VmExit>()
    const run: Run = {
      guest,
      devices,
      start,
      isRestored: saved !== null,
      partitionId: start.partitionId,
      runtime: world.ask<Runtime>(guest.actor, guest.program, () => guest.boot()),
      booted: Promise.withResolvers(),
      program: Promise.withResolvers(),
      exit: over.promise,
      isOver: over.resolve,
      reports: [],
      over: false,
      stopping: false,
    }
    // Whoever asks gets the rejection; nobody asking is no error.
    for (const promise of [run.runtime, run.booted.promise, run.program.promise]) {
      promise.catch(ignoreUnasked)
    }
    return run
  }

  /** As the worker process of a VM: boot, then the program, and why it ended. */
  async #live(run: Run): Promise<void> {
    const { world } = this.#host
    const { bootTimeoutMs } = this.settings
    const late = Promise.withResolvers<never>()
    const cancel = world.host.post(bootTimeoutMs * NS_PER_MS, () => {
      late.reject(new Error(`no VMBus after ${bootTimeoutMs} ms`))
    })
    try {
      const booted = this.#askGuest(run, (runtime) => runtime.booted())
      const report = await Promise.race([booted, late.promise])
      world.trace?.record(TraceKind.LIFE, run.partitionId, LifeStage.BOOTED)
      if (run.isRestored) await this.#tellRestored(run)
      run.booted.resolve(report)
    } catch (error) {
      this.#end(run, 'start-failed', this.#describe(error))
      return
    } finally {
      cancel()
    }
    try {
      const how = await this.#askGuest<unknown>(run, (runtime) => runtime.runProgram())
      if (how === 'reset') {
        throw new Error('the guest reset its machine: in virtual time none boots again')
      }
      run.program.resolve()
      await this.#keepReports(run)
      if (!run.stopping) this.#end(run, 'exited', 'the program came to its end')
    } catch (error) {
      run.program.reject(new Error(this.#describe(error)))
      await this.#keepReports(run)
      if (!run.stopping) this.#end(run, 'threw', this.#describe(error))
    }
  }

  /** Its SynIC is there again: what its devices signalled before that is lost. */
  #tellRestored({ partitionId }: Run): Promise<void> {
    const { world, root, partition } = this.#host
    return world.ask(root, null, () => {
      partition.restored(partitionId)
      root.ring()
    })
  }

  /** Before the guest goes: what is left of what its program reported. */
  async #keepReports(run: Run): Promise<void> {
    const left = await this.#askGuest(run, (runtime) => runtime.takeReports()).catch(() => [])
    run.reports = [...run.reports, ...left]
  }

  #end(run: Run, reason: VmExit['reason'], detail: string): void {
    if (run.over) return
    run.over = true
    const { world, root, partition } = this.#host
    run.guest.actor.remove()
    const gone = new Error(`the VM ended (${reason}): ${detail}`)
    run.booted.reject(gone)
    run.program.reject(gone)
    const deleted = world.ask(root, null, () => {
      run.devices.close()
      const released = partition.deletePartition(run.partitionId)
      root.ring()
      return released
    })
    void deleted.then(() => {
      world.trace?.record(TraceKind.LIFE, run.partitionId, LifeStage.ENDED)
      run.isOver(this.#life.ended({ reason, detail }, run.reports))
    })
  }

  async #ask<T>(what: string, question: (runtime: Runtime) => T | Promise<T>): Promise<T> {
    const run = this.#life.running()
    const answer = this.#askGuest(run, question).catch((error: unknown): never => {
      throw new Error(this.#describe(error))
    })
    return this.#waitingFor(what, Promise.race([answer, endedEarly(run)]))
  }

  /** The answer is a copy, as between threads. */
  #askGuest<T>(run: Run, question: (runtime: Runtime) => T | Promise<T>): Promise<T> {
    const { guest } = run
    return this.#host.world.ask(guest.actor, guest.program, async () =>
      structuredClone(await question(await run.runtime)),
    )
  }

  async #askRoot<T>(
    question: (partition: RootPartition, id: number) => T | Promise<T>,
  ): Promise<T> {
    const run = this.#life.running()
    const { world, root, partition } = this.#host
    return world.ask(root, null, () => {
      const answer = question(partition, run.partitionId)
      root.ring()
      return answer
    })
  }

  #waitingFor<T>(what: string, promise: Promise<T>): Promise<T> {
    return this.#host.world.waitingFor(`${what} of ${this.name}`, promise)
  }

  #describe(error: unknown): string {
    return this.#host.world.describe(error, this.settings.program)
  }
}

function ignoreUnasked(): void {}
