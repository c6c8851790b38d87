// What of the root's process stands behind a partition: RAM, doorbells, and who hears what its VPs announce. Types only; whoever
// makes a partition implements them.

import type { GuestMemory } from '@guestyard/guestmem'
import type { HvStatus } from '@guestyard/hvdef'

import type { CrashReport } from './crash-report.ts'
import type { Wake } from './wake.ts'

/** Hears of what a partition's VPs announce beside messages and events. */
export interface PartitionListener {
  /** An inbox queue of this VP that was full has room: posts that met INSUFFICIENT_BUFFERS may be tried again. */
  queueSpace(vp: number): void
  /**
   * This VP did what an intercept asks about (TLFS, "Intercepts"), and is suspended until `completeIntercept`. `message` is an
   * HV_MESSAGE of 256 bytes, good until the VP's next. Without this method every intercept is answered at once, with nothing.
   */
  intercept?(vp: number, message: Uint8Array): void
  /** The guest has ended a level-triggered interrupt. It was requested again if its line is still asserted. */
  interruptEnded?(vp: number, vector: number): void
  /**
   * The partition's weight, cap or reserve is to be another, all in range. SUCCESS: and is from now on. Without this method, always.
   */
  admitsCpu?(cpu: {
    readonly weight: number
    readonly cap: number
    readonly reserve: number
  }): HvStatus
  /** A property (HvPartitionProperty) was set. */
  propertyChanged?(code: number): void
  /** This VP's report about its grant changed: see RootVp.dispatch. */
  dispatchChanged?(vp: number): void
  /** A VP was explicitly suspended, or may run. */
  suspensionChanged?(vp: number): void
  /** The guest reports that it has crashed. It may run on. */
  guestCrashed?(report: CrashReport): void
  /** The guest asks to be reset, and expects not to run on as it was. */
  resetRequested?(vp: number): void
}

/** The wire that leads to a VP, made by whoever knows how threads wait. */
export interface VpDoorbell {
  /** Rung when the VP's inbox has news. */
  readonly wake: Wake
  /** The same as a buffer, for the VPs' threads: siblings ring each other. Null where nobody made one. */
  readonly buffer: SharedArrayBuffer | null
}

/** What of this process stands behind a partition. Given once, before it is mapped memory and has VPs. */
export interface PartitionBacking {
  /** The RAM that the machine's pages are, of which the partition may be given some. */
  readonly memory: GuestMemory
  /** Makes the doorbell of a VP that is created. */
  readonly openDoorbell: (vp: number) => VpDoorbell
  /** The VP was deleted. */
  readonly closeDoorbell?: (vp: number) => void
  readonly listener?: PartitionListener
}
