// A Linux guest and what is asked of it over its control. What it runs on is handed in: a thread with an engine of its own, or an actor of the
// virtual engine.

import { createHash } from 'node:crypto'
import type { PortLogger } from '@guestyard/engine/node'
import { GuestMemory, type WasmMemory } from '@guestyard/guestmem'
import { VirtualProcessor } from '@guestyard/hypervisor/vp'
import type { Clock, VpHandles } from '@guestyard/hypervisor'

import { linuxBootImage, linuxFirmwareImage } from '../boot/linux-boot.ts'
import { ConsoleBuffer } from '../guest/console-buffer.ts'
import { ExecChannel } from '../guest/exec-channel.ts'
import { initramfs } from '../guest/initramfs.ts'
import { isUsedBy } from '../guest/linux-modules.ts'
import { moduleName } from '../guest/module-order.ts'
import { MachineGuest } from '../machine/machine-guest.ts'
import { SavedStateError } from '../machine/saved-machine.ts'
import type { MachineEnd } from '../machine/platform-ports.ts'
import type {
  ExecAnswer,
  IdeDiskPort,
  MachineBootReport,
  MachineControl,
  LinuxSettings,
  MachineGuestInspection,
  SavedLinux,
} from '../worker-protocol.ts'
import { MACHINE_ROOMS } from '../machine/partition-needs.ts'
import type { IdeImage } from '../processor/pc-board.ts'
import { IdeDiskClient } from './ide-disk-port.ts'
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

const HASHED_AT_ONCE = 1 << 20

/** Which guest, and the partition that was made for it. */
export interface LinuxGuestSetup {
  readonly name: string
  readonly linux: LinuxSettings
  readonly memoryBytes: number
  readonly memory: WasmMemory
  readonly handles: VpHandles
  readonly ide: IdeDiskPort | null
  /** It goes on from there instead of booting: RAM is as it was saved. */
  readonly saved?: SavedLinux
}

/** What runs it. */
export interface MachineEngine {
  /** From now on it polls the machine. */
  start(): void
  /** Something was put into the machine from outside of its polls. */
  wake(): void
  inspect(): unknown
}

export interface LinuxPlatform {
  readonly log: PortLogger
  readonly clock: Clock & { update(): number }
  readonly wakeRoot: { ring(): void }
  /** As `MachineGuestOptions` have it. */
  readonly nowMs: () => number
  /** `count` of them. */
  randomBytes(count: number): Uint8Array
  /** Milliseconds since the machine was asked for. */
  sinceStartMs(): number
  /** CPU time of whoever polls it, in microseconds. */
  cpuMicroseconds(): number
  createEngine(machine: MachineGuest): MachineEngine
}

interface Running {
  readonly machine: MachineGuest
  readonly engine: MachineEngine
  readonly vp: VirtualProcessor
  readonly memory: GuestMemory
}

/** VP's thread only. Boots at once. */
export class LinuxGuest implements MachineControl {
  readonly #setup: LinuxGuestSetup
  readonly #platform: LinuxPlatform
  readonly #log: PortLogger
  readonly #console: ConsoleBuffer
  readonly #ready: PromiseWithResolvers<void>
  readonly #ended: PromiseWithResolvers<MachineEnd>
  readonly #exec: ExecChannel
  readonly #running: Promise<Running>
  readonly #booted: Promise<MachineBootReport>
  readonly #mark: string
  #release: string
  #live: Running | null

  constructor(setup: LinuxGuestSetup, platform: LinuxPlatform) {
    const mark = setup.saved?.mark ?? Buffer.from(platform.randomBytes(MARK_BYTES)).toString('hex')
    this.#mark = mark
    this.#setup = setup
    this.#platform = platform
    this.#log = platform.log
    this.#live = null
    this.#release = ''
    this.#console = new ConsoleBuffer()
    this.#ready = Promise.withResolvers()
    this.#ended = Promise.withResolvers()
    this.#exec = new ExecChannel(
      mark,
      (bytes) => this.#send(1, bytes),
      () => this.#ready.resolve(),
    )
    this.#running = this.#start(mark)
    this.#booted = this.#boot()
    // Whoever asks gets the rejection.
    this.#booted.catch(() => {})
    this.#running.catch(() => {})
  }

  booted(): Promise<MachineBootReport> {
    return this.#booted
  }

  async runProgram(): Promise<'powered-off' | 'reset'> {
    const end = await this.#ended.promise
    if (end.is === 'powered-off' || end.is === 'reset') return end.is
    throw new Error(this.#describe(end))
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
      case 'memory-digest':
        return digestOf((await this.#running).memory)
      default:
        throw new Error(`a machine guest has no function "${name}"`)
    }
  }

  takeReports(): unknown[] {
    return []
  }

  inspect(): MachineGuestInspection {
    return {
      vp: this.#live?.vp.inspect() ?? null,
      vmbus: null,
      engine: this.#live?.engine.inspect() ?? null,
      machine: this.#live?.machine.inspect() ?? null,
      pagesFree: 0,
      strayInterrupts: 0,
      droppedEvents: 0,
      computedMicroseconds: 0,
      cpuMicroseconds: this.#platform.cpuMicroseconds(),
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

  /**
   * What the guest is beside its RAM. Null while something is on its way into it, and until it has booted: it is to run a little. Between
   * polls of its machine. Throws a SavedStateError while a command runs in it that somebody waits for, and once it has ended.
   */
  save(): SavedLinux | null {
    if (this.#setup.linux.generation !== 2) {
      throw new SavedStateError('a machine of the first generation has devices that are not')
    }
    if (this.#live === null || !this.#exec.isReady) return null
    if (!this.#exec.isIdle) {
      throw new SavedStateError('a command runs in it: its answer would be lost')
    }
    const machine = this.#live.machine.save()
    return machine === null ? null : { release: this.#release, mark: this.#mark, machine }
  }

  pause(): void {
    this.#live?.machine.pause()
  }

  resume(): void {
    this.#live?.machine.resume()
    this.#live?.engine.wake()
  }

  async #start(mark: string): Promise<Running> {
    const { linux, memoryBytes, handles } = this.#setup
    const platform = this.#platform
    const { clock, wakeRoot } = platform
    const files = readLinuxGuest(linux.folder ?? linuxCacheFolder())
    const { saved } = this.#setup
    this.#release = saved?.release ?? files.release
    const { generation } = linux
    const boot = {
      kernel: files.kernel,
      unpacked: files.unpackedKernel,
      initrd: initramfs({
        busybox: files.busybox,
        modules: files.modules.filter(({ file }) => isUsedBy(generation, moduleName(file))),
        shell: linux.shell,
        mark,
      }),
      commandLine: `${COMMAND_LINE} ${linux.append}`.trim(),
      ramBytes: memoryBytes,
    }
    const image = generation === 1 ? linuxFirmwareImage(boot, files.firmware) : linuxBootImage(boot)
    const memory = GuestMemory.attachAt(this.#setup.memory, MACHINE_ROOMS.belowBytes, memoryBytes)
    const vp = new VirtualProcessor(handles, { memory, wakeRoot, clock })
    const machine = await MachineGuest.create({
      vp,
      memory,
      clock,
      image,
      wasm: readProcessorModule(),
      nowMs: platform.nowMs,
      log: platform.log,
      random: () => Buffer.from(platform.randomBytes(4)).readInt32LE(),
      onSerialByte: (port, byte) => {
        if (port === CONSOLE) this.#console.put(byte)
        else this.#exec.receive(byte)
      },
      ...(saved === undefined ? {} : { saved: saved.machine }),
      onEnd: (end) => this.#end(end),
      board: { disk: this.#ideDisk() },
    })
    const engine = platform.createEngine(machine)
    this.#live = { machine, engine, vp, memory }
    if (saved !== undefined) this.#exec.resume()
    engine.start()
    return this.#live
  }

  #ideDisk(): IdeImage | null {
    const { ide } = this.#setup
    if (ide === null) return null
    return new IdeDiskClient(ide, {
      onAnswer: () => this.#nudge(),
      onFailure: () => this.#live?.machine.stop('its IDE disk failed'),
    })
  }

  async #boot(): Promise<MachineBootReport> {
    await this.#running
    const early = this.#ended.promise.then((end): never => {
      throw new Error(this.#describe(end))
    })
    await Promise.race([this.#ready.promise, early])
    early.catch(() => {})
    const bootMs = this.#platform.sinceStartMs()
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
    this.#nudge()
  }

  /** Something was put into the machine's devices. */
  #nudge(): void {
    this.#live?.machine.nudge()
    this.#live?.engine.wake()
  }

  #end(end: MachineEnd): void {
    this.#log.info({ end }, 'the machine has ended')
    // The console of a machine that is reset goes on in its next boot.
    if (end.is !== 'reset') this.#console.close()
    this.#ended.resolve(end)
  }

  #describe(end: MachineEnd): string {
    const said = this.#console.lastWords(LAST_LINES)
    const words = said.length === 0 ? '' : `; its last words: ${said.join(' / ')}`
    return `${wordsOf(end)}${end.is === 'powered-off' ? '' : words}`
  }
}

/** SHA-256 of all RAM, in hex. */
function digestOf(memory: GuestMemory): string {
  const hash = createHash('sha256')
  const ram = memory.u8
  // Copies: what is shared can't be hashed.
  for (let at = 0; at < ram.length; at += HASHED_AT_ONCE) {
    hash.update(ram.slice(at, at + HASHED_AT_ONCE))
  }
  return hash.digest('hex')
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
