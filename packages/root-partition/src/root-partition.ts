// The root partition as one polled machine: the hypervisor's authority, and for every partition its routes, its bus and its
// devices. It never waits; the worker's engine does.

import { GuestMemory, Iommu } from '@guestyard/guestmem'
import { HvStatus, PAGE_SIZE, hvStatusName, partitionId } from '@guestyard/hvdef'
import { Hypervisor, type Clock, type Partition, type Wake } from '@guestyard/hypervisor'
import { RelayHub, type MayJoin } from '@guestyard/load-device/vsp'
import type { Trace } from '@guestyard/trace'
import { VmbusServer, type VmbusServerEvent } from '@guestyard/vmbus/server'

import { BusRota } from './bus-rota.ts'
import { DeviceInterruptCalls, InterruptRouter, PortIds } from './interrupts/index.ts'
import { offerDevices, type PartitionDevices } from './providers.ts'
import {
  CPU_PROPERTIES_DEFAULT,
  Scheduler,
  type CpuProperties,
  type OverdueVp,
  type SchedulerInspection,
  type SchedulerSettings,
} from './scheduler/index.ts'
import { tracedGrant } from './traced-grant.ts'
import type {
  AddMemoryResult,
  CreatePartitionResult,
  PartitionInspection,
  PartitionSpec,
  VpStart,
} from './worker-protocol.ts'

/** The two doorbells of one VP: made by whoever knows how threads wait. */
export interface VpDoorbells {
  /** Rung by the root. */
  readonly vp: Wake
  /** Buffers for the VP's thread: its own doorbell, and the root's doorbell for this VP. */
  readonly vpBuffer: SharedArrayBuffer
  readonly rootBuffer: SharedArrayBuffer
}

export interface RootPartitionOptions {
  readonly clock: Clock
  /** Start of that clock, for the guests' threads. */
  readonly clockOriginMs: number
  readonly logicalProcessors: number
  /** Who runs where; the `root` policy when left out. */
  readonly scheduler?: SchedulerSettings
  /** Told of a VP that does not stop when told to; cold path. */
  readonly onOverdue?: (overdue: OverdueVp) => void
  /** Makes a VP's doorbells, and has the engine wait on the root's. */
  readonly openDoorbells: () => VpDoorbells
  readonly closeDoorbells: (doorbells: VpDoorbells) => void
  /** Told of bus events by partition; cold path. */
  readonly onBusEvent: (partitionId: number, event: VmbusServerEvent) => void
  /** Which partition may be an end of which relay stream; a partition's key is its id. Default: every one of every one. */
  readonly mayJoin?: MayJoin
  /** Told when a partition is gone. */
  readonly onDeleted?: (partitionId: number) => void
  readonly trace?: Trace | null
}

/**
 * Messages and signals that a poll takes before the VPs not looked at wait for the next one. Fewer than a poll's units of
 * data, since a message may open a channel, whose memory has to be made: some hundred microseconds.
 */
const MESSAGES_PER_POLL = 32

interface Guest {
  readonly name: string
  readonly partition: Partition
  readonly memory: GuestMemory
  readonly router: InterruptRouter
  readonly bus: VmbusServer
  readonly devices: PartitionDevices
  readonly doorbells: readonly VpDoorbells[]
}

/** Root thread only. */
export class RootPartition {
  readonly #options: RootPartitionOptions
  readonly #hypervisor: Hypervisor
  readonly #deviceCalls: DeviceInterruptCalls
  readonly #scheduler: Scheduler
  readonly #hub: RelayHub
  readonly #portIds: PortIds
  readonly #guests: Map<number, Guest>
  readonly #buses: BusRota

  constructor(options: RootPartitionOptions) {
    this.#options = options
    this.#deviceCalls = new DeviceInterruptCalls()
    this.#hypervisor = new Hypervisor({ clock: options.clock, devices: this.#deviceCalls })
    this.#scheduler = new Scheduler({
      policy: 'root',
      ...options.scheduler,
      logicalProcessors: options.logicalProcessors,
      onOverdue: (overdue) => options.onOverdue?.(overdue),
    })
    this.#hub = new RelayHub(options.mayJoin === undefined ? {} : { mayJoin: options.mayJoin })
    this.#portIds = new PortIds()
    this.#guests = new Map()
    this.#buses = new BusRota()
  }

  /** RAM, VPs, routes, a bus with its devices, and a grant for each VP. */
  createPartition(spec: PartitionSpec): CreatePartitionResult {
    const cpu = cpuPropertiesOf(spec)
    if (!this.#scheduler.admits(spec.vpCount, cpu)) {
      return refused(
        HvStatus.NO_RESOURCES,
        `weight ${cpu.weight}, cap ${cpu.cap}, reserve ${cpu.reserve}`,
      )
    }
    const memory = allocate(spec)
    if (memory === null) {
      return refused(HvStatus.INSUFFICIENT_MEMORY, `${spec.memoryBytes} bytes of RAM`)
    }
    const doorbells = Array.from({ length: spec.vpCount }, () => this.#options.openDoorbells())
    let guest: Guest | null = null
    const created = this.#hypervisor.createPartition({
      memory,
      vpCount: spec.vpCount,
      wakeVp: doorbells.map((pair) => pair.vp),
      vpDoorbells: doorbells.map((pair) => pair.vpBuffer),
      listener: {
        queueSpace: () => void guest?.bus.poll(0),
        interruptEnded: (vp, vector) => guest?.router.ended(vp, vector),
        dispatchChanged: (vp) => this.#dispatchChanged(guest, vp),
        admitsCpu: (properties) => this.#admitsCpu(guest, properties),
      },
    })
    if (!created.ok) {
      for (const pair of doorbells) this.#options.closeDoorbells(pair)
      return refused(created.status, `partition "${spec.name}"`)
    }
    created.partition.trace = this.#options.trace ?? null
    guest = this.#assemble(spec, created.partition, memory, doorbells)
    this.#guests.set(created.partition.id, guest)
    this.#buses.add(guest.bus)
    this.#deviceCalls.add(created.partition.id, guest.router.remapping)
    this.#schedule(spec, cpu, created.partition)
    return {
      ok: true,
      start: {
        partitionId: created.partition.id,
        clockOriginMs: this.#options.clockOriginMs,
        memory: memory.memory,
        vps: doorbells.map((pair, vp) => this.#vpStart(created.partition, vp, pair)),
      },
    }
  }

  /** Devices stop, ports go, RAM is forgotten. Unknown ids are ignored. */
  deletePartition(id: number): void {
    const guest = this.#guests.get(id)
    if (guest === undefined) return
    this.#guests.delete(id)
    this.#buses.remove(guest.bus)
    for (let vp = 0; vp < guest.doorbells.length; vp += 1) {
      this.#scheduler.remove(id, vp, this.#options.clock.now100ns)
    }
    guest.bus.reset()
    guest.router.dispose()
    this.#deviceCalls.remove(id)
    this.#hypervisor.deletePartition(guest.partition.id)
    for (const pair of guest.doorbells) this.#options.closeDoorbells(pair)
    this.#options.onDeleted?.(id)
  }

  /** More RAM for a running partition, after what it has: its guest has yet to be told. */
  addMemory(id: number, bytes: number): AddMemoryResult {
    const guest = this.#guests.get(id)
    if (guest === undefined) {
      return { ok: false, status: HvStatus.INVALID_PARTITION_ID, reason: `no partition ${id}` }
    }
    const status = this.#hypervisor.addRam(partitionId(id), bytes / PAGE_SIZE)
    if (status === HvStatus.SUCCESS) return { ok: true, memoryBytes: guest.memory.sizeBytes }
    const reason = `${hvStatusName(status)} for ${bytes} bytes more of RAM`
    return { ok: false, status, reason }
  }

  devicesOf(id: number): PartitionDevices | undefined {
    return this.#guests.get(id)?.devices
  }

  ping(id: number): void {
    if (this.#guests.has(id)) this.#hypervisor.ping(partitionId(id), 0)
  }

  answered(id: number): boolean {
    return this.#guests.has(id) && this.#hypervisor.answered(partitionId(id), 0)
  }

  /** Units done: some of the VPs' messages and signals, and about `budget` for the buses, however many there are. */
  poll(budget: number): number {
    const done = this.#hypervisor.poll(budget < MESSAGES_PER_POLL ? budget : MESSAGES_PER_POLL)
    const dispatched = this.#scheduler.poll(this.#options.clock.now100ns)
    return done + dispatched + this.#buses.poll(budget)
  }

  arm(): boolean {
    const hasWork = this.#buses.arm()
    return this.#hypervisor.arm() || this.#scheduler.hasWork || hasWork
  }

  disarm(): void {
    this.#buses.disarm()
    this.#hypervisor.disarm()
  }

  /** When the root must be polled though nobody rings. */
  nextDeadlineMs(): number {
    return Math.min(this.#hypervisor.nextDeadlineMs(), this.#scheduler.nextDeadlineMs)
  }

  inspect(): {
    readonly partitions: readonly PartitionInspection[]
    readonly hypervisor: unknown
    readonly scheduler: SchedulerInspection
  } {
    return {
      partitions: [...this.#guests.values()].map(inspectGuest),
      hypervisor: this.#hypervisor.inspect(),
      scheduler: this.#inspectScheduler(),
    }
  }

  /** With what the VPs say they counted. */
  #inspectScheduler(): SchedulerInspection {
    const seen = this.#scheduler.inspect(this.#options.clock.now100ns)
    const vps = seen.vps.map((vp) => {
      const partition = this.#guests.get(vp.partitionId)?.partition
      return { ...vp, counters: partition?.vps[vp.vpIndex]?.counters() ?? null }
    })
    return { ...seen, vps }
  }

  #assemble(
    spec: PartitionSpec,
    partition: Partition,
    memory: GuestMemory,
    doorbells: readonly VpDoorbells[],
  ): Guest {
    // Router and bus need each other: routes lead to the bus, the bus raises interrupts by the routes.
    const inbox = { bus: null as VmbusServer | null }
    const router = new InterruptRouter(this.#hypervisor, partition, this.#portIds, {
      get acceptsMessages() {
        return inbox.bus!.acceptsMessages
      },
      receiveMessage: (payload, length) => inbox.bus!.receiveMessage(payload, length),
      receiveSignal: (relid) => inbox.bus!.receiveSignal(relid),
    })
    const bus = new VmbusServer({
      transport: {
        iommu: new Iommu(memory, partition.slat),
        vpCount: spec.vpCount,
        postMessage: (vp, payload, length) => router.post(vp, payload, length),
        openInterrupt: (relid, vp) => router.openInterrupt(relid, vp),
        connectChannel: (relid) => router.connectChannel(relid),
        disconnectChannel: (relid) => router.disconnectChannel(relid),
      },
      onEvent: (event) => this.#options.onBusEvent(partition.id, event),
      trace: this.#options.trace ?? null,
    })
    inbox.bus = bus
    const devices = offerDevices(bus, this.#hub, partition.id)
    return { name: spec.name, partition, memory, router, bus, devices, doorbells }
  }

  #schedule(spec: PartitionSpec, cpu: CpuProperties, partition: Partition): void {
    const { properties } = partition
    properties.cpuWeight = cpu.weight
    properties.cpuCap = cpu.cap
    properties.cpuReserve = cpu.reserve
    const now = this.#options.clock.now100ns
    for (let vp = 0; vp < spec.vpCount; vp += 1) {
      const { dispatch } = partition.vps[vp]!
      const { trace = null } = this.#options
      const grant = trace === null ? dispatch : tracedGrant(trace, partition.id, vp, dispatch)
      this.#scheduler.add(partition.id, vp, cpu, grant, now)
    }
  }

  #dispatchChanged(guest: Guest | null, vp: number): void {
    if (guest === null) return
    this.#scheduler.stateChanged(guest.partition.id, vp, this.#options.clock.now100ns)
  }

  /** The partition's weight, cap or reserve is to be another. From a call; the scheduler has the last word. */
  #admitsCpu(guest: Guest | null, properties: CpuProperties): HvStatus {
    if (guest === null) return HvStatus.SUCCESS
    const { now100ns } = this.#options.clock
    // The property's range has 0, with which a VP would never run: the least there is stands for it.
    const cpu = { ...properties, cap: Math.max(1, properties.cap) }
    return this.#scheduler.setProperties(guest.partition.id, cpu, now100ns)
  }

  #vpStart(partition: Partition, vp: number, pair: VpDoorbells): VpStart {
    const handles = partition.handlesFor(vp)
    if (handles === undefined) throw new Error('a partition has handles for each of its VPs')
    return { handles, doorbell: pair.vpBuffer, rootDoorbell: pair.rootBuffer }
  }
}

function cpuPropertiesOf(spec: PartitionSpec): CpuProperties {
  const { cap, reserve } = CPU_PROPERTIES_DEFAULT
  return { weight: spec.weight, cap: spec.cap ?? cap, reserve: spec.reserve ?? reserve }
}

/** RAM, or null when the platform cannot reserve it. */
function allocate(spec: PartitionSpec): GuestMemory | null {
  const { memoryBytes: sizeBytes, memoryMaximumBytes: maximumBytes = sizeBytes } = spec
  try {
    return GuestMemory.create({ sizeBytes, maximumBytes })
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

function refused(status: HvStatus, what: string): CreatePartitionResult {
  return { ok: false, status, reason: `${what}: ${hvStatusName(status)}` }
}

function inspectGuest(guest: Guest): PartitionInspection {
  return {
    partitionId: guest.partition.id,
    name: guest.name,
    memoryBytes: guest.memory.sizeBytes,
    vmbus: guest.bus.inspect(),
    interrupts: guest.router.inspect(),
    devices: {
      keyboard: guest.devices.keyboard.inspect(),
      mouse: guest.devices.mouse.inspect(),
      load: guest.devices.load.inspect(),
    },
  }
}
