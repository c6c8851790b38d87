// A machine for somebody else's kernel, with its hypervisor, in one thread: no root, no bus, no devices but the machine's own and those that
// its embedder makes. What a test kernel asks of the other side of its SynIC is asked of the embedder.

import { MonotonicClock } from '@guestyard/engine'
import { GuestMemory } from '@guestyard/guestmem'
import { HvStatus, SINT_COUNT, SyntheticMsr, portId } from '@guestyard/hvdef'
import type { ConnectionId, PartitionId, PortId } from '@guestyard/hvdef'
import {
  Hypervisor,
  ROOT_PARTITION_ID,
  VirtualProcessor,
  type Clock,
  type Partition,
} from '@guestyard/hypervisor'

import type { BootImage } from '../boot/boot-image.ts'
import type { SerialPort } from '../processor/processor.ts'
import { MachineGuest } from './machine-guest.ts'
import type { MachineLog } from './machine-log.ts'
import { MACHINE_PRIVILEGES, MACHINE_ROOMS } from './partition-needs.ts'
import type { MachineEnd } from './platform-ports.ts'
import { PortMap, type PortRange } from './port-map.ts'

export interface KernelHostOptions {
  /** From `multibootImage` or `linuxBootImage`, made for RAM of `ramBytes`. */
  readonly image: BootImage
  /** A multiple of RAM_GRANULE_BYTES, 1 MiB or more. */
  readonly ramBytes: number
  /** The processor package's module: see `readProcessorModule`. */
  readonly wasm: Uint8Array
  /** Served beside the machine's own; more can be added to `ports` later. */
  readonly ports?: readonly PortRange[]
  /** A byte that the kernel sent through COM1 (0) or COM2 (1). */
  readonly onSerialByte?: (port: SerialPort, byte: number) => void
  readonly log?: MachineLog
  /** False: CPUID shows no hypervisor, and synthetic MSRs are #GP. True when left out. */
  readonly hypervisorPresent?: boolean
  /** An i32 for RDRAND and RDSEED. */
  readonly random: () => number
}

/** A message that the kernel posted: `payload` is the handler's, 0 to 240 bytes. Called from `poll`. */
export type KernelMessageHandler = (type: number, payload: Uint8Array) => void

interface RootPort {
  readonly owner: PartitionId
  readonly portId: PortId
  readonly connectionPartition: PartitionId
}

const VP = 0
/** SINT registers (TLFS, "SINTx Registers"). */
const SINT_MASKED = 1 << 16
const SINT_AUTO_EOI = 1 << 17
const SCONTROL_ENABLED = 1
const UNITS_A_POLL = 64

/** One thread owns it, and is its VP's thread as well as its root's. */
export class KernelHost {
  readonly memory: GuestMemory
  readonly ports: PortMap
  readonly machine: MachineGuest
  readonly #hypervisor: Hypervisor
  readonly #partition: Partition
  readonly #vp: VirtualProcessor
  readonly #clock: Clock & { update(): number }
  #portCount = 0

  private constructor(
    parts: {
      readonly hypervisor: Hypervisor
      readonly partition: Partition
      readonly vp: VirtualProcessor
      readonly memory: GuestMemory
      readonly clock: Clock & { update(): number }
      readonly ports: PortMap
    },
    machine: MachineGuest,
  ) {
    this.memory = parts.memory
    this.ports = parts.ports
    this.machine = machine
    this.#hypervisor = parts.hypervisor
    this.#partition = parts.partition
    this.#vp = parts.vp
    this.#clock = parts.clock
  }

  /** Rejects with a RangeError for RAM or ports that can't be. */
  static async create(options: KernelHostOptions): Promise<KernelHost> {
    const clock = new MonotonicClock()
    const ports = new PortMap(options.ports ?? [])
    const memory = GuestMemory.create({ sizeBytes: options.ramBytes, rooms: MACHINE_ROOMS })
    const hypervisor = new Hypervisor({ clock, maxPartitions: 1 })
    // Both sides are polled in turn: nobody sleeps.
    const wake = { ring(): void {} }
    const created = hypervisor.createPartition({
      ...{ memory, vpCount: 1, wakeVp: [wake] },
      privileges: MACHINE_PRIVILEGES,
    })
    const handles = created.ok ? created.partition.handlesFor(VP) : undefined
    if (!created.ok || handles === undefined) {
      throw new RangeError(`no partition can have ${options.ramBytes} bytes of RAM`)
    }
    const { partition } = created
    partition.vps[VP]?.dispatch.grant(0, false)
    const vp = new VirtualProcessor(handles, { memory, wakeRoot: wake, clock })
    const { log, hypervisorPresent = true } = options
    const machine = await MachineGuest.create({
      ...{ vp, memory, clock, ports, hypervisorPresent },
      image: options.image,
      wasm: options.wasm,
      nowMs: () => clock.update(),
      random: options.random,
      onSerialByte: options.onSerialByte ?? (() => {}),
      onEnd: () => {},
      ...(log === undefined ? {} : { log }),
    })
    return new KernelHost({ hypervisor, partition, vp, memory, clock, ports }, machine)
  }

  /** Why the kernel runs no more, a code that it wrote to DEBUG_EXIT_PORT among it; null while it does. */
  get end(): MachineEnd | null {
    return this.machine.end
  }

  /** What the kernel sent since the last call reaches its handlers, and it runs for about a millisecond. 0 when there was nothing to do. */
  poll(): number {
    const taken = this.#hypervisor.poll(UNITS_A_POLL)
    this.#clock.update()
    return taken + this.machine.poll(1)
  }

  /** Polls until the kernel ends, for `patienceMs` at most: how it ended, or null. Keeps its thread all the time. */
  run(patienceMs: number): MachineEnd | null {
    const untilMs = this.#clock.update() + patienceMs
    while (this.end === null && this.#clock.nowMs < untilMs) this.poll()
    return this.end
  }

  /**
   * What the kernel posts to `connection` (HvCallPostMessage) goes to `handler`. INVALID_CONNECTION_ID (in use, or not 24 bits), NO_RESOURCES
   * (as many as there may be).
   */
  onMessage(connection: ConnectionId, handler: KernelMessageHandler): HvStatus {
    const target = {
      canReceive: () => true,
      receiveMessage: (type: number, payload: Uint8Array, length: number): void =>
        handler(type, payload.slice(0, length)),
    }
    const port = this.#nextPort()
    return this.#connect(connection, port, this.#hypervisor.createMessagePort({ ...port, target }))
  }

  /**
   * What the kernel signals at `connection` (HvCallSignalEvent), which has flags 0 to `flagCount - 1`, goes to `handler`. Statuses as onMessage;
   * INVALID_PARAMETER for a count that is not 1 to 2048.
   */
  onSignal(connection: ConnectionId, flagCount: number, handler: (flag: number) => void): HvStatus {
    const port = this.#nextPort()
    const target = { receiveSignal: handler }
    const created = this.#hypervisor.createEventPort({ ...port, flagCount, target })
    return this.#connect(connection, port, created)
  }

  /** A message for a SINT. Statuses as Partition.postMessageToVp. */
  postMessage(sint: number, type: number, payload: Uint8Array): HvStatus {
    const { id } = this.#partition
    return this.#hypervisor.postMessageToVp(id, VP, sint, type, payload, payload.length)
  }

  /** Sets an event flag (0 to 2047) of a SINT, and interrupts if it was clear. Statuses as Partition.signalEventToVp. */
  signalEvent(sint: number, flag: number): HvStatus {
    return this.#partition.signalEventToVp(VP, sint, flag)
  }

  /**
   * Requests the vector of a SINT, by edge, with neither message nor flag. INVALID_PARAMETER (no SINT, or its vector is below 16),
   * INVALID_SYNIC_STATE (it is masked, or the controller is off).
   */
  assertSint(sint: number): HvStatus {
    if (!(sint >= 0 && sint < SINT_COUNT)) return HvStatus.INVALID_PARAMETER
    const control = this.#register(SyntheticMsr.SCONTROL)
    const register = this.#register(SyntheticMsr.SINT0 + sint)
    if ((control & SCONTROL_ENABLED) === 0 || (register & SINT_MASKED) !== 0) {
      return HvStatus.INVALID_SYNIC_STATE
    }
    const vp = this.#partition.vps[VP]
    const autoEoi = (register & SINT_AUTO_EOI) !== 0
    return vp?.requestInterrupt(register & 0xff, autoEoi) ?? HvStatus.INVALID_VP_INDEX
  }

  #register(msr: number): number {
    return this.#vp.readMsr(msr, this.#vp.msr) ? this.#vp.msr.low : 0
  }

  #nextPort(): RootPort {
    this.#portCount += 1
    return {
      owner: ROOT_PARTITION_ID,
      portId: portId(this.#portCount),
      connectionPartition: this.#partition.id,
    }
  }

  #connect(connection: ConnectionId, port: RootPort, created: HvStatus): HvStatus {
    if (created !== HvStatus.SUCCESS) return created
    const connected = this.#hypervisor.connectPort(this.#partition.id, connection, port.portId)
    if (connected !== HvStatus.SUCCESS) this.#hypervisor.deletePort(port.owner, port.portId)
    return connected
  }
}
