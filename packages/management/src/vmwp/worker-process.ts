// One guest's thread under watch: served on the VM's control port, pinged, and ended with a reason.

import { wrap, type Remote } from 'comlink'
import type { BootReport, GuestControl } from '@guestyard/child-partition/worker-protocol'
import { createPortLogger } from '@guestyard/engine/node'
import type {
  DiskResult,
  DiskSpec,
  PartitionStart,
  RootServices,
} from '@guestyard/root-partition/worker-protocol'

import type { MachineControl } from '@guestyard/x86-partition/worker-protocol'

import { GuestLog } from './guest-log.ts'
import type { GuestThread } from './guest-thread.ts'
import {
  describe,
  describeCall,
  ignoreUnasked,
  isBootReport,
  plainAnswers,
  UNASKED_MAX,
} from './guest-values.ts'
import type { PresentDisks } from './present-disks.ts'
import type { VmExit, VmTask, VmwpControl } from './protocol.ts'
import { restMachine, type RestingMachine } from './save-machine.ts'
import { keptApart } from './saved/saved-vm.ts'
import type { VmControl } from './vm-control.ts'

/** How long a guest whose program has ended may take to hand over what it reported. */
const REPORTS_PATIENCE_MS = 1_000

/** How one boot of the machine ended. */
export type BootEnd = VmExit | 'reset'

export interface WorkerProcessOptions {
  readonly task: VmTask
  readonly thread: GuestThread
  readonly start: PartitionStart
  /** It went on from a file. */
  readonly isRestored: boolean
  readonly root: Remote<RootServices>
  readonly control: VmControl
  readonly disks: PresentDisks
}

export class WorkerProcess {
  readonly ended: Promise<BootEnd>
  /** Set once the guest is up. */
  boot: BootReport | null
  /** Set when it ends as `saved`: what is to be in the file. */
  resting: RestingMachine | null
  /** What the program reported by its end and nobody had taken. */
  reports: readonly unknown[]

  readonly #task: VmTask
  readonly #partitionId: number
  readonly #start: PartitionStart
  readonly #isRestored: boolean
  readonly #root: Remote<RootServices>
  readonly #thread: GuestThread
  readonly #guest: Remote<GuestControl>
  readonly #machine: Remote<MachineControl>
  readonly #booted: PromiseWithResolvers<BootReport>
  readonly #served: VmControl
  readonly #disks: PresentDisks
  readonly #exit: PromiseWithResolvers<BootEnd>
  readonly #timers: Set<NodeJS.Timeout>
  #over: boolean
  /** Messages on the thread's own port, which no kernel uses. */
  #unasked: number
  /** `stop` was called: how the program leaves is no reason of its own any more. */
  #stopping: boolean
  /** It stands still, or is about to: nothing of it may change. */
  #isSaving: boolean

  constructor(options: WorkerProcessOptions) {
    const { task, thread, start } = options
    const { partitionId } = start
    this.#start = start
    this.#isRestored = options.isRestored
    this.#task = task
    this.#thread = thread
    this.#partitionId = partitionId
    this.#root = options.root
    this.#served = options.control
    this.#disks = options.disks
    this.boot = null
    this.reports = []
    this.resting = null
    this.#isSaving = false
    this.#over = false
    this.#unasked = 0
    this.#stopping = false
    this.#timers = new Set()
    this.#booted = Promise.withResolvers()
    this.#exit = Promise.withResolvers()
    this.ended = this.#exit.promise
    // Whoever asks gets the rejection; nobody asking is no error of this process.
    this.#booted.promise.catch(ignoreUnasked)

    const { worker, controlPort, logPort, gone } = thread
    const answers = plainAnswers(controlPort, () => this.#flooded('control'))
    this.#guest = wrap<GuestControl>(answers)
    this.#machine = this.#guest as unknown as Remote<MachineControl>
    const log = guestLog(task, partitionId, () => this.#flooded('log'))
    logPort.on('message', (line: unknown) => log.accept(line))
    logPort.unref()
    worker.on('message', () => this.#heardUnasked())
    void gone.then((why) => this.#end('crashed', why))
    this.#served.begin(this.#control())
    void this.#live()
  }

  /** Ends the guest's thread if it still runs. */
  async dispose(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    await this.#thread.worker.terminate()
  }

  async #live(): Promise<void> {
    const { bootTimeoutMs } = this.#task
    this.#after(bootTimeoutMs, () => {
      this.#booted.reject(new Error(`no VMBus after ${bootTimeoutMs} ms`))
    })
    try {
      const report: unknown = await Promise.race([this.#guest.booted(), this.#booted.promise])
      if (!isBootReport(report)) throw new Error('the boot report of the guest makes no sense')
      if (this.#isRestored) await this.#root.restored(this.#partitionId)
      this.boot = report
      this.#booted.resolve(report)
    } catch (error) {
      this.#end('start-failed', describe(error))
      return
    }
    void this.#watch()
    try {
      const how: unknown = await this.#guest.runProgram()
      if (how === 'reset' && this.#task.linux !== null && !this.#stopping) return this.#reset()
      this.#served.program.resolve()
      await this.#keepReports()
      if (!this.#stopping) this.#end('exited', 'the program came to its end')
    } catch (error) {
      this.#served.program.reject(new Error(describe(error)))
      await this.#keepReports()
      if (!this.#stopping) this.#end('threw', describe(error))
    }
  }

  /** Before the thread goes: what is left of what the program reported. A guest that does not answer has reported nothing. */
  async #keepReports(): Promise<void> {
    const patience = Promise.withResolvers<readonly unknown[]>()
    this.#after(REPORTS_PATIENCE_MS, () => patience.resolve([]))
    const left = await Promise.race([
      this.#takeReports().catch(() => []),
      patience.promise,
      this.ended.then(() => []),
    ])
    this.reports = [...this.reports, ...left]
  }

  async #takeReports(): Promise<unknown[]> {
    const reports: unknown = await this.#guest.takeReports()
    return Array.isArray(reports) ? reports : [reports]
  }

  /** A guest that sleeps answers when the root rings it; one that never comes back to its kernel, or leaves no processor, does not. */
  async #watch(): Promise<void> {
    const { notRespondingMs } = this.#task
    await this.#root.notResponding(this.#partitionId, notRespondingMs)
    this.#end(
      'not-responding',
      `the guest did not poll, or leave a processor, for ${notRespondingMs} ms`,
    )
  }

  #control(): VmwpControl {
    const guest = this.#guest
    return {
      booted: () => this.#booted.promise,
      programEnded: () => this.#served.programEnded(),
      runLoad: (spec) => this.#whileRunning(guest.runLoad(spec)),
      call: (name, data) => {
        if (name === 'exec') this.#mayChange()
        return this.#whileRunning(guest.call(name, data))
      },
      takeReports: () => this.#whileRunning(this.#takeReports()),
      inspectGuest: () => this.#whileRunning(guest.inspect()),
      pressKey: async (makeCode, flags) =>
        !this.#isSaving && (await this.#root.pressKey(this.#partitionId, makeCode, flags)),
      moveMouse: async (x, y, buttons, wheel) =>
        !this.#isSaving && (await this.#root.moveMouse(this.#partitionId, x, y, buttons, wheel)),
      heartbeat: () => this.#root.heartbeat(this.#partitionId),
      addMemory: (bytes) => this.#addMemory(bytes),
      setNicLink: (nic, isUp) => this.#root.setNicLink(this.#partitionId, nic, isUp),
      setNicLinkSpeed: async (nic, mbps) =>
        resultOf(await this.#root.setNicLinkSpeed(this.#partitionId, nic, mbps)),
      attachDisk: async (disk) => {
        this.#mayChange()
        const keyed = this.#disks.keyed(disk)
        resultOf(await this.#root.attachDisk(this.#partitionId, keyed))
        this.#disks.add(keyed)
      },
      detachDisk: async (address) => {
        this.#mayChange()
        resultOf(await this.#root.detachDisk(this.#partitionId, address))
        this.#disks.remove(address)
      },
      insertDvd: async (address, source) => {
        this.#mayChange()
        resultOf(await this.#root.insertDvd(this.#partitionId, address, source))
        this.#disks.change(address, source)
      },
      ejectDvd: async (address) => {
        this.#mayChange()
        resultOf(await this.#root.ejectDvd(this.#partitionId, address))
        this.#disks.change(address, null)
      },
      resizeDisk: async (address, sizeBytes) => {
        this.#mayChange()
        resultOf(await this.#root.resizeDisk(this.#partitionId, address, sizeBytes))
      },
      save: (file) => this.#save(file),
      stop: (graceMs) => this.#stop(graceMs),
    }
  }

  async #addMemory(bytes: number): Promise<number> {
    const added = await this.#root.addMemory(this.#partitionId, bytes)
    if (!added.ok) throw new Error(added.reason)
    await this.#whileRunning(this.#guest.memoryAdded(added.memoryBytes))
    return added.memoryBytes
  }

  #mayChange(): void {
    if (this.#isSaving) throw new Error('it is being saved')
  }

  async #save(file: string): Promise<void> {
    const apart = keptApart({ ...this.#task, disks: this.#allDisks() })
    if (apart !== null) throw new Error(apart)
    this.#mayChange()
    this.#isSaving = true
    const machine = {
      root: this.#root,
      guest: this.#machine,
      start: this.#start,
      memoryBytes: this.#task.memoryBytes,
    }
    const rest = restMachine(machine, file)
    try {
      const resting = await this.#whileRunning(rest)
      if (this.#over) throw new Error('it ended meanwhile')
      this.resting = resting
    } catch (error) {
      // It may have ended while its RAM was on the way to the file: nothing of that stays.
      void rest.then(({ file: staged }) => staged.abandon(), ignoreUnasked)
      this.#isSaving = false
      throw error instanceof Error ? new Error(firstLine(error.message)) : error
    }
    this.#stopping = true
    this.#end('saved', `saved to ${file}`)
  }

  /** IDE disks as it began with them, SCSI disks as they are now. */
  #allDisks(): readonly DiskSpec[] {
    const ide = this.#task.disks.filter((disk) => disk.controllerType === 'ide')
    return [...ide, ...this.#disks.specs]
  }

  async #stop(graceMs: number): Promise<void> {
    this.#stopping = true
    const late = Promise.withResolvers<'late'>()
    this.#after(graceMs, () => late.resolve('late'))
    // A guest that throws while it shuts down has still ended by request.
    const asked = this.#shutDown(graceMs).then(
      () => 'done' as const,
      () => 'late' as const,
    )
    const how = await Promise.race([asked, late.promise, this.ended])
    if (how === 'done') await this.#keepReports()
    if (how === 'done') this.#end('stopped', 'shut down on request')
    else this.#end('turned-off', `the guest did not shut down within ${graceMs} ms`)
  }

  /** By the guest's shutdown service; one that has none, or not yet, is told over its control port. */
  async #shutDown(graceMs: number): Promise<void> {
    const timeoutSeconds = Math.ceil(graceMs / 1_000)
    const outcome = await this.#root.shutDown(this.#partitionId, { timeoutSeconds })
    await (outcome === 'accepted' ? this.#guest.poweredOff() : this.#guest.shutDown())
  }

  /** A call into a guest that dies meanwhile would never settle by itself. */
  #whileRunning<T>(call: Promise<T>): Promise<T> {
    const ended = this.ended.then((end): never => {
      if (end === 'reset') throw new Error('the guest reset its machine')
      throw new Error(`the guest ended (${end.reason}): ${end.detail}`)
    })
    const answered = call.catch((error: unknown): never => {
      throw new Error(describeCall(error))
    })
    return Promise.race([answered, ended])
  }

  #heardUnasked(): void {
    this.#unasked += 1
    if (this.#unasked > UNASKED_MAX) this.#flooded('parent')
  }

  /** What a guest posts waits in this thread's memory, and a port has no bound of its own: the guest ends, its queue with it. */
  #flooded(port: string): void {
    if (this.#over) return
    this.#end('crashed', `the guest flooded its ${port} port`)
    this.#thread.controlPort.close()
    this.#thread.logPort.close()
    void this.#thread.worker.terminate()
  }

  /** The next boot answers what is asked from now on. */
  #reset(): void {
    if (this.#over) return
    this.#over = true
    this.#served.pause()
    this.#exit.resolve('reset')
  }

  #end(reason: VmExit['reason'], detail: string): void {
    if (this.#over) return
    this.#over = true
    const gone = new Error(`the guest ended (${reason}): ${detail}`)
    this.#booted.reject(gone)
    this.#served.program.reject(gone)
    this.#exit.resolve({ reason, detail })
  }

  #after(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      run()
    }, ms)
    this.#timers.add(timer)
  }
}

function guestLog(task: VmTask, partitionId: number, onFlood: () => void): GuestLog {
  const bindings = { component: 'guest', vm: task.name, partitionId }
  const log = createPortLogger(task.logPort, task.logLevel, bindings)
  return new GuestLog(log, () => performance.now(), onFlood)
}

/** Of an error from the guest's thread: a stack of the host follows. */
function firstLine(message: string): string {
  return (message.split('\n', 1)[0] ?? '').replace(/^\w*Error: /, '')
}

function resultOf(result: DiskResult): void {
  if (!result.ok) throw new Error(result.reason)
}
