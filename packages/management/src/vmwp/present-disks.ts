// The SCSI disks that a VM has now, for the next boot of its machine: those it began with, and those that came and went since.

import { randomUUID } from 'node:crypto'
import {
  describeAddress,
  type DiskAddress,
  type DiskSource,
  type DiskSpec,
} from '@guestyard/root-partition/worker-protocol'

/** One VM's. */
export class PresentDisks {
  readonly #byPlace: Map<string, DiskSpec> = new Map()
  readonly #keepsMemory: boolean

  /** `keepsMemory`: disks in memory are to be found as they were left by the next boot. */
  constructor(disks: readonly DiskSpec[], keepsMemory: boolean) {
    this.#keepsMemory = keepsMemory
    for (const disk of disks) {
      if (disk.controllerType === 'scsi') this.add(this.keyed(disk))
    }
  }

  get specs(): readonly DiskSpec[] {
    return [...this.#byPlace.values()]
  }

  /** The disk as the root is to open it. */
  keyed(disk: DiskSpec): DiskSpec {
    const { source } = disk
    if (!this.#keepsMemory || source?.is !== 'memory') return disk
    return { ...disk, source: { ...source, key: randomUUID() } }
  }

  add(disk: DiskSpec): void {
    this.#byPlace.set(describeAddress(disk), disk)
  }

  /** Another disc in a drive, or none. */
  change(address: DiskAddress, source: DiskSource | null): void {
    const disk = this.#byPlace.get(describeAddress(address))
    if (disk !== undefined) this.add({ ...disk, source })
  }

  remove(address: DiskAddress): void {
    this.#byPlace.delete(describeAddress(address))
  }
}
