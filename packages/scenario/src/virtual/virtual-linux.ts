// A Linux guest under the virtual engine: its processor is an actor whose turns are slices of guest code, each as long in virtual time as the
// instructions that it executed.

import type { EngineClock, Machine } from '@guestyard/engine'
import type { VirtualActor } from '@guestyard/engine/virtual'
import type { LinuxSettings, VmSettings } from '@guestyard/management'
import type { PartitionStart } from '@guestyard/root-partition/worker-protocol'
import type { InstructionClock, MachineGuest } from '@guestyard/x86-partition'
import type { LinuxGuest, MachineEngine, SavedLinux } from '@guestyard/x86-partition/node'

import type { ProgramContext, VirtualWorld } from './virtual-world.ts'

const NS_PER_US = 1_000
const NS_PER_MS = 1e6

/** The VP's machine, once there is one. Between two of its polls no guest code runs. */
class SlicedMachine implements Machine {
  readonly #burn: (ns: number) => void
  #machine: MachineGuest | null = null
  #clock: InstructionClock | null = null

  constructor(burn: (ns: number) => void) {
    this.#burn = burn
  }

  /** It stands still between two slices, and holds nobody up. */
  isPaused = false

  run(machine: MachineGuest, clock: InstructionClock): void {
    clock.count(() => machine.instructionCounter)
    this.#machine = machine
    this.#clock = clock
  }

  poll(budget: number): number {
    if (this.#machine === null || this.#clock === null || this.isPaused) return 0
    this.#clock.begin()
    const units = this.#machine.poll(budget)
    this.#burn(this.#clock.end())
    return units
  }

  arm(): boolean {
    return this.#machine !== null && !this.isPaused && this.#machine.arm()
  }

  disarm(): void {
    this.#machine?.disarm()
  }

  nextDeadlineMs(): number {
    return this.#machine === null || this.isPaused ? Infinity : this.#machine.nextDeadlineMs()
  }
}

export interface VirtualLinuxOptions {
  readonly settings: VmSettings
  readonly linux: LinuxSettings
  readonly start: PartitionStart
  readonly root: VirtualActor
  readonly onFailed: (error: unknown) => void
  /** It goes on from there instead of booting. */
  readonly saved: SavedLinux | null
}

export class VirtualLinux {
  readonly actor: VirtualActor
  readonly program: ProgramContext
  readonly #options: VirtualLinuxOptions
  readonly #world: VirtualWorld
  readonly #machine: SlicedMachine

  constructor(world: VirtualWorld, options: VirtualLinuxOptions) {
    const { settings, onFailed } = options
    this.#options = options
    this.#world = world
    this.#machine = new SlicedMachine((ns) => this.actor.burn(ns))
    // What is asked of the guest is served by its thread, which needs no grant for that.
    this.actor = world.engine.addActor({
      name: settings.name,
      kind: 'vp',
      machine: this.#machine,
      spinNs: settings.spinMicroseconds * NS_PER_US,
      onError: onFailed,
    })
    this.program = {
      actor: this.actor,
      random: world.newRandom(),
      failed: onFailed,
      exited: (code) => onFailed(new Error(`exit with code ${code}`)),
    }
  }

  /** Its processor stands still between two slices, or goes on. */
  set isPaused(isPaused: boolean) {
    this.#machine.isPaused = isPaused
    if (!isPaused) this.actor.ring()
  }

  /** Makes the guest, which boots. In its actor's turn. */
  async boot(): Promise<LinuxGuest> {
    const { settings, linux, start, root, saved } = this.#options
    const { actor } = this
    const world = this.#world
    const [vp] = start.vps
    if (vp === undefined) throw new Error('a partition has at least one virtual processor')
    const startedNs = world.clock.nowNs
    // Loaded when there is one: no other run pays for it.
    const [{ InstructionClock }, { LinuxGuest }] = await world.hold('the processor', modules())
    const clock = new InstructionClock(world.clock satisfies EngineClock)
    const bindings = { component: 'guest', vm: settings.name, partitionId: start.partitionId }
    return new LinuxGuest(
      {
        name: settings.name,
        linux,
        memoryBytes: settings.memoryBytes,
        memory: start.memory,
        handles: vp.handles,
        ide: null,
        ...(saved === null ? {} : { saved }),
      },
      {
        log: world.logger(bindings),
        clock,
        wakeRoot: root,
        nowMs: clock.tick,
        randomBytes: (count) => {
          const bytes = new Uint8Array(count)
          this.program.random.fillBytes(bytes)
          return bytes
        },
        sinceStartMs: () => (world.clock.nowNs - startedNs) / NS_PER_MS,
        cpuMicroseconds: () => actor.busyNs / NS_PER_US,
        createEngine: (machine) => this.#engine(machine, clock),
      },
    )
  }

  #engine(machine: MachineGuest, clock: InstructionClock): MachineEngine {
    const { actor } = this
    return {
      start: () => {
        this.#machine.run(machine, clock)
        actor.ring()
      },
      wake: () => actor.ring(),
      inspect: () => ({ polls: actor.polls, busyNs: actor.busyNs }),
    }
  }
}

function modules() {
  return Promise.all([import('@guestyard/x86-partition'), import('@guestyard/x86-partition/node')])
}
