// A script guest on a thread of its own: the platform that its runtime runs on there.

import process from 'node:process'
import {
  DoorbellSet,
  MonotonicClock,
  ThreadEngine,
  type Machine,
  type WaitStrategy,
} from '@guestyard/engine'
import { createPortLogger, type PortLogger } from '@guestyard/engine/node'
import { Doorbell } from '@guestyard/ring'
import type { LoadSpec } from '@guestyard/load-device/protocol'

import type { GuestProgram } from './api/guest.ts'
import { TickingMachine } from './drivers/ticking-machine.ts'
import { GuestLogPort } from './guest-log-port.ts'
import type { GuestEngine, GuestMeters, GuestPlatform, WaitedRun } from './guest-platform.ts'
import { programOf } from './guest-program.ts'
import type { Processor } from './kernel/compute-queue.ts'
import type { GuestPartition, GuestWorkerData } from './worker-protocol.ts'

const TICK_MS = 1_000

/** VP's thread only; one for each. */
export class GuestThread implements GuestPlatform {
  readonly log: PortLogger
  readonly clock: MonotonicClock
  readonly wakeRoot: Doorbell
  readonly wakeVps: readonly Doorbell[]
  readonly meters: GuestMeters
  readonly trace = null
  readonly callsAnyTime = true
  readonly processor: Processor = { burn: spin }
  readonly #doorbell: Doorbell
  readonly #spinMicroseconds: number

  constructor(data: GuestWorkerData, partition: GuestPartition) {
    const logPort = new GuestLogPort(data.logPort, () => performance.now())
    this.log = createPortLogger(logPort, data.logLevel, {
      component: 'guest',
      vm: data.name,
      partitionId: partition.partitionId,
    })
    this.clock = new MonotonicClock({ originMs: partition.clockOriginMs })
    this.wakeRoot = new Doorbell(partition.rootDoorbell)
    this.wakeVps = partition.handles.vpDoorbells.map((buffer) => new Doorbell(buffer))
    this.#doorbell = new Doorbell(partition.doorbell)
    this.#spinMicroseconds = data.spinMicroseconds
    this.meters = {
      nowNs: () => performance.now() * 1e6,
      // Loading the thread's modules is part of booting.
      sinceStartMs: () => performance.timeOrigin + performance.now() - data.startedMs,
      cpu: threadCpu,
      heapUsed: () => process.memoryUsage().heapUsed,
    }
  }

  createEngine(kernel: Machine): GuestEngine {
    const engine = this.#newEngine(kernel, 'event-loop', this.#spinMicroseconds)
    return {
      // A machine that throws is a bug of ours: the rejection ends this worker, and its worker process says so.
      start: () => void engine.run(),
      wake: () => engine.wake(),
      until: (spec, run) => this.#until(engine, kernel, spec, run),
      inspect: () => ({ ...engine.stats }),
    }
  }

  async loadProgram(url: string): Promise<GuestProgram> {
    return programOf(url, await import(url))
  }

  async #until(own: ThreadEngine, kernel: Machine, spec: LoadSpec, run: WaitedRun): Promise<void> {
    if (spec.waiting === 'event-loop') {
      const done = Promise.withResolvers<void>()
      run.changed = () => {
        if (run.isDone()) done.resolve()
      }
      const timer = setInterval(() => run.tick(), TICK_MS)
      own.wake()
      if (!run.isDone()) await done.promise
      clearInterval(timer)
      return
    }
    // The thread's own engine rests meanwhile: nothing else runs until this one stops.
    const machine = new TickingMachine(kernel, this.clock, () => run.tick())
    const engine = this.#newEngine(machine, spec.waiting, spec.spinMicroseconds)
    run.changed = () => {
      if (run.isDone()) engine.stop()
    }
    if (!run.isDone()) engine.runBlocking()
    own.wake()
  }

  #newEngine(machine: Machine, strategy: WaitStrategy, spinMicroseconds: number): ThreadEngine {
    const doorbells = new DoorbellSet()
    doorbells.add(this.#doorbell)
    return new ThreadEngine({
      machine,
      doorbells,
      clock: this.clock,
      strategy,
      spinMicroseconds,
    })
  }
}

/** Uses the thread for so many microseconds. */
function spin(microseconds: number): number {
  const from = performance.now()
  let used = 0
  while (used < microseconds) used = (performance.now() - from) * 1000
  return used
}

/** CPU time of this thread; null where the runtime can't tell (before Node 23.9). */
function threadCpu(): { user: number; system: number } | null {
  return typeof process.threadCpuUsage === 'function' ? process.threadCpuUsage() : null
}
