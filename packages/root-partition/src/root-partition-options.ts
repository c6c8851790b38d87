// What a root partition is given: its clocks, its threads' doorbells, and what is of the real world.

import type { Clock, CrashReport, Wake } from '@guestyard/hypervisor'
import type { MayJoin } from '@guestyard/load-device/vsp'
import type { Trace } from '@guestyard/trace'
import type { VmbusServerEvent } from '@guestyard/vmbus/server'

import type { OpenDisk } from './disks/partition-disks.ts'
import type { CaptureOutput } from './networks/defined-switch.ts'
import type { OpenUplink } from './networks/open-uplink.ts'
import type { OverdueVp, SchedulerSettings } from './scheduler/index.ts'
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
  /** Memory of the machine, in bytes; HOST_MEMORY_BYTES_DEFAULT when left out. A partition that does not fit is refused. */
  readonly hostMemoryBytes?: number
  /** Makes a VP's doorbells, and has the engine wait on the root's. */
  readonly openDoorbells: () => VpDoorbells
  readonly closeDoorbells: (doorbells: VpDoorbells) => void
  /** Told of bus events by partition; cold path. */
  readonly onBusEvent: (partitionId: number, event: VmbusServerEvent) => void
  /** Which partition may be an end of which relay stream of its group; a partition's key is its id. Default: every one of every one. */
  readonly mayJoin?: MayJoin
  /** A guest reports by its crash registers that it has crashed. */
  readonly onGuestCrash?: (partitionId: number, report: CrashReport) => void
  /** A guest asks to be reset. */
  readonly onResetRequest?: (partitionId: number, vp: number) => void
  /**
   * The time of day, as guests are told it: milliseconds since 1970-01-01 UTC, with fractions. Left out: as if the clock had started
   * then.
   */
  readonly unixMs?: () => number
  /** Opens disk images. Without it a partition with disks is refused. */
  readonly openDisk?: OpenDisk
  /** A disk, or somebody outside, made work that no doorbell announces: the engine must poll. From anywhere but `poll`. */
  readonly onOutsideWork?: () => void
  /** An image was closed, and not all that its guest was told is written is sure to be on the host's disk. */
  readonly onDiskLost?: (image: string) => void
  /** Any u32 that guests do not know: where switches keep addresses. Default 0. */
  readonly switchSeed?: number
  /** Opens uplinks of switches, and makes files of captures. Without one a switch that wants it is refused. */
  readonly openUplink?: OpenUplink
  readonly openCapture?: (path: string) => CaptureOutput
  /** Told when a partition is gone. */
  readonly onDeleted?: (partitionId: number) => void
  readonly trace?: Trace | null
}
