// A script guest under the virtual engine: the platform that its runtime runs on there.

import { GuestLogPort, GuestRuntime, programOf } from '@guestyard/child-partition'
import type {
  GuestEngine,
  GuestKernel,
  GuestMeters,
  GuestPlatform,
  GuestProgram,
  Processor,
  WaitedRun,
} from '@guestyard/child-partition'
import type { Machine } from '@guestyard/engine'
import type { VirtualActor, VirtualClock } from '@guestyard/engine/virtual'
import type { PortLogger } from '@guestyard/engine/node'
import { GuestMemory } from '@guestyard/guestmem'
import type { LoadSpec } from '@guestyard/load-device/protocol'
import type { VmSettings } from '@guestyard/management'
import type { PartitionStart } from '@guestyard/root-partition/worker-protocol'
import type { Trace } from '@guestyard/trace'

import type { ProgramContext, VirtualWorld } from './virtual-world.ts'

const TICK_NS = 1e9
const NS_PER_US = 1_000

/** The VP's machine: its kernel, once there is one. */
class VpMachine implements Machine {
  kernel: GuestKernel | null = null

  poll(budget: number): number {
    return this.kernel === null ? 0 : this.kernel.poll(budget)
  }

  arm(): boolean {
    return this.kernel !== null && this.kernel.arm()
  }

  disarm(): void {
    this.kernel?.disarm()
  }

  nextDeadlineMs(): number {
    return this.kernel === null ? Infinity : this.kernel.nextDeadlineMs()
  }
}

export interface VirtualGuestOptions {
  readonly settings: VmSettings
  readonly start: PartitionStart
  readonly root: VirtualActor
  /** Something of the guest threw where nobody could catch it. */
  readonly onFailed: (error: unknown) => void
  readonly onExited: (code: number) => void
}

export class VirtualGuest implements GuestPlatform {
  readonly actor: VirtualActor
  readonly program: ProgramContext
  readonly log: PortLogger
  readonly clock: VirtualClock
  readonly wakeRoot: VirtualActor
  readonly trace: Trace | null
  readonly meters: GuestMeters
  readonly processor: Processor
  readonly #options: VirtualGuestOptions
  readonly #world: VirtualWorld
  readonly #machine: VpMachine = new VpMachine()

  constructor(world: VirtualWorld, options: VirtualGuestOptions) {
    const { settings, start } = options
    const machine = this.#machine
    this.#options = options
    this.#world = world
    this.clock = world.clock
    this.trace = world.trace
    this.wakeRoot = options.root
    const bindings = { component: 'guest', vm: settings.name, partitionId: start.partitionId }
    this.log = world.logger(bindings, (port) => new GuestLogPort(port, () => world.clock.nowMs))
    this.actor = world.engine.addActor({
      name: settings.name,
      kind: 'vp',
      machine,
      spinNs: settings.spinMicroseconds * NS_PER_US,
      mayRun: () => machine.kernel === null || machine.kernel.vp.grantedLp() >= 0,
      wantsToRun: () => machine.kernel?.nudge(),
      exits: () => machine.kernel?.vp.hypercallCount ?? 0,
      onError: options.onFailed,
    })
    this.program = {
      actor: this.actor,
      random: world.newRandom(),
      failed: options.onFailed,
      exited: options.onExited,
    }
    this.processor = {
      burn: (microseconds) => {
        this.actor.burn(microseconds * NS_PER_US)
        return microseconds
      },
    }
    const startedNs = world.clock.nowNs
    this.meters = {
      nowNs: () => world.clock.nowNs,
      sinceStartMs: () => (world.clock.nowNs - startedNs) / 1e6,
      cpu: () => ({ user: this.actor.busyNs / NS_PER_US, system: 0 }),
      heapUsed: () => null,
    }
  }

  /** Makes the guest, which boots. In its actor's turn. */
  boot(): GuestRuntime {
    const { settings, start } = this.#options
    const vp = start.vps[0]
    if (vp === undefined) throw new Error('a partition has at least one virtual processor')
    const { name, program, args, placement } = settings
    const memory = GuestMemory.attach(start.memory)
    return this.#world.runAs(
      this.program,
      () =>
        new GuestRuntime(
          {
            name,
            partitionId: start.partitionId,
            memory,
            handles: vp.handles,
            program,
            args: structuredClone(args),
            placement,
          },
          this,
        ),
    )
  }

  createEngine(kernel: GuestKernel): GuestEngine {
    const { actor } = this
    this.#machine.kernel = kernel
    return {
      start: () => actor.ring(),
      wake: () => actor.ring(),
      until: (spec, run) => this.#until(spec, run),
      inspect: () => ({ polls: actor.polls, busyNs: actor.busyNs }),
    }
  }

  async loadProgram(url: string): Promise<GuestProgram> {
    return programOf(url, await import(this.#world.modules.fresh(url)))
  }

  async #until(spec: LoadSpec, run: WaitedRun): Promise<void> {
    const { actor } = this
    const spinNs = actor.spinNs
    const done = Promise.withResolvers<void>()
    run.changed = () => {
      if (run.isDone()) done.resolve()
    }
    const tick = (): void => {
      cancel = actor.post(TICK_NS, tick)
      run.tick()
    }
    let cancel = actor.post(TICK_NS, tick)
    actor.spinNs = spinNsOf(spec)
    actor.ring()
    if (!run.isDone()) await done.promise
    cancel()
    actor.spinNs = spinNs
  }
}

function spinNsOf(spec: LoadSpec): number {
  switch (spec.waiting) {
    case 'busy':
      return Infinity
    case 'block':
      return 0
    case 'adaptive':
    case 'event-loop':
      return spec.spinMicroseconds * NS_PER_US
  }
}
