// VMMS: the management service. It keeps the inventory, starts a worker process per VM through Piscina, and
// owns the root's worker in this one process. Main thread only; nothing here is on a data path.

import { transfer, wrap, type Remote } from 'comlink'
import { availableParallelism } from 'node:os'
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'

import { portEndpoint } from '@guestyard/engine/node'
import type {
  RootInspection,
  RootServices,
  RootWaitStrategy,
  RootWorkerData,
  SwitchSpec,
} from '@guestyard/root-partition/worker-protocol'

import { hostEnvironment, vmwpLimits } from '../thread-start.ts'
import type { VmExit, VmOutcome, VmTask } from '../vmwp/protocol.ts'
import { BootGate } from './boot-gate.ts'
import { LogService, type LogOptions } from './log-service.ts'
import { schedulerSettings, type SchedulerOptions } from './scheduler-settings.ts'
import { vmSettings, type VmOptions } from './settings.ts'
import { switchSpecs, type SwitchesOptions } from './switch-settings.ts'
import type { VmState } from './vm-life.ts'
import { Vm, type RootPort } from './vm.ts'

export interface HostOptions extends SchedulerOptions {
  /** Logical processors that the root's scheduler hands out, 1..64; default 2. */
  readonly logicalProcessors?: number
  /** Memory of the machine in bytes, 16 MiB to 1 TiB: a VM that does not fit is refused. Default 64 GiB. */
  readonly hostMemoryBytes?: number
  /** Switches with settings, by name; those that VMs name beside them are private. */
  readonly switches?: SwitchesOptions
  readonly log?: LogOptions
  /** VMs that boot at a time, 1..256; the others wait their turn. Default: twice the processors there are. */
  readonly bootsAtOnce?: number
  /** How the root waits; `busy` never sleeps and is for measurements. Default `event-loop`. */
  readonly rootStrategy?: RootWaitStrategy
  /** How long the root polls with nothing to do before it sleeps; default 20 µs. */
  readonly rootSpinMicroseconds?: number
  /** Told of each change of a VM's state. */
  readonly onVmState?: (name: string, state: VmState, exit: VmExit | null) => void
}

type PoolTransferList = NonNullable<NonNullable<Parameters<Piscina['run']>[1]>['transferList']>

const VMS_MAX = 256
/** Enough to keep the processors busy while boots wait for each other's threads. */
const BOOTS_PER_PROCESSOR = 2
/** How long a boot may hold up the others: a guest whose program never loads is only its own loss. */
const BOOT_TURN_MS = 3_000
/** How often the root is asked for a sign of life, and how long it may take. */
const ROOT_WATCH_MS = 15_000
const ROOT_WORKER = new URL(import.meta.resolve('@guestyard/root-partition/worker'))
// The task file keeps the extension this file was loaded with: `.ts` in the workspace, `.js` when packed.
const VMWP_TASK = new URL(
  `../vmwp/task${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`,
  import.meta.url,
)

/** Starts the root partition and resolves when it serves. */
export async function startHost(options: HostOptions = {}): Promise<Host> {
  const logicalProcessors = options.logicalProcessors ?? 2
  if (!Number.isInteger(logicalProcessors) || logicalProcessors < 1 || logicalProcessors > 64) {
    throw new RangeError(
      `host.logicalProcessors: ${logicalProcessors} is not a whole number from 1 to 64`,
    )
  }
  const { bootsAtOnce = 1 } = options
  if (!Number.isInteger(bootsAtOnce) || bootsAtOnce < 1 || bootsAtOnce > VMS_MAX) {
    throw new RangeError(
      `host.bootsAtOnce: ${bootsAtOnce} is not a whole number from 1 to ${VMS_MAX}`,
    )
  }
  const { hostMemoryBytes } = options
  if (hostMemoryBytes !== undefined && !isHostMemory(hostMemoryBytes)) {
    throw new RangeError(`host.memory: ${hostMemoryBytes} bytes are not 16 MiB to 1 TiB`)
  }
  const switches = switchSpecs(options.switches ?? {})
  const host = new Host(options, logicalProcessors)
  try {
    await host.ready()
    for (const spec of switches) await host.defineSwitch(spec)
  } catch (error) {
    await host.close()
    throw error
  }
  return host
}

const HOST_MEMORY_MIN_BYTES = 16 * 2 ** 20
const HOST_MEMORY_MAX_BYTES = 2 ** 40

function isHostMemory(bytes: number): boolean {
  return Number.isInteger(bytes) && bytes >= HOST_MEMORY_MIN_BYTES && bytes <= HOST_MEMORY_MAX_BYTES
}

/** A running host: a root partition and an inventory of VMs. Made by `startHost`. */
export class Host {
  readonly #options: HostOptions
  readonly #logs: LogService
  readonly #boots: BootGate
  readonly #pool: Piscina<VmTask, VmOutcome>
  readonly #rootWorker: Worker
  readonly #rootPort: MessagePort
  readonly #root: Remote<RootServices>
  readonly #rootGone: Promise<string>
  readonly #rootLost: AbortController
  readonly #vms: Map<string, Vm>
  readonly #rootWatch: NodeJS.Timeout
  #closing: Promise<void> | null

  constructor(options: HostOptions, logicalProcessors: number) {
    this.#options = options
    this.#vms = new Map()
    this.#closing = null
    this.#rootLost = new AbortController()
    this.#boots = new BootGate(options.bootsAtOnce ?? BOOTS_PER_PROCESSOR * availableParallelism())
    this.#logs = new LogService(options.log ?? {})
    this.#pool = new Piscina({
      filename: VMWP_TASK.href,
      name: 'runVm',
      minThreads: 0,
      maxThreads: VMS_MAX,
      concurrentTasksPerWorker: 1,
      idleTimeout: 1_000,
      // A worker process is busy for as long as its VM runs; between VMs it may sleep in its event loop.
      atomics: 'disabled',
      env: hostEnvironment() as Record<string, string>,
      resourceLimits: vmwpLimits(),
    })
    const control = new MessageChannel()
    const data: RootWorkerData = {
      controlPort: control.port2,
      logPort: this.#logs.openPort(),
      logLevel: this.#logs.level,
      logicalProcessors,
      scheduler: schedulerSettings(options, logicalProcessors),
      ...(options.hostMemoryBytes === undefined
        ? {}
        : { hostMemoryBytes: options.hostMemoryBytes }),
      strategy: options.rootStrategy ?? 'event-loop',
      spinMicroseconds: options.rootSpinMicroseconds ?? 20,
    }
    this.#rootWorker = new Worker(ROOT_WORKER, {
      name: 'root partition',
      workerData: data,
      transferList: [data.controlPort, data.logPort],
      env: hostEnvironment(),
    })
    this.#rootPort = control.port1
    this.#root = wrap<RootServices>(portEndpoint(control.port1))
    this.#rootGone = whenGone(this.#rootWorker)
    void this.#rootGone.then((why) => this.#onRootGone(why))
    this.#rootWatch = setInterval(() => void this.#askRoot(), ROOT_WATCH_MS)
    this.#rootWatch.unref()
  }

  /** Resolves when the root answers; rejects when its worker dies first. */
  async ready(): Promise<void> {
    const gone = this.#rootGone.then((why): never => {
      throw new Error(`the root partition did not start: ${why}`)
    })
    await Promise.race([this.#root.inspect(), gone])
  }

  /** `startHost`'s: rejects with a RangeError of one line when the root can't make it. */
  async defineSwitch(spec: SwitchSpec): Promise<void> {
    const result = await this.#root.defineSwitch(spec)
    if (!result.ok) throw new RangeError(`switches.${spec.name}: ${result.reason}`)
  }

  /** Adds a VM to the inventory; nothing runs yet. */
  createVm(options: VmOptions): Vm {
    const settings = vmSettings(options)
    if (this.#closing !== null) throw new Error('the host is closing')
    if (this.#vms.has(settings.name)) {
      throw new RangeError(`name: there is a VM "${settings.name}" already`)
    }
    if (this.#vms.size >= VMS_MAX) throw new RangeError(`a host has at most ${VMS_MAX} VMs`)
    const vm = new Vm(settings, this.#runner(), (changed) => this.#onVmState(changed))
    this.#vms.set(settings.name, vm)
    return vm
  }

  /** Takes a VM that is not running out of the inventory. */
  removeVm(name: string): void {
    const vm = this.#vms.get(name)
    if (vm === undefined) return
    if (vm.state !== 'off' && vm.state !== 'failed') {
      throw new Error(`VM "${name}" is ${vm.state}; stop it first`)
    }
    this.#vms.delete(name)
  }

  get vms(): readonly Vm[] {
    return [...this.#vms.values()]
  }

  /** Plain data about the root: partitions, bus, devices, counters. */
  inspect(): Promise<RootInspection> {
    return Promise.race([
      this.#root.inspect(),
      this.#rootGone.then((why): never => {
        throw new Error(`the root partition is gone: ${why}`)
      }),
    ])
  }

  /** Stops every VM and the root, and leaves no thread behind. Calling it again waits for the same end. */
  close(graceMs: number = 500): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(graceMs: number): Promise<void> {
    clearInterval(this.#rootWatch)
    await Promise.all(this.vms.map((vm) => vm.stop(graceMs)))
    await this.#pool.destroy()
    // A root that is gone has nothing to close any more.
    await Promise.race([this.#root.closeSwitches(), this.#rootGone])
    await this.#rootWorker.terminate()
    this.#rootPort.close()
    await this.#logs.close()
  }

  #runner(): {
    run(task: VmTask, signal: AbortSignal): Promise<VmOutcome>
    openRootPort(): Promise<RootPort>
    openLogPort(): MessagePort
    enterBoot(signal: AbortSignal): Promise<() => void>
    logLevel: VmTask['logLevel']
  } {
    return {
      logLevel: this.#logs.level,
      openLogPort: () => this.#logs.openPort(),
      enterBoot: async (signal) => {
        const leave = await this.#boots.enter(signal)
        setTimeout(leave, BOOT_TURN_MS).unref()
        return leave
      },
      openRootPort: async () => {
        const { port1, port2 } = new MessageChannel()
        const gone = this.#rootGone.then((why): never => {
          throw new Error(`the root partition is gone: ${why}`)
        })
        const attachment = await Promise.race([this.#root.attach(transfer(port1, [port1])), gone])
        // A root that is gone has nothing open any more.
        const over = this.#rootGone.then(() => {})
        return { port: port2, released: Promise.race([this.#root.released(attachment), over]) }
      },
      run: (task, signal) => this.#runTask(task, signal),
    }
  }

  async #runTask(task: VmTask, turnOff: AbortSignal): Promise<VmOutcome> {
    const transferList = transferListOf(task)
    const signal = AbortSignal.any([turnOff, this.#rootLost.signal])
    try {
      return await this.#pool.run(task, { transferList, signal })
    } catch (error) {
      if (turnOff.aborted) return ended('turned-off', 'turned off on request')
      const why = this.#rootLost.signal.aborted
        ? `the root partition is gone: ${await this.#rootGone}`
        : `the worker process died: ${String(error)}`
      return ended('host-failed', why)
    }
  }

  /** A root that does not answer for a whole period hangs: it is ended, and its VMs with it. */
  async #askRoot(): Promise<void> {
    const late = Promise.withResolvers<'late'>()
    const timer = setTimeout(() => late.resolve('late'), ROOT_WATCH_MS)
    timer.unref()
    const answer = this.#root.alive().then(() => 'alive' as const)
    const how = await Promise.race([answer, late.promise, this.#rootGone])
    clearTimeout(timer)
    if (how !== 'late' || this.#closing !== null) return
    this.#logs.logger.fatal(`the root partition did not answer for ${ROOT_WATCH_MS} ms`)
    await this.#rootWorker.terminate()
  }

  #onRootGone(why: string): void {
    if (this.#closing !== null) return
    this.#logs.logger.fatal({ why }, 'the root partition is gone')
    this.#rootLost.abort()
  }

  #onVmState(vm: Vm): void {
    this.#logs.logger.info({ vm: vm.name, state: vm.state }, 'VM state')
    this.#options.onVmState?.(vm.name, vm.state, vm.lastExit)
  }
}

/** The task's ports. Piscina takes its list's type from the last overload of Node's `postMessage`, which is another one now. */
function transferListOf(task: VmTask): PoolTransferList {
  return [task.rootPort, task.controlPort, task.logPort] as unknown as PoolTransferList
}

/** The outcome of a task that was cut short. */
function ended(reason: VmExit['reason'], detail: string): VmOutcome {
  return { exit: { reason, detail }, boot: null, reports: [] }
}

function whenGone(worker: Worker): Promise<string> {
  return new Promise((resolve) => {
    worker.once('error', (error: unknown) =>
      resolve(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    )
    worker.once('exit', (code) => resolve(`its thread exited with code ${code}`))
  })
}
