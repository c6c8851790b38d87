// One script guest: kernel, drivers and program, and what is asked of them over its control. What runs it is handed in.

import { VirtualProcessor } from '@guestyard/hypervisor/vp'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import type { VmbusClientEvent } from '@guestyard/vmbus/client'

import type { ExposedFunctions, Guest, GuestDevices, GuestProgram } from './api/guest.ts'
import { PageDma } from './disks/guest-dma.ts'
import { DiskDrivers } from './drivers/disks.ts'
import { InputDrivers } from './drivers/input.ts'
import { IntegrationDrivers } from './drivers/integration.ts'
import { LoadChannels } from './drivers/load-channels.ts'
import { NicDrivers } from './drivers/nics.ts'
import { Offers } from './drivers/offers.ts'
import { RelayStreams } from './drivers/streams.ts'
import type { GuestEngine, GuestPlatform, GuestSetup } from './guest-platform.ts'
import { Kernel } from './kernel/kernel.ts'
import { NetRegistry } from './net/guest-net.ts'
import type { BootReport, GuestControl, GuestInspection } from './worker-protocol.ts'

/** VP's thread only; one for each VP. */
export class GuestRuntime implements GuestControl {
  readonly #setup: GuestSetup
  readonly #platform: GuestPlatform
  readonly #kernel: Kernel
  readonly #engine: GuestEngine
  readonly #offers: Offers
  readonly #input: InputDrivers
  readonly #integration: IntegrationDrivers
  readonly #load: LoadChannels
  readonly #disks: DiskDrivers
  readonly #nics: NicDrivers
  readonly #net: NetRegistry
  readonly #abort: AbortController
  /** The host's order to shut down, over the bus; and that it has been done. */
  readonly #order: PromiseWithResolvers<void>
  readonly #poweredOff: Promise<void>
  #down: Promise<void> | null = null
  readonly #up: PromiseWithResolvers<void>
  readonly #unloaded: PromiseWithResolvers<void>
  readonly #booted: Promise<BootReport>
  readonly #reports: unknown[]
  #functions: ExposedFunctions
  #program: GuestProgram | null
  #running: Promise<void> | null
  #loading: boolean
  #vendor: string

  /** Boots at once. */
  constructor(setup: GuestSetup, platform: GuestPlatform) {
    const { memory } = setup
    this.#setup = setup
    this.#platform = platform
    this.#kernel = new Kernel({
      vp: new VirtualProcessor(setup.handles, {
        memory,
        wakeRoot: platform.wakeRoot,
        wakeVps: platform.wakeVps ?? [],
        clock: platform.clock,
        trace: platform.trace,
      }),
      memory,
      placement: setup.placement,
      clock: platform.clock,
      onBusEvent: (event) => this.#onBusEvent(event),
      wake: () => this.#wake(),
      trace: platform.trace,
      ...(platform.processor === undefined ? {} : { processor: platform.processor }),
    })
    this.#engine = platform.createEngine(this.#kernel)
    this.#offers = new Offers()
    const onProblem = (device: string, reason: string): void =>
      platform.log.warn({ device, reason }, 'a device failed')
    this.#input = new InputDrivers(this.#kernel.bus, onProblem)
    this.#order = Promise.withResolvers()
    this.#integration = new IntegrationDrivers(this.#kernel.bus, {
      referenceTime: () => this.#kernel.referenceTime,
      onShutdown: () => this.#order.resolve(),
      onProblem,
    })
    this.#load = new LoadChannels(this.#kernel.bus, this.#offers, () => this.#wake())
    this.#disks = new DiskDrivers({
      bus: this.#kernel.bus,
      memory,
      pages: this.#kernel.pages,
      devices: this.#kernel.devices,
      handle: (vector, handler) => this.#kernel.handle(vector, handler),
      clock: platform.clock,
      wake: () => this.#wake(),
      onProblem,
    })
    this.#nics = new NicDrivers({
      bus: this.#kernel.bus,
      memory,
      pages: this.#kernel.pages,
      wake: () => this.#wake(),
      onProblem,
    })
    this.#net = new NetRegistry(this.#nics.registry, {
      clock: platform.clock,
      addChore: (chore) => this.#kernel.addChore(chore),
      removeChore: (chore) => this.#kernel.removeChore(chore),
      wake: () => this.#wake(),
    })
    this.#abort = new AbortController()
    this.#up = Promise.withResolvers()
    this.#unloaded = Promise.withResolvers()
    this.#reports = []
    this.#functions = {}
    this.#program = null
    this.#running = null
    this.#loading = false
    this.#vendor = ''
    this.#poweredOff = this.#obey()
    this.#booted = this.#boot()
    // Whoever asks gets the rejection; the worker process always does.
    this.#booted.catch(() => {})
  }

  booted(): Promise<BootReport> {
    return this.#booted
  }

  runProgram(): Promise<void> {
    this.#running ??= this.#runProgram()
    return this.#running
  }

  async runLoad(spec: LoadSpec): Promise<LoadResult> {
    if (this.#loading) throw new Error('this guest is running a load already')
    this.#loading = true
    try {
      // Loaded by the first run: its histograms are a third of what a guest's modules weigh.
      const { runLoad } = await import('./drivers/load-runs.ts')
      const engine: Pick<GuestEngine, 'until'> = {
        until: (waiting, run) => {
          // The run is on its channels: a halted VP wants a processor for it.
          this.#kernel.nudge()
          return this.#engine.until(waiting, run)
        },
      }
      return await runLoad(this.#load, engine, this.#platform.meters, spec)
    } finally {
      this.#loading = false
    }
  }

  async call(name: string, data: unknown): Promise<unknown> {
    // What it exposes may be exposed in a turn that has yet to come.
    await this.#dispatched()
    const called = Object.hasOwn(this.#functions, name) ? this.#functions[name] : undefined
    if (called === undefined) {
      throw new Error(`the program of "${this.#setup.name}" exposes no "${name}"`)
    }
    return called(data)
  }

  takeReports(): unknown[] {
    return this.#reports.splice(0)
  }

  inspect(): GuestInspection {
    const { bus, pages, vp } = this.#kernel
    const cpu = this.#platform.meters.cpu()
    return {
      vp: vp.inspect(),
      vmbus: bus.inspect(),
      engine: this.#engine.inspect(),
      pagesFree: pages.freePages,
      strayInterrupts: this.#kernel.strayInterrupts,
      integration: this.#integration.inspect(),
      droppedEvents: this.#input.keys.dropped + this.#input.pointer.dropped,
      computedMicroseconds: this.#kernel.work.used,
      cpuMicroseconds: cpu === null ? 0 : cpu.user + cpu.system,
    }
  }

  poweredOff(): Promise<void> {
    return this.#poweredOff
  }

  memoryAdded(memoryBytes: number): number {
    return this.#kernel.memoryAdded(memoryBytes)
  }

  /** Once: the host may ask again over the control port when its order's answer was lost with the channel. */
  shutDown(): Promise<void> {
    this.#down ??= this.#goDown()
    return this.#down
  }

  async #goDown(): Promise<void> {
    if (this.#program !== null) await this.#dispatched()
    this.#abort.abort()
    this.#input.end()
    // What the program throws now is no more than a way to leave.
    await this.#running?.catch(() => {})
    await this.#unload()
  }

  /** As the program's own: what it hears by its signal, it hears in its turn. */
  async #obey(): Promise<void> {
    await this.#order.promise
    await this.shutDown()
  }

  async #boot(): Promise<BootReport> {
    const { program } = this.#setup
    this.#engine.start()
    const found = this.#kernel.start()
    if (!found.ok) throw new Error(`no hypervisor: ${found.reason}`)
    this.#vendor = found.vendor
    this.#disks.start()
    this.#wake()
    if (program !== null) this.#program = await this.#platform.loadProgram(program)
    await this.#up.promise
    const bootMs = this.#platform.meters.sinceStartMs()
    await this.#load.ready()
    return {
      vendor: this.#vendor,
      vmbusVersion: this.#kernel.bus.version,
      offers: this.#offers.size,
      bootMs,
      firstChannelMs: this.#platform.meters.sinceStartMs(),
    }
  }

  async #runProgram(): Promise<void> {
    await this.#booted
    const program = this.#program
    if (program === null) {
      await new Promise<void>((resolve) => {
        this.#abort.signal.addEventListener('abort', () => resolve())
      })
      return
    }
    await this.#dispatched()
    // Ordered to shut down before its turn came: a program that has not begun would miss its signal, which is given once.
    if (this.#abort.signal.aborted) return
    await program.main(this.#guest())
    if (!this.#abort.signal.aborted) await this.#unload()
  }

  async #unload(): Promise<void> {
    if (this.#kernel.bus.state === 'disconnected') return
    this.#kernel.bus.unload()
    this.#wake()
    await this.#unloaded.promise
  }

  #guest(): Guest {
    return {
      name: this.#setup.name,
      partitionId: this.#setup.partitionId,
      args: this.#setup.args,
      log: this.#platform.log,
      signal: this.#abort.signal,
      vmbus: this.#kernel.bus,
      streams: new RelayStreams(this.#load, () => this.#wake()),
      devices: this.#devices(),
      disks: this.#disks.registry,
      nics: this.#nics.registry,
      net: this.#net,
      dma: new PageDma(this.#setup.memory, this.#kernel.pages),
      keyboard: this.#input.keys,
      mouse: this.#input.pointer,
      runLoad: (spec) => this.runLoad(spec),
      compute: (microseconds) => this.#compute(microseconds),
      yield: () => this.#compute(0),
      hostTimeMs: () => this.#integration.hostTimeMs,
      expose: (functions) => {
        this.#functions = functions
      },
      report: (data) => void this.#reports.push(data),
    }
  }

  #devices(): GuestDevices {
    const { devices } = this.#kernel
    return {
      portIn: async (port, size) => (await devices.portIn(port, size)).low,
      portOut: async (port, size, value) => void (await devices.portOut(port, size, value)),
      read: async (gpa, size) => (await devices.memoryRead(gpa, size)).low,
      write: async (gpa, size, value) => void (await devices.memoryWrite(gpa, size, value, 0)),
    }
  }

  /**
   * The program's code may run: its VP has a logical processor. What the runtime begins of a program begins here, and what a poll lets go
   * on does so in a poll. A program's own timers and answers of the host's (files, sockets) come when Node has them.
   */
  async #dispatched(): Promise<void> {
    if (this.#platform.callsAnyTime === true) await this.#compute(0)
  }

  async #compute(microseconds: number): Promise<void> {
    if (!(microseconds >= 0)) throw new RangeError(`${microseconds} is no number of microseconds`)
    const done = this.#kernel.work.add(microseconds)
    this.#wake()
    await done
  }

  /** Something here made work that no doorbell announces. */
  #wake(): void {
    this.#kernel.nudge()
    this.#engine.wake()
  }

  #onBusEvent(event: VmbusClientEvent): void {
    switch (event.is) {
      case 'offer':
        this.#offers.add(event.offer)
        this.#input.offered(event.offer)
        this.#integration.offered(event.offer)
        this.#disks.offered(event.offer)
        this.#nics.offered(event.offer)
        break
      case 'rescind':
        this.#offers.remove(event.offer)
        break
      case 'offers-delivered':
        this.#up.resolve()
        break
      case 'connect-failed':
        this.#up.reject(new Error(`no VMBus: ${event.reason}`))
        break
      case 'unloaded':
        this.#offers.end('the bus is unloaded')
        this.#disks.end('the bus is unloaded')
        this.#nics.end('the bus is unloaded')
        this.#unloaded.resolve()
        break
      case 'connected':
      case 'version-refused':
      case 'post-failed':
        this.#platform.log.debug(event, 'bus')
        break
    }
  }
}
