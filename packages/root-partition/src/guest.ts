// A partition as the root has it: what serves its guest, from its bus to its disks.

import type { CrashReport } from '@guestyard/hypervisor'
import type { RelayHub } from '@guestyard/load-device/vsp'
import type { VmbusServer } from '@guestyard/vmbus/server'

import { inspectCrash } from './crash-inspection.ts'
import type { PartitionDisks } from './disks/partition-disks.ts'
import type { InterruptRouter } from './interrupts/index.ts'
import type { PartitionNics } from './networks/partition-nics.ts'
import type { PartitionDevices } from './providers.ts'
import type { InterceptQueue, VidPartition } from './vid/index.ts'
import type { PartitionInspection } from './worker-protocol.ts'

/** Root thread only. */
export interface Guest {
  readonly name: string
  readonly partition: VidPartition
  readonly intercepts: InterceptQueue
  readonly router: InterruptRouter
  readonly bus: VmbusServer
  readonly hub: RelayHub
  readonly devices: PartitionDevices
  readonly disks: PartitionDisks
  readonly nics: PartitionNics
  readonly inbox: GuestInbox
  /** The last one. */
  crash: CrashReport | null
}

/** Where a guest's messages go: nowhere once it is being deleted. */
export interface GuestInbox {
  bus: VmbusServer | null
  isOver: boolean
}

/** A partition that is deleted and whose devices still have its memory. */
export interface LeavingGuest {
  readonly guest: Guest
  readonly gone: PromiseWithResolvers<void>
}

/** What hears of a partition is there before the guest that it is told to. */
export interface LateGuest {
  guest: Guest | null
}

export function inspectGuest(guest: Guest): PartitionInspection {
  return {
    partitionId: guest.partition.id,
    name: guest.name,
    memoryBytes: guest.partition.memoryBytes,
    vmbus: guest.bus.inspect(),
    interrupts: guest.router.inspect(),
    intercepts: guest.intercepts.inspect(),
    scsiControllers: guest.disks.inspect(),
    nics: guest.nics.inspect(),
    crash: guest.crash === null ? null : inspectCrash(guest.crash),
    devices: {
      keyboard: guest.devices.keyboard.inspect(),
      mouse: guest.devices.mouse.inspect(),
      load: guest.devices.load.inspect(),
      ...guest.devices.integration.inspect(),
    },
  }
}
