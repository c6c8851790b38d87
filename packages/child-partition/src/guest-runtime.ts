// One script guest on its thread: kernel, drivers, engine and program, and what the control port asks of them.

import process from 'node:process'
import {
  DoorbellSet,
  MonotonicClock,
  ThreadEngine,
  type Machine,
  type WaitStrategy,
} from '@guestyard/engine'
import { createPortLogger, type PortLogger } from '@guestyard/engine/node'
import { GuestMemory } from '@guestyard/guestmem'
import { VirtualProcessor } from '@guestyard/hypervisor'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import { Doorbell } from '@guestyard/ring'
import type { VmbusClientEvent } from '@guestyard/vmbus/client'

import type { ExposedFunctions, Guest, GuestProgram } from './api/guest.ts'
import { InputDrivers } from './drivers/input.ts'
import { LoadChannels } from './drivers/load-channels.ts'
import type { LoadWaiter } from './drivers/load-runs.ts'
import { Offers } from './drivers/offers.ts'
import { RelayStreams } from './drivers/streams.ts'
import { TickingMachine } from './drivers/ticking-machine.ts'
import { Kernel } from './kernel/kernel.ts'
import type {
  BootReport,
  GuestControl,
  GuestInspection,
  GuestWorkerData,
} from './worker-protocol.ts'

const TICK_MS = 1_000

/** VP's thread only; one for each. */
export class GuestRuntime implements GuestControl {
  readonly #data: GuestWorkerData
  readonly #log: PortLogger
  readonly #clock: MonotonicClock
  readonly #doorbell: Doorbell
  readonly #kernel: Kernel
  readonly #engine: ThreadEngine
  readonly #offers: Offers
  readonly #input: InputDrivers
  readonly #load: LoadChannels
  readonly #abort: AbortController
  readonly #up: PromiseWithResolvers<void>
  readonly #unloaded: PromiseWithResolvers<void>
  readonly #booted: Promise<BootReport>
  readonly #reports: unknown[]
  #functions: ExposedFunctions
  #program: GuestProgram | null
  #running: Promise<void> | null
  #loading: boolean
  #vendor: string

  constructor(data: GuestWorkerData) {
    this.#data = data
    this.#log = createPortLogger(data.logPort, data.logLevel, {
      component: 'guest',
      vm: data.name,
      partitionId: data.partitionId,
    })
    this.#clock = new MonotonicClock({ originMs: data.clockOriginMs })
    this.#doorbell = new Doorbell(data.doorbell)
    const memory = GuestMemory.attach(data.memory)
    this.#kernel = new Kernel({
      vp: new VirtualProcessor(data.handles, {
        memory,
        wakeRoot: new Doorbell(data.rootDoorbell),
        clock: this.#clock,
      }),
      memory,
      placement: data.placement,
      clock: this.#clock,
      onBusEvent: (event) => this.#onBusEvent(event),
      wake: () => this.#engine.wake(),
    })
    this.#engine = this.#newEngine(this.#kernel, 'event-loop', data.spinMicroseconds)
    this.#offers = new Offers()
    this.#input = new InputDrivers(this.#kernel.bus, (device, reason) =>
      this.#log.warn({ device, reason }, 'input device failed'),
    )
    this.#load = new LoadChannels(this.#kernel.bus, this.#offers, () => this.#engine.wake())
    this.#abort = new AbortController()
    this.#up = Promise.withResolvers()
    this.#unloaded = Promise.withResolvers()
    this.#reports = []
    this.#functions = {}
    this.#program = null
    this.#running = null
    this.#loading = false
    this.#vendor = ''
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
      return await runLoad(this.#load, this.#waiter(), spec)
    } finally {
      this.#loading = false
    }
  }

  async call(name: string, data: unknown): Promise<unknown> {
    const called = Object.hasOwn(this.#functions, name) ? this.#functions[name] : undefined
    if (called === undefined) {
      throw new Error(`the program of "${this.#data.name}" exposes no "${name}"`)
    }
    return called(data)
  }

  takeReports(): unknown[] {
    return this.#reports.splice(0)
  }

  inspect(): GuestInspection {
    const { bus, pages, vp } = this.#kernel
    return {
      vp: vp.inspect(),
      vmbus: bus.inspect(),
      engine: { ...this.#engine.stats },
      pagesFree: pages.freePages,
      strayInterrupts: this.#kernel.strayInterrupts,
      droppedEvents: this.#input.keys.dropped + this.#input.pointer.dropped,
      cpuMicroseconds: cpuMicroseconds(),
    }
  }

  async shutDown(): Promise<void> {
    this.#abort.abort()
    this.#input.end()
    // What the program throws now is no more than a way to leave.
    await this.#running?.catch(() => {})
    await this.#unload()
  }

  async #boot(): Promise<BootReport> {
    const { program } = this.#data
    // A machine that throws is a bug of ours: the rejection ends this worker, and its worker process says so.
    void this.#engine.run()
    const found = this.#kernel.start()
    if (!found.ok) throw new Error(`no hypervisor: ${found.reason}`)
    this.#vendor = found.vendor
    this.#engine.wake()
    if (program !== null) this.#program = await loadProgram(program)
    await this.#up.promise
    const bootMs = sinceStart(this.#data)
    await this.#load.ready()
    return {
      vendor: this.#vendor,
      vmbusVersion: this.#kernel.bus.version,
      offers: this.#offers.size,
      bootMs,
      firstChannelMs: sinceStart(this.#data),
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
    await program.main(this.#guest())
    if (!this.#abort.signal.aborted) await this.#unload()
  }

  async #unload(): Promise<void> {
    if (this.#kernel.bus.state === 'disconnected') return
    this.#kernel.bus.unload()
    this.#engine.wake()
    await this.#unloaded.promise
  }

  #guest(): Guest {
    return {
      name: this.#data.name,
      partitionId: this.#data.partitionId,
      args: this.#data.args,
      log: this.#log,
      signal: this.#abort.signal,
      vmbus: this.#kernel.bus,
      streams: new RelayStreams(this.#load, () => this.#engine.wake()),
      keyboard: this.#input.keys,
      mouse: this.#input.pointer,
      runLoad: (spec) => this.runLoad(spec),
      expose: (functions) => {
        this.#functions = functions
      },
      report: (data) => void this.#reports.push(data),
    }
  }

  #onBusEvent(event: VmbusClientEvent): void {
    switch (event.is) {
      case 'offer':
        this.#offers.add(event.offer)
        this.#input.offered(event.offer)
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
        this.#unloaded.resolve()
        break
      case 'connected':
      case 'version-refused':
      case 'post-failed':
        this.#log.debug(event, 'bus')
        break
    }
  }

  #waiter(): LoadWaiter {
    return {
      until: async (spec, run) => {
        if (spec.waiting === 'event-loop') {
          const done = Promise.withResolvers<void>()
          run.changed = () => {
            if (run.isDone()) done.resolve()
          }
          const timer = setInterval(() => run.tick(), TICK_MS)
          this.#engine.wake()
          if (!run.isDone()) await done.promise
          clearInterval(timer)
          return
        }
        // The thread's own engine rests meanwhile: nothing else runs until this one stops.
        const machine = new TickingMachine(this.#kernel, this.#clock, () => run.tick())
        const engine = this.#newEngine(machine, spec.waiting, spec.spinMicroseconds)
        run.changed = () => {
          if (run.isDone()) engine.stop()
        }
        if (!run.isDone()) engine.runBlocking()
        this.#engine.wake()
      },
    }
  }

  #newEngine(machine: Machine, strategy: WaitStrategy, spinMicroseconds: number): ThreadEngine {
    const doorbells = new DoorbellSet()
    doorbells.add(this.#doorbell)
    return new ThreadEngine({
      machine,
      doorbells,
      clock: this.#clock,
      strategy,
      spinMicroseconds,
    })
  }
}

/** Milliseconds since this guest's thread was asked for: loading its modules is part of booting. */
function sinceStart(data: GuestWorkerData): number {
  return performance.timeOrigin + performance.now() - data.startedMs
}

async function loadProgram(url: string): Promise<GuestProgram> {
  const module: unknown = await import(url)
  const main: unknown = Reflect.get(Object(module), 'main')
  if (typeof main !== 'function') throw new Error(`${url} exports no function "main"`)
  return module as GuestProgram
}

/** CPU time of this thread. 0 where the runtime can't tell (before Node 23.9). */
function cpuMicroseconds(): number {
  if (typeof process.threadCpuUsage !== 'function') return 0
  const { user, system } = process.threadCpuUsage()
  return user + system
}
