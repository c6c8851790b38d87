// The SCSI controllers of one partition and what is attached to them. A controller is offered on the partition's bus when its first
// disk comes, and stays. Disks come and go while the guest runs: the guest is told to look again.

import { parseGuid, type Guid } from '@guestyard/hvdef'
import type { Disk } from '@guestyard/storage'
import { ImageError } from '@guestyard/storage'
import { DiskUnit, DvdUnit, ScsiTarget, type LogicalUnit } from '@guestyard/storage/scsi'
import { StorVsp, scsiOffer, type StorVspInspection } from '@guestyard/storage/vsp'
import type { VmbusServer } from '@guestyard/vmbus/server'

import type { ClosingDisks } from './closing-disks.ts'
import { CountedDisk, type DiskCounters } from './counted-disk.ts'
import {
  SCSI_CONTROLLERS_MAX,
  SCSI_LOCATIONS_MAX,
  describeAddress,
  type DiskAddress,
  type DiskSpec,
} from './disk-spec.ts'

/** A disk as whoever opens images hands it over. */
export interface OpenedDisk {
  readonly disk: Disk
  /** What it is, for people: `vhdx`, `raw`, `memory`. */
  readonly format: string
}

/** Opens what a spec names. Throws an ImageError. `wake` is called, from anywhere, when the disk wants to be polled. */
export type OpenDisk = (spec: DiskSpec, wake: () => void) => OpenedDisk

/** A disk or drive in `inspect`. */
export interface DiskInspection {
  readonly address: string
  readonly device: 'disk' | 'dvd'
  /** The file, or `memory`; null for an empty drive. */
  readonly image: string | null
  readonly format: string | null
  readonly sizeBytes: number
  readonly readOnly: boolean
  readonly counters: DiskCounters | null
}

export interface ControllerInspection extends StorVspInspection {
  readonly controllerNumber: number
  readonly disks: readonly DiskInspection[]
}

/** The partition's side: what every place of its controllers needs. */
export interface PartitionDisksOptions {
  readonly bus: VmbusServer
  /** Whose commands these are, where a disk is shared. */
  readonly partitionId: number
  readonly vpCount: number
  /** Null where there are no images. */
  readonly open: OpenDisk | null
  readonly closing: ClosingDisks
  /** A disk has work for the root, which may be asleep. */
  readonly onWork: () => void
}

interface Attached {
  readonly spec: DiskSpec
  readonly unit: LogicalUnit
  /** Null for an empty drive. */
  readonly opened: OpenedDisk | null
  readonly disk: CountedDisk | null
}

interface Controller {
  readonly target: ScsiTarget
  readonly vsp: StorVsp
  readonly attached: Map<number, Attached>
}

/** Instances of the four controllers, as machines of the second generation have them. */
const INSTANCES: readonly Guid[] = ['a', 'b', 'c', 'd'].map((letter) =>
  parseGuid(`f8b3781${letter}-1e82-4818-a1c3-63d806ec15bb`),
)
/** Every LUN is on the first path and target, as Hyper-V has them. */
const PATH = 0
const TARGET = 0

/** Root thread only. */
export class PartitionDisks {
  readonly #options: PartitionDisksOptions
  readonly #controllers: (Controller | null)[] = INSTANCES.map(() => null)

  constructor(options: PartitionDisksOptions) {
    this.#options = options
  }

  /** Opens the image and puts it at its place. Why it can't, in one line; null when it is there. */
  attach(spec: DiskSpec): string | null {
    const where = describeAddress(spec)
    if (!isScsiPlace(spec)) return `${where}: no such place on a SCSI controller`
    const before = this.#controllers[spec.controllerNumber]
    if (before?.attached.has(spec.controllerLocation) === true) return `${where} is taken already`
    let opened: OpenedDisk | null
    try {
      opened = spec.source === null ? null : this.#open(spec)
    } catch (error) {
      if (error instanceof ImageError) return `${where}: ${error.message}`
      throw error
    }
    const disk = opened === null ? null : new CountedDisk(opened.disk)
    const unit = unitOf(spec, disk)
    if (typeof unit === 'string') {
      // Sound as an image, and no disk that this controller can show.
      if (disk !== null) void this.#closeUnused(spec, disk)
      return `${where}: ${unit}`
    }
    const controller = before ?? this.#addController(spec.controllerNumber)
    controller.target.attach(PATH, TARGET, spec.controllerLocation, unit)
    controller.attached.set(spec.controllerLocation, { spec, unit, opened, disk })
    return null
  }

  /** Takes a disk away, whatever it is doing. Resolves when its image is free; undefined when there is none at that place. */
  detach(address: DiskAddress): Promise<void> | undefined {
    const controller = isScsiPlace(address) ? this.#controllers[address.controllerNumber] : null
    const found = controller?.attached.get(address.controllerLocation)
    if (controller === null || controller === undefined || found === undefined) return undefined
    controller.attached.delete(address.controllerLocation)
    controller.target.detach(PATH, TARGET, address.controllerLocation)
    return this.#close(controller, found)
  }

  /** The partition is over: every image is let go. Resolves when all are. */
  async close(): Promise<void> {
    const closed: Promise<void>[] = []
    for (const controller of this.#controllers) {
      if (controller === null) continue
      for (const [lun, attached] of controller.attached) {
        controller.target.detach(PATH, TARGET, lun)
        closed.push(this.#close(controller, attached))
      }
      controller.attached.clear()
    }
    await Promise.all(closed)
  }

  /** Controllers whose disks are due by then are polled again. */
  wakeDue(nowMs: number): void {
    for (const controller of this.#controllers) {
      if (controller !== null && controller.vsp.nextDeadlineMs() <= nowMs) controller.vsp.wake()
    }
  }

  /** When `wakeDue` is to be called, of the clock that disks were opened with; Infinity: never. */
  nextDeadlineMs(): number {
    let dueMs = Number.POSITIVE_INFINITY
    for (const controller of this.#controllers) {
      if (controller !== null) dueMs = Math.min(dueMs, controller.vsp.nextDeadlineMs())
    }
    return dueMs
  }

  inspect(): readonly ControllerInspection[] {
    return this.#controllers.flatMap((controller, controllerNumber) =>
      controller === null
        ? []
        : [
            {
              controllerNumber,
              ...controller.vsp.inspect(),
              disks: [...controller.attached.values()].map(inspectDisk),
            },
          ],
    )
  }

  #open(spec: DiskSpec): OpenedDisk {
    const { controllerNumber } = spec
    const { open } = this.#options
    if (open === null) throw new ImageError(imageOf(spec) ?? '', '', 'this root opens no images')
    return open(spec, () => {
      this.#controllers[controllerNumber]?.vsp.wake()
      this.#options.onWork()
    })
  }

  #close({ vsp }: Controller, { spec, unit, disk }: Attached): Promise<void> {
    if (disk === null) return Promise.resolve()
    return this.#options.closing.add({
      disk,
      name: nameOf(spec),
      settle() {
        vsp.wake()
        return unit.inFlight === 0
      },
    })
  }

  #closeUnused(spec: DiskSpec, disk: CountedDisk): Promise<void> {
    return this.#options.closing.add({ disk, name: nameOf(spec), settle: () => true })
  }

  #addController(number: number): Controller {
    const { bus, vpCount, partitionId } = this.#options
    const target = new ScsiTarget({ initiator: partitionId })
    const vsp = new StorVsp({ target, maxSubChannels: Math.min(vpCount - 1, 64) })
    const controller = { target, vsp, attached: new Map<number, Attached>() }
    this.#controllers[number] = controller
    bus.offer(scsiOffer(INSTANCES[number]!), vsp)
    return controller
  }
}

/** The logical unit, or what is wrong with the disk for one. */
function unitOf(spec: DiskSpec, disk: CountedDisk | null): LogicalUnit | string {
  try {
    if (spec.device === 'dvd') return new DvdUnit(disk)
    return disk === null ? 'a disk has an image' : new DiskUnit(disk)
  } catch (error) {
    if (error instanceof RangeError) return error.message
    throw error
  }
}

function nameOf(spec: DiskSpec): string {
  return imageOf(spec) ?? describeAddress(spec)
}

function isScsiPlace(address: DiskAddress): boolean {
  const { controllerType, controllerNumber, controllerLocation } = address
  return (
    controllerType === 'scsi' &&
    isBelow(controllerNumber, SCSI_CONTROLLERS_MAX) &&
    isBelow(controllerLocation, SCSI_LOCATIONS_MAX)
  )
}

function isBelow(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < limit
}

function imageOf({ source }: DiskSpec): string | null {
  if (source === null) return null
  return source.is === 'memory' ? 'memory' : source.path
}

function inspectDisk({ spec, opened, disk }: Attached): DiskInspection {
  const geometry = disk?.geometry
  return {
    address: describeAddress(spec),
    device: spec.device,
    image: imageOf(spec),
    format: opened?.format ?? null,
    sizeBytes: geometry === undefined ? 0 : geometry.blockCount * geometry.logicalBlockBytes,
    readOnly: geometry?.readOnly ?? true,
    counters: disk?.counters ?? null,
  }
}
