// A machine guest on a thread of its own: what runs it there, and what is asked of it over its control.

import { randomBytes } from 'node:crypto'
import process from 'node:process'
import { DoorbellSet, MonotonicClock, ThreadEngine } from '@guestyard/engine'
import { createPortLogger, type PortLogger } from '@guestyard/engine/node'
import { GuestMemory } from '@guestyard/guestmem'
import { VirtualProcessor } from '@guestyard/hypervisor/vp'
import { Doorbell } from '@guestyard/ring'

import { linuxBootImage } from '../boot/linux-boot.ts'
import { ConsoleBuffer } from '../guest/console-buffer.ts'
import { ExecChannel } from '../guest/exec-channel.ts'
import { initramfs } from '../guest/initramfs.ts'
import { MachineGuest } from '../machine/machine-guest.ts'
import type { MachineEnd } from '../machine/platform-ports.ts'
import type {
  ExecAnswer,
  MachineBootReport,
  MachineControl,
  MachineGuestInspection,
  MachinePartition,
  MachineWorkerData,
} from '../worker-protocol.ts'
import { MACHINE_ROOMS } from '../machine/partition-needs.ts'
import { linuxCacheFolder, readLinuxGuest } from './linux-cache.ts'
import { readProcessorModule } from './processor-module.ts'

/**
 * COM1 is the console, for warnings and worse. A panic ends the machine by a reset. Randomness may come from the processor. The kernel's tests of its
 * own ciphers, and its search for ISA cards, are a quarter of a boot.
 */
const COMMAND_LINE = 'console=ttyS0 quiet panic=-1 random.trust_cpu=on cryptomgr.notests noisapnp'
const CONSOLE = 0
const MARK_BYTES = 12
/** Of a console, when a machine has ended in no good order. */
const LAST_LINES = 3

interface Running {
  readonly machine: MachineGuest
  readonly engine: ThreadEngine
  readonly vp: VirtualProcessor
}

/** VP's thread only; one for each. Boots at once. */
export class MachineThread implements MachineControl {
  readonly #data: MachineWorkerData
  readonly #log: PortLogger
  readonly #console: ConsoleBuffer
  readonly #ready: PromiseWithResolvers<void>
  readonly #ended: PromiseWithResolvers<MachineEnd>
  readonly #exec: ExecChannel
  readonly #running: Promise<Running>
  readonly #booted: Promise<MachineBootReport>
  #release: string
  #live: Running | null

  constructor(data: MachineWorkerData, partition: MachinePartition) {
    const mark = randomBytes(MARK_BYTES).toString('hex')
    this.#data = data
    this.#live = null
    this.#release = ''
    this.#log = createPortLogger(data.logPort, data.logLevel, {
      component: 'guest',
      vm: data.name,
      partitionId: partition.partitionId,
    })
    this.#console = new ConsoleBuffer()
    this.#ready = Promise.withResolvers()
    this.#ended = Promise.withResolvers()
    this.#exec = new ExecChannel(
      mark,
      (bytes) => this.#send(1, bytes),
      () => this.#ready.resolve(),
    )
    this.#running = this.#start(partition, mark)
    this.#booted = this.#boot()
    // Whoever asks gets the rejection.
    this.#booted.catch(() => {})
    this.#running.catch(() => {})
  }

  booted(): Promise<MachineBootReport> {
    return this.#booted
  }

  async runProgram(): Promise<void> {
    const end = await this.#ended.promise
    if (end.is !== 'powered-off') throw new Error(this.#describe(end))
  }

  runLoad(_spec: unknown): Promise<never> {
    return Promise.reject(new Error('a machine guest has no load driver'))
  }

  async call(name: string, data: unknown): Promise<unknown> {
    switch (name) {
      case 'exec':
        if (typeof data !== 'string') throw new TypeError('exec: expected the text of a script')
        return this.#run(data)
      case 'console-write':
        if (!(data instanceof Uint8Array)) throw new TypeError('console-write: expected bytes')
        await this.#running
        this.#send(CONSOLE, data)
        return null
      case 'console-read':
        return this.#console.read()
      default:
        throw new Error(`a machine guest has no function "${name}"`)
    }
  }

  takeReports(): unknown[] {
    return []
  }

  inspect(): MachineGuestInspection {
    const { user, system } =
      typeof process.threadCpuUsage === 'function'
        ? process.threadCpuUsage()
        : { user: 0, system: 0 }
    return {
      vp: this.#live?.vp.inspect() ?? null,
      vmbus: null,
      engine: { ...this.#live?.engine.stats },
      machine: this.#live?.machine.inspect() ?? null,
      pagesFree: 0,
      strayInterrupts: 0,
      droppedEvents: 0,
      computedMicroseconds: 0,
      cpuMicroseconds: user + system,
    }
  }

  memoryAdded(_memoryBytes: number): number {
    throw new Error('RAM of a machine guest does not grow')
  }

  async poweredOff(): Promise<void> {
    await this.#ended.promise
  }

  async shutDown(): Promise<void> {
    await this.#running
    if (!this.#exec.isReady) throw new Error('the guest takes no commands yet')
    this.#exec.powerOff()
    await this.#ended.promise
  }

  async #start(partition: MachinePartition, mark: string): Promise<Running> {
    const { linux, memoryBytes, spinMicroseconds } = this.#data
    const files = readLinuxGuest(linux.folder ?? linuxCacheFolder())
    this.#release = files.release
    const image = linuxBootImage({
      kernel: files.kernel,
      initrd: initramfs({
        busybox: files.busybox,
        modules: files.modules,
        shell: linux.shell,
        mark,
      }),
      commandLine: `${COMMAND_LINE} ${linux.append}`.trim(),
      ramBytes: memoryBytes,
    })
    const memory = GuestMemory.attachAt(partition.memory, MACHINE_ROOMS.belowBytes, memoryBytes)
    const clock = new MonotonicClock({ originMs: partition.clockOriginMs })
    const vp = new VirtualProcessor(partition.handles, {
      memory,
      wakeRoot: new Doorbell(partition.rootDoorbell),
      clock,
    })
    const machine = await MachineGuest.create({
      vp,
      memory,
      clock,
      image,
      wasm: readProcessorModule(),
      nowMs: () => performance.now(),
      random: () => randomBytes(4).readInt32LE(),
      onSerialByte: (port, byte) => {
        if (port === CONSOLE) this.#console.put(byte)
        else this.#exec.receive(byte)
      },
      onEnd: (end) => this.#end(end),
    })
    const doorbells = new DoorbellSet()
    doorbells.add(new Doorbell(partition.doorbell))
    const engine = new ThreadEngine({
      machine,
      doorbells,
      clock,
      strategy: 'event-loop',
      spinMicroseconds,
    })
    this.#live = { machine, engine, vp }
    // A machine that throws is a bug of ours, or of the processor package: the rejection ends this worker, and its worker process says so.
    void engine.run()
    return this.#live
  }

  async #boot(): Promise<MachineBootReport> {
    await this.#running
    const early = this.#ended.promise.then((end): never => {
      throw new Error(this.#describe(end))
    })
    await Promise.race([this.#ready.promise, early])
    early.catch(() => {})
    const bootMs = performance.timeOrigin + performance.now() - this.#data.startedMs
    this.#log.info({ release: this.#release, bootMs }, 'Linux is up')
    return {
      vmbusVersion: 0,
      offers: 0,
      vendor: `Linux ${this.#release}`.slice(0, 64),
      bootMs,
      firstChannelMs: bootMs,
    }
  }

  #run(script: string): Promise<ExecAnswer> {
    const ended = this.#ended.promise.then((end): never => {
      throw new Error(this.#describe(end))
    })
    const answer = new Promise<ExecAnswer>((resolve) => this.#exec.run(script, resolve))
    return Promise.race([answer, ended])
  }

  #send(port: 0 | 1, bytes: Uint8Array): void {
    this.#live?.machine.sendSerial(port, bytes)
    this.#live?.engine.wake()
  }

  #end(end: MachineEnd): void {
    this.#log.info({ end }, 'the machine has ended')
    this.#console.close()
    this.#ended.resolve(end)
  }

  #describe(end: MachineEnd): string {
    const said = this.#console.lastWords(LAST_LINES)
    const words = said.length === 0 ? '' : `; its last words: ${said.join(' / ')}`
    return `${wordsOf(end)}${end.is === 'powered-off' ? '' : words}`
  }
}

function wordsOf(end: MachineEnd): string {
  switch (end.is) {
    case 'powered-off':
      return 'the guest turned itself off'
    case 'reset':
      return 'the guest reset its machine'
    case 'exited':
      return `the guest left with code ${end.code}`
    case 'stopped':
      return `the guest stopped: ${end.detail}`
  }
}
