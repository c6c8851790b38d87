// What the root's worker answers over Comlink. Control only: nothing here carries data-path traffic, so every
// call may be slow and every argument is plain, structured-cloneable data.

import type { LogLevel } from '@guestyard/engine/node'
import type { ProcessorRooms, WasmMemory } from '@guestyard/guestmem'
import type { PrivilegeMask } from '@guestyard/hvdef'
import type {
  HeartbeatStatus,
  ShutdownOutcome,
  ShutdownRequest,
} from '@guestyard/integration-services/vsp'
import type { HypervisorInspection, VpHandles } from '@guestyard/hypervisor'
import type { Unsaved, VmbusServerInspection } from '@guestyard/vmbus/server'
import type { MessagePort } from 'node:worker_threads'

import type { ExitAnswer } from './vid/vp-exit.ts'
import type { LineChange } from './interrupts/isa-lines.ts'
import type { SchedulerInspection, SchedulerSettings } from './scheduler/index.ts'

import type { CrashInspection } from './crash-inspection.ts'
import type { SavedPartition } from './saved-partition.ts'
import type { DiskAddress, DiskSource, DiskSpec } from './disks/disk-spec.ts'
import type { ControllerInspection } from './disks/partition-disks.ts'
import type { NicSpec } from './networks/nic-spec.ts'
import type { SwitchSpec } from './networks/switch-spec.ts'
import type { NicInspection } from './networks/partition-nics.ts'
import type { NamedSwitchInspection } from './networks/root-networks.ts'
import type { InterruptInspection } from './interrupts/index.ts'
import type { EmulatedRanges, InterceptInspection, VpAnswer, VpExit } from './vid/index.ts'

export type { EmulatedRanges, VpAnswer, VpExit }
export {
  IDE_CONTROLLERS_MAX,
  IDE_LOCATIONS_MAX,
  SCSI_CONTROLLERS_MAX,
  SCSI_LOCATIONS_MAX,
  describeAddress,
  type ControllerType,
  type DiskAddress,
  type DiskLimits,
  type DiskSource,
  type DiskSpec,
  type NewImage,
} from './disks/disk-spec.ts'

export type { CrashInspection }
export type { SavedPartition, Unsaved }
export type { HeartbeatStatus, ShutdownOutcome, ShutdownRequest }

export type { SchedulerInspection, SchedulerSettings }

export type { ControllerInspection, DiskInspection } from './disks/partition-disks.ts'
export type { DiskCounters } from './disks/counted-disk.ts'
export { NICS_MAX, type NicSpec } from './networks/nic-spec.ts'
export type { NicInspection } from './networks/partition-nics.ts'
export type { ManagementOSSpec, SwitchSpec, UplinkSpec } from './networks/switch-spec.ts'
export type { NamedSwitchInspection } from './networks/root-networks.ts'

/** How the root waits when nothing is left to do; see `@guestyard/engine`. */
export type RootWaitStrategy = 'event-loop' | 'busy'

/** `workerData` of the root's worker. */
export interface RootWorkerData {
  readonly controlPort: MessagePort
  readonly logPort: MessagePort
  readonly logLevel: LogLevel
  /** Logical processors the scheduler hands out; 1 or more. */
  readonly logicalProcessors: number
  readonly scheduler: SchedulerSettings
  /** Memory of the machine, in bytes: partitions that do not fit are refused. Default: HOST_MEMORY_BYTES_DEFAULT. */
  readonly hostMemoryBytes?: number
  readonly strategy: RootWaitStrategy
  /** How long the root polls with nothing to do before it sleeps, in microseconds. */
  readonly spinMicroseconds: number
}

/** What a VM's worker process asks the root for when its VM starts. */
export interface PartitionSpec {
  /** For logs and `inspect()`; not seen by the guest. */
  readonly name: string
  /** RAM in bytes; a positive multiple of 64 KiB. */
  readonly memoryBytes: number
  /** RAM it may come to have, a multiple of 64 KiB; `memoryBytes` when left out. */
  readonly memoryMaximumBytes?: number
  /** Virtual processors; 1 or more. */
  readonly vpCount: number
  /** Share of a logical processor under contention, 1..10000; 100 is the default of the hypervisor. */
  readonly weight: number
  /** Its relay group; `false`: no relays. Partitions of one group can join each other's streams, others not. `default` when left out. */
  readonly relay?: string | false
  readonly emulated?: EmulatedRanges
  /** What an emulated processor keeps in the partition's memory beside its RAM, which then does not grow; left out: nothing. */
  readonly rooms?: ProcessorRooms
  /** What the guest may do and is shown; the hypervisor's default for children when left out. */
  readonly privileges?: PrivilegeMask
  /** Most, and least, of a logical processor for each VP, 0x10000 being the whole. Left out: all, and nothing. */
  readonly cap?: number
  readonly reserve?: number
  /** Disks and drives on SCSI controllers that it starts with. One that can't be opened refuses the partition. */
  readonly disks?: readonly DiskSpec[]
  /** Network adapters, each plugged into a switch of the root. One that can't be plugged in refuses the partition. */
  readonly nics?: readonly NicSpec[]
}

/** What the guest's thread is given: its own RAM and the hypervisor's pages made for it, nothing else. */
export interface PartitionStart {
  readonly partitionId: number
  /** When the machine started, as `MonotonicClock` counts it: all threads of a machine share it. */
  readonly clockOriginMs: number
  readonly memory: WasmMemory
  readonly vps: readonly VpStart[]
}

export interface VpStart {
  readonly handles: VpHandles
  /** Rung by the root, waited on by the VP's thread. */
  readonly doorbell: SharedArrayBuffer
  /** Rung by the VP's thread, waited on by the root. One a VP: two guests never share a buffer. */
  readonly rootDoorbell: SharedArrayBuffer
}

export type CreatePartitionResult =
  | { readonly ok: true; readonly start: PartitionStart }
  | { readonly ok: false; readonly status: number; readonly reason: string }

/** RAM of a partition after it was asked to grow. */
export type AddMemoryResult =
  | { readonly ok: true; readonly memoryBytes: number }
  | { readonly ok: false; readonly status: number; readonly reason: string }

/** What became of a change of a partition's disks. */
export type DiskResult = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** Served by the root worker on each attached port. */
export interface RootServices {
  createPartition(spec: PartitionSpec): CreatePartitionResult
  /**
   * Revokes the partition's channels, deletes its ports and forgets its RAM. Resolves when its images are free. Unknown ids are
   * ignored.
   */
  deletePartition(partitionId: number): Promise<void>
  /** More RAM for a running partition: `bytes`, a multiple of 64 KiB, after what it has. Its guest has yet to be told. */
  addMemory(partitionId: number, bytes: number): AddMemoryResult
  /** Opens an image and puts it on a SCSI controller of a partition that may be running. */
  attachDisk(partitionId: number, disk: DiskSpec): DiskResult
  /** Makes a switch with settings, before anything is plugged into it. */
  defineSwitch(spec: SwitchSpec): DiskResult
  /** The machine ends: uplinks let go of what they have outside, captures are written to their end. */
  closeSwitches(): void
  /** Pulls the cable of an adapter, or plugs it in. False when there is no such adapter. */
  setNicLink(partitionId: number, nic: number, isUp: boolean): boolean
  /** Changes the speed of an adapter's link, in Mbit/s: its guest is told. */
  setNicLinkSpeed(partitionId: number, nic: number, mbps: number): DiskResult
  /** Takes a disk out, whatever the guest is doing with it; resolves when its image is free. */
  detachDisk(partitionId: number, address: DiskAddress): Promise<DiskResult>
  /** Opens an image and puts it, as a disc, into an empty DVD drive on a SCSI controller. */
  insertDvd(partitionId: number, address: DiskAddress, source: DiskSource): DiskResult
  /** Takes a disc out, whatever the guest is doing with it, and locked or not; resolves when its image is free. */
  ejectDvd(partitionId: number, address: DiskAddress): Promise<DiskResult>
  /** Makes a disk on a SCSI controller larger while it is used; resolves when it is so, and the guest is told. */
  resizeDisk(partitionId: number, address: DiskAddress, sizeBytes: number): Promise<DiskResult>
  /** Resolves when a VP has not polled, or has kept a processor it was told to leave, for `limitMs`; pending until then. */
  notResponding(partitionId: number, limitMs: number): Promise<void>
  /**
   * Asks the guest to shut down, by its shutdown service. Resolves with its answer, which comes before the deed, or with why there is none;
   * pending while the guest owes one.
   */
  shutDown(partitionId: number, request: ShutdownRequest): Promise<ShutdownOutcome>
  /** Whether the guest answers its heartbeat service. `no-contact` for a partition that is gone. */
  heartbeat(partitionId: number): HeartbeatStatus
  /** What the guest reported last by its crash registers; null: nothing. */
  crashOf(partitionId: number): CrashInspection | null
  /**
   * What the root has of a partition whose VPs stand still; from then on it takes nothing from its rings and sends nothing, until
   * `release`. Or why there is no record, and then it goes on.
   */
  hold(partitionId: number): SavedPartition | Unsaved
  /** It goes on. Nothing for one that is not held. */
  release(partitionId: number): void
  /** A partition that was just created, over RAM as it was saved, goes on from there. Why it can't, and it is to be deleted then. */
  restorePartition(partitionId: number, saved: SavedPartition): DiskResult
  /** Its VPs are as they were saved: they take what was meant for them meanwhile. */
  restored(partitionId: number): void
  /** A key for the synthetic keyboard: set-1 make code, flags as `KeyFlags` of `@guestyard/input`. */
  pressKey(partitionId: number, makeCode: number, flags: number): boolean
  /** Absolute mouse position 0..32767, buttons bit mask (1 left, 2 right, 4 middle), wheel steps. */
  moveMouse(partitionId: number, x: number, y: number, buttons: number, wheel: number): boolean
  /**
   * Sets interrupt lines, then lets the VPs go on whose accesses these answer, and resolves with accesses that VPs wait for, as soon as
   * there are any; with none when the partition is gone. One message each way carries an access and its answer.
   */
  exchangeExits(
    partitionId: number,
    lines: readonly LineChange[],
    answers: readonly ExitAnswer[],
  ): Promise<readonly VpExit[]>
  /** Interrupt lines of emulated devices have changed, in this order, without an access. */
  setLines(partitionId: number, lines: readonly LineChange[]): void
  /** Answers: the root's thread serves its ports. */
  alive(): void
  inspect(): RootInspection
  /** Serves the same calls on another port (a VM's worker process has its own). A number for `released`. */
  attach(port: MessagePort): number
  /** Resolves when that port has closed, what was created through it is gone, and its images are free. At once for other numbers. */
  released(attachment: number): Promise<void>
}

export type { ExitAnswer, LineChange }

export interface PartitionInspection {
  readonly partitionId: number
  readonly name: string
  readonly memoryBytes: number
  readonly vmbus: VmbusServerInspection
  readonly interrupts: InterruptInspection
  readonly intercepts: InterceptInspection
  readonly scsiControllers: readonly ControllerInspection[]
  readonly nics: readonly NicInspection[]
  /** What the guest reported last by its crash registers. It may run on. */
  readonly crash: CrashInspection | null
  readonly devices: Readonly<Record<string, unknown>>
}

export interface RootInspection {
  readonly partitions: readonly PartitionInspection[]
  readonly hypervisor: HypervisorInspection
  readonly scheduler: SchedulerInspection
  /** Switches with an adapter. */
  readonly switches: readonly NamedSwitchInspection[]
  readonly engine: unknown
  /** CPU time of the root's thread since it started, in microseconds. */
  readonly cpuMicroseconds: number
}
