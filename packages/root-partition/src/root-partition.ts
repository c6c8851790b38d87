// The root partition as one polled machine: the hypervisor's authority, and for every partition its routes, its bus and its
// devices. It never waits; the worker's engine does.

import { Iommu } from '@guestyard/guestmem'
import {
  HvPartitionProperty,
  HvStatus,
  PAGE_SIZE,
  hvStatusName,
  partitionId,
} from '@guestyard/hvdef'
import {
  Hypervisor,
  type HypervisorInspection,
  type PartitionListener,
} from '@guestyard/hypervisor'
import type {
  ShutdownOutcome,
  ShutdownRequest,
  TimeSyncOptions,
} from '@guestyard/integration-services/vsp'
import { VmbusServer } from '@guestyard/vmbus/server'
import type { Unsaved } from '@guestyard/vmbus/server'

import { BusRota } from './bus-rota.ts'
import { inspectCrash, type CrashInspection } from './crash-inspection.ts'
import type { DiskSpec } from './disks/disk-spec.ts'
import { RootDisks } from './disks/root-disks.ts'
import type { PartitionDisks } from './disks/partition-disks.ts'
import {
  inspectGuest,
  type Guest,
  type GuestInbox,
  type LateGuest,
  type LeavingGuest,
} from './guest.ts'
import type { NicSpec } from './networks/nic-spec.ts'
import { RootNetworks, type NamedSwitchInspection } from './networks/root-networks.ts'
import { DeviceInterruptCalls, InterruptRouter, PortIds } from './interrupts/index.ts'
import { offerDevices, type PartitionDevices } from './providers.ts'
import { RelayGroups } from './relay-groups.ts'
import {
  CPU_PROPERTIES_DEFAULT,
  Scheduler,
  type CpuProperties,
  type SchedulerInspection,
} from './scheduler/index.ts'
import type { RootPartitionOptions, VpDoorbells } from './root-partition-options.ts'
import { restorePartition, savePartition } from './saved-partition.ts'
import type { SavedPartition } from './saved-partition.ts'
import { ServiceDeadlines } from './service-deadlines.ts'
import { tracedGrant } from './traced-grant.ts'
import { InterceptQueue, Vid, type VidPartition } from './vid/index.ts'
import { WinHv } from './winhv/index.ts'
import type {
  AddMemoryResult,
  CreatePartitionResult,
  PartitionInspection,
  PartitionSpec,
} from './worker-protocol.ts'

/** Memory of a machine whose options say nothing of it: 64 GiB, of which only what partitions touch is ever real. */
const HOST_MEMORY_BYTES_DEFAULT: number = 64 * 2 ** 30

/**
 * Units of messages and signals that a poll takes before the VPs not looked at wait for the next one: some hundred
 * microseconds. Opening a channel takes several (`OPEN_UNITS` of the bus), most of a poll's when its memory has to be made.
 */
const MESSAGES_PER_POLL = 32

/** Root thread only. */
export class RootPartition {
  readonly #options: RootPartitionOptions
  readonly #hypervisor: Hypervisor
  readonly #deviceCalls: DeviceInterruptCalls
  readonly #winhv: WinHv
  readonly #vid: Vid
  readonly #scheduler: Scheduler
  readonly #relays: RelayGroups
  readonly #portIds: PortIds
  readonly #guests: Map<number, Guest>
  readonly #buses: BusRota
  readonly #deadlines: ServiceDeadlines
  readonly #disks: RootDisks
  readonly #networks: RootNetworks
  readonly #leaving: LeavingGuest[] = []
  /** Partitions that are being saved. */
  readonly #held: Set<number> = new Set()
  #refusedGone: Promise<void> = Promise.resolve()

  constructor(options: RootPartitionOptions) {
    this.#options = options
    this.#deviceCalls = new DeviceInterruptCalls()
    this.#hypervisor = new Hypervisor({
      clock: options.clock,
      devices: this.#deviceCalls,
      hostPages: Math.floor((options.hostMemoryBytes ?? HOST_MEMORY_BYTES_DEFAULT) / PAGE_SIZE),
    })
    this.#hypervisor.root.trace = options.trace ?? null
    this.#winhv = new WinHv(this.#hypervisor)
    this.#vid = new Vid(this.#hypervisor, this.#winhv)
    this.#scheduler = new Scheduler({
      policy: 'root',
      ...options.scheduler,
      logicalProcessors: options.logicalProcessors,
      onOverdue: (overdue) => options.onOverdue?.(overdue),
    })
    this.#relays = new RelayGroups(options.mayJoin)
    this.#portIds = new PortIds()
    this.#guests = new Map()
    this.#buses = new BusRota()
    this.#deadlines = new ServiceDeadlines()
    this.#disks = new RootDisks({
      open: options.openDisk ?? null,
      onWork: () => options.onOutsideWork?.(),
      onLost: (image) => options.onDiskLost?.(image),
    })
    this.#networks = new RootNetworks({
      clock: options.clock,
      hashSeed: options.switchSeed ?? 0,
      openUplink: options.openUplink ?? null,
      openCapture: options.openCapture ?? null,
      onWork: () => options.onOutsideWork?.(),
      unixUs: () => (options.unixMs?.() ?? options.clock.nowMs) * 1_000,
      traceId: () => options.trace?.cause ?? 0,
    })
  }

  /** RAM, VPs, routes, a bus with its devices, and a grant for each VP: by hypercall, from the first to the last. */
  createPartition(spec: PartitionSpec): CreatePartitionResult {
    const cpu = cpuPropertiesOf(spec)
    if (!this.#scheduler.admits(spec.vpCount, cpu)) {
      return refused(
        HvStatus.NO_RESOURCES,
        `weight ${cpu.weight}, cap ${cpu.cap}, reserve ${cpu.reserve}`,
      )
    }
    const doorbells: VpDoorbells[] = []
    const late: LateGuest = { guest: null }
    const created = this.#vid.create({
      memoryBytes: spec.memoryBytes,
      ...(spec.memoryMaximumBytes === undefined
        ? {}
        : { memoryMaximumBytes: spec.memoryMaximumBytes }),
      ...(spec.rooms === undefined ? {} : { rooms: spec.rooms }),
      vpCount: spec.vpCount,
      properties: [
        [HvPartitionProperty.CPU_WEIGHT, cpu.weight],
        [HvPartitionProperty.CPU_CAP, cpu.cap],
        [HvPartitionProperty.CPU_RESERVE, cpu.reserve],
        ...privilegesOf(spec),
      ],
      openDoorbell: (vp) => {
        const pair = this.#options.openDoorbells()
        doorbells[vp] = pair
        return { wake: pair.vp, buffer: pair.vpBuffer }
      },
      closeDoorbell: (vp) => this.#options.closeDoorbells(doorbells[vp]!),
      listener: this.#listenerOf(late),
    })
    if (!created.ok) {
      const reason = `partition "${spec.name}" refused: ${created.reason}`
      return { ok: false, status: created.status, reason }
    }
    const { partition } = created
    this.#hypervisor.partitions.get(partition.id)!.trace = this.#options.trace ?? null
    const guest = this.#assemble(spec, partition)
    late.guest = guest
    this.#guests.set(partition.id, guest)
    this.#buses.add(guest.bus)
    this.#deadlines.add(guest.devices.integration)
    this.#deviceCalls.add(partition.id, guest.router.remapping)
    this.#schedule(partition, cpu)
    const problem = this.#attachAll(guest, spec.disks ?? [], spec.nics ?? [])
    if (problem !== null) {
      this.#refusedGone = this.deletePartition(partition.id)
      const reason = `partition "${spec.name}" refused: ${problem}`
      return { ok: false, status: HvStatus.OPERATION_FAILED, reason }
    }
    this.#vid.start(partition)
    return {
      ok: true,
      start: {
        partitionId: partition.id,
        clockOriginMs: this.#options.clockOriginMs,
        memory: partition.memory.memory,
        vps: doorbells.map((pair, vp) => ({
          handles: partition.handlesFor(vp),
          doorbell: pair.vpBuffer,
          rootDoorbell: pair.rootBuffer,
        })),
      },
    }
  }

  /**
   * Devices stop, ports go, RAM is forgotten. Unknown ids are ignored. Resolves when that is done and its images are flushed and free
   * for others: at once, or in later polls when a device can't stop what it does with the guest's memory.
   */
  deletePartition(id: number): Promise<void> {
    const guest = this.#guests.get(id)
    if (guest === undefined) return Promise.resolve()
    this.#guests.delete(id)
    this.#held.delete(id)
    this.#buses.remove(guest.bus)
    this.#deadlines.remove(guest.devices.integration)
    for (let vp = 0; vp < guest.partition.vpCount; vp += 1) {
      this.#scheduler.remove(id, vp, this.#options.clock.now100ns)
    }
    guest.inbox.isOver = true
    guest.bus.reset()
    this.#networks.remove(guest.nics)
    const closed = this.#disks.remove(guest.disks)
    this.#relays.leave(guest.hub)
    const leaving = { guest, gone: Promise.withResolvers<void>() }
    if (guest.bus.devicesInUse === 0) this.#dismantle(leaving)
    else this.#leaving.push(leaving)
    return Promise.all([closed, leaving.gone.promise]).then(() => {})
  }

  /** Resolves when the images are free that were opened for the partition that was refused last. */
  get refusedGone(): Promise<void> {
    return this.#refusedGone
  }

  /** What its guest reported last by its crash registers; null: nothing, or no such partition. */
  crashOf(id: number): CrashInspection | null {
    const report = this.#guests.get(id)?.crash ?? null
    return report === null ? null : inspectCrash(report)
  }

  /** What the root has of a partition whose VPs stand still, or why there is no record: see saved-partition.ts. Changes nothing. */
  save(id: number): SavedPartition | Unsaved {
    const guest = this.#guests.get(id)
    const partition = this.#hypervisor.partitions.get(id)
    if (guest === undefined || partition === undefined) {
      return { unsaved: 'there is no such partition', mayChange: false }
    }
    return savePartition(guest, Math.floor(partition.referenceTime), partition.hasWork)
  }

  /** As `save`; with a record, its devices are not polled until `release`. */
  hold(id: number): SavedPartition | Unsaved {
    const saved = this.save(id)
    const guest = this.#guests.get(id)
    if (!('unsaved' in saved) && guest !== undefined) {
      this.#buses.remove(guest.bus)
      this.#deadlines.remove(guest.devices.integration)
      this.#held.add(id)
    }
    return saved
  }

  /** A partition that is held goes on. */
  release(id: number): void {
    const guest = this.#guests.get(id)
    if (!this.#held.delete(id) || guest === undefined) return
    this.#buses.add(guest.bus)
    this.#deadlines.add(guest.devices.integration)
  }

  /** A partition that was just created, over RAM as it was saved, goes on from there. Null, or why it can't: delete it then. */
  restore(id: number, saved: SavedPartition): string | null {
    const guest = this.#guests.get(id)
    if (guest === undefined) return 'there is no such partition'
    return restorePartition({ id, bus: guest.bus, winhv: this.#winhv }, saved)
  }

  /** Its VPs are as they were saved, and take what was meant for them meanwhile. Unknown ids are ignored. */
  restored(id: number): void {
    this.#guests.get(id)?.bus.signalAll()
  }

  /** The intercepts of a partition, for whoever emulates its devices. */
  interceptsOf(id: number): InterceptQueue | undefined {
    return this.#guests.get(id)?.intercepts
  }

  /** The interrupt line of an emulated device. Ids that are unknown, and lines that there are not, are ignored. */
  setLine(id: number, line: number, asserted: boolean): void {
    this.#guests.get(id)?.router.isaLines.set(line, asserted)
  }

  /** More RAM for a running partition, after what it has: its guest has yet to be told. */
  addMemory(id: number, bytes: number): AddMemoryResult {
    const guest = this.#guests.get(id)
    if (guest === undefined) {
      return { ok: false, status: HvStatus.INVALID_PARTITION_ID, reason: `no partition ${id}` }
    }
    const refusal = this.#vid.addMemory(guest.partition, bytes)
    return refusal ?? { ok: true, memoryBytes: guest.partition.memoryBytes }
  }

  /** Asks the guest to shut down. `done` is called once: see ShutdownVsp.request. */
  shutDown(id: number, request: ShutdownRequest, done: (outcome: ShutdownOutcome) => void): void {
    const guest = this.#guests.get(id)
    if (guest === undefined) done('unavailable')
    else guest.devices.integration.shutdown.request(request, done)
  }

  devicesOf(id: number): PartitionDevices | undefined {
    return this.#guests.get(id)?.devices
  }

  /** Pulls the cable of a partition's adapter, or plugs it in. False when there is no such adapter. */
  setNicLink(id: number, nic: number, isUp: boolean): boolean {
    return this.#guests.get(id)?.nics.setLink(nic, isUp) ?? false
  }

  /** Changes the speed of an adapter's link, in Mbit/s. Why it can't, in one line; null when it is so. */
  setNicLinkSpeed(id: number, nic: number, mbps: number): string | null {
    const guest = this.#guests.get(id)
    return guest === undefined ? 'no such partition' : guest.nics.setLinkSpeed(nic, mbps)
  }

  /** The disks of a partition that may be running: they come, go and grow, and discs change. */
  disksOf(id: number): PartitionDisks | undefined {
    return this.#guests.get(id)?.disks
  }

  ping(id: number): void {
    if (this.#guests.has(id)) this.#hypervisor.pingAll(partitionId(id))
  }

  /**
   * Every VP answered the latest `ping`, and none keeps a processor that it was told to leave more than `limitMs` ago: what a VP
   * answers is its guest's word, what it keeps others wait for.
   */
  answered(id: number, limitMs: number): boolean {
    if (!this.#guests.has(id) || this.#hypervisor.isSilent(partitionId(id))) return false
    return this.#scheduler.overdueMs(id, this.#options.clock.now100ns) <= limitMs
  }

  /** Its switches. */
  get networks(): RootNetworks {
    return this.#networks
  }

  /** Units done: some of the VPs' messages and signals, and about `budget` for the buses, however many there are. */
  poll(budget: number): number {
    const done = this.#hypervisor.poll(budget < MESSAGES_PER_POLL ? budget : MESSAGES_PER_POLL)
    const dispatched = this.#scheduler.poll(this.#options.clock.now100ns)
    const served = this.#deadlines.poll(this.#options.clock.nowMs)
    const closed = this.#disks.poll(this.#options.clock.nowMs)
    this.#networks.poll(this.#options.clock.nowMs)
    const gone = this.#leaving.length === 0 ? 0 : this.#pollLeaving()
    return done + dispatched + served + closed + gone + this.#buses.poll(budget)
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
    return Math.min(
      this.#hypervisor.nextDeadlineMs(),
      this.#scheduler.nextDeadlineMs,
      this.#deadlines.nextDeadlineMs,
      this.#disks.nextDeadlineMs(),
      this.#networks.nextDeadlineMs(),
    )
  }

  /** Of these deadlines the nearest of those that come again and again whatever happens: heartbeats and samples of the time. */
  nextChoreMs(): number {
    return this.#deadlines.nextDeadlineMs
  }

  inspect(): {
    readonly partitions: readonly PartitionInspection[]
    readonly hypervisor: HypervisorInspection
    readonly scheduler: SchedulerInspection
    readonly switches: readonly NamedSwitchInspection[]
  } {
    return {
      partitions: [...this.#guests.values()].map(inspectGuest),
      hypervisor: this.#hypervisor.inspect(),
      scheduler: this.#inspectScheduler(),
      switches: this.#networks.inspect(),
    }
  }

  /** With what the VPs say they counted. */
  #inspectScheduler(): SchedulerInspection {
    const seen = this.#scheduler.inspect(this.#options.clock.now100ns)
    const vps = seen.vps.map((vp) => {
      const partition = this.#hypervisor.partitions.get(vp.partitionId)
      return { ...vp, counters: partition?.vps[vp.vpIndex]?.counters() ?? null }
    })
    return { ...seen, vps }
  }

  /** Why one of them can't be attached, or null. */
  #attachAll(guest: Guest, disks: readonly DiskSpec[], nics: readonly NicSpec[]): string | null {
    try {
      for (const disk of disks) {
        const problem = guest.disks.attach(disk)
        if (problem !== null) return problem
      }
      for (const nic of nics) {
        const problem = guest.nics.attach(nic)
        if (problem !== null) return problem
      }
      return null
    } catch (error) {
      // A bug of ours: the partition does not outlive it.
      void this.deletePartition(guest.partition.id)
      throw error
    }
  }

  /** Partitions whose devices have let go of their memory. */
  #pollLeaving(): number {
    const free = this.#leaving.filter(({ guest }) => guest.bus.devicesInUse === 0)
    for (const leaving of free) {
      this.#leaving.splice(this.#leaving.indexOf(leaving), 1)
      this.#dismantle(leaving)
    }
    return free.length
  }

  /** No device touches the guest's memory any more: it goes, and with it the rest. */
  #dismantle({ guest, gone }: LeavingGuest): void {
    const { id } = guest.partition
    guest.router.dispose()
    this.#deviceCalls.remove(id)
    this.#vid.delete(id)
    this.#options.onDeleted?.(id)
    gone.resolve()
  }

  #assemble(spec: PartitionSpec, partition: VidPartition): Guest {
    // Router and bus need each other: routes lead to the bus, the bus raises interrupts by the routes.
    const inbox: GuestInbox = { bus: null, isOver: false }
    const router = new InterruptRouter(this.#winhv, partition, this.#portIds, {
      get acceptsMessages() {
        return inbox.bus!.acceptsMessages
      },
      receiveMessage: (payload, length) => {
        return inbox.isOver || inbox.bus!.receiveMessage(payload, length)
      },
      get messageUnits() {
        return inbox.bus!.messageUnits
      },
      receiveSignal: (relid) => inbox.bus!.receiveSignal(relid),
    })
    const { trace = null } = this.#options
    const bus = new VmbusServer({
      transport: {
        iommu: new Iommu(partition.memory, partition.slat),
        hasVp: (vp) => partition.hasVp(vp),
        postMessage: (vp, payload, length) => router.post(vp, payload, length),
        openInterrupt: (relid, vp) => router.openInterrupt(relid, vp),
        connectChannel: (relid) => router.connectChannel(relid),
        disconnectChannel: (relid) => router.disconnectChannel(relid),
      },
      onEvent: (event) => this.#options.onBusEvent(partition.id, event),
      trace: trace === null ? null : { trace, partition: partition.id },
    })
    inbox.bus = bus
    const hub = this.#relays.join(spec.relay)
    const devices = offerDevices(bus, {
      hub,
      partitionId: partition.id,
      time: this.#timeOf(partition.id),
    })
    const intercepts = new InterceptQueue(partition.id, partition.slat, this.#winhv)
    const disks = this.#disks.add(bus, partition.id, partition.vpCount)
    const nics = this.#networks.add(bus, partition.id, partition.vpCount, spec.name)
    return {
      name: spec.name,
      partition,
      intercepts,
      router,
      bus,
      hub,
      devices,
      disks,
      nics,
      inbox,
      crash: null,
    }
  }

  #timeOf(id: number): TimeSyncOptions {
    const { clock, unixMs } = this.#options
    const { partitions } = this.#hypervisor
    return {
      clock,
      onDeadline: (atMs) => this.#deadlines.announce(atMs),
      unixMs: unixMs ?? (() => clock.nowMs),
      referenceTime: () => partitions.get(id)?.referenceTime ?? 0,
    }
  }

  #schedule({ id, vpCount }: VidPartition, cpu: CpuProperties): void {
    const { vps } = this.#hypervisor.partitions.get(id)!
    const now = this.#options.clock.now100ns
    for (let vp = 0; vp < vpCount; vp += 1) {
      const { dispatch } = vps[vp]!
      const { trace = null } = this.#options
      const grant = trace === null ? dispatch : tracedGrant(trace, id, vp, dispatch)
      this.#scheduler.add(id, vp, cpu, grant, now)
    }
  }

  #listenerOf(late: LateGuest): PartitionListener {
    return {
      queueSpace: () => void late.guest?.bus.poll(0),
      interruptEnded: (vp, vector) => late.guest?.router.ended(vp, vector),
      intercept: (vp, message) => late.guest?.intercepts.receive(vp, message),
      guestCrashed: (report) => {
        if (late.guest === null) return
        late.guest.crash = report
        this.#options.onGuestCrash?.(late.guest.partition.id, report)
      },
      resetRequested: (vp) => {
        if (late.guest !== null) this.#options.onResetRequest?.(late.guest.partition.id, vp)
      },
      dispatchChanged: (vp) => this.#dispatchChanged(late.guest, vp),
      admitsCpu: (properties) => this.#admitsCpu(late.guest, properties),
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
}

/** As a property; none where the partition keeps what children have. */
function privilegesOf(spec: PartitionSpec): [number, bigint][] {
  if (spec.privileges === undefined) return []
  const { low, high } = spec.privileges
  return [[HvPartitionProperty.PRIVILEGE_FLAGS, (BigInt(high) << 32n) | BigInt(low)]]
}

function cpuPropertiesOf(spec: PartitionSpec): CpuProperties {
  const { cap, reserve } = CPU_PROPERTIES_DEFAULT
  return { weight: spec.weight, cap: spec.cap ?? cap, reserve: spec.reserve ?? reserve }
}

function refused(status: HvStatus, what: string): CreatePartitionResult {
  return { ok: false, status, reason: `${what}: ${hvStatusName(status)}` }
}
