// The SCSI controllers of one partition and what is attached to them. A controller is offered on the partition's bus when its first
// disk comes, and stays. Disks come, go and grow while the guest runs, and discs change: the guest is told to look again.

import { parseGuid, type Guid } from '@guestyard/hvdef'
import { ImageError, type Disk, type ImageJob } from '@guestyard/storage'
import { DiskUnit, DvdUnit, ScsiTarget, type LogicalUnit } from '@guestyard/storage/scsi'
import { StorVsp, scsiOffer, type StorVspInspection } from '@guestyard/storage/vsp'
import type { VmbusServer } from '@guestyard/vmbus/server'

import type { ClosingDisks } from './closing-disks.ts'
import { CountedDisk, type DiskCounters } from './counted-disk.ts'
import type { GrowingDisks } from './growing-disks.ts'
import {
  SCSI_CONTROLLERS_MAX,
  SCSI_LOCATIONS_MAX,
  describeAddress,
  type DiskAddress,
  type DiskSource,
  type DiskSpec,
} from './disk-spec.ts'

/** A disk as whoever opens images hands it over. */
export interface OpenedDisk {
  readonly disk: Disk
  /** What it is, for people: `vhdx`, `raw`, `memory`. */
  readonly format: string
  /** Work that makes it so large while it is in use. Throws an ImageError, at once or later, when it can't be. */
  readonly grow: (sizeBytes: number) => ImageJob
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
  readonly growing: GrowingDisks
  /** A disk has work for the root, which may be asleep. */
  readonly onWork: () => void
}

interface Attached {
  readonly spec: DiskSpec
  readonly unit: LogicalUnit
  /** Null for an empty drive. */
  readonly opened: OpenedDisk | null
  readonly disk: CountedDisk | null
  isGrowing: boolean
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
    const opened = spec.source === null ? null : this.#open(spec)
    if (typeof opened === 'string') return opened
    const disk = opened === null ? null : new CountedDisk(opened.disk)
    const unit = orProblem(() => unitOf(spec, disk))
    if (typeof unit === 'string') {
      // Sound as an image, and no disk that this controller can show.
      if (disk !== null) void this.#closeUnused(spec, disk)
      return `${where}: ${unit}`
    }
    const controller = before ?? this.#addController(spec.controllerNumber)
    controller.target.attach(PATH, TARGET, spec.controllerLocation, unit)
    const attached = { spec, unit, opened, disk, isGrowing: false }
    controller.attached.set(spec.controllerLocation, attached)
    return null
  }

  /** Puts a disc into an empty drive. Why it can't, in one line; null when it is there. */
  insert(address: DiskAddress, source: DiskSource): string | null {
    const found = this.#find(address)
    if (typeof found === 'string') return found
    const { controller, attached } = found
    const { unit } = attached
    const where = describeAddress(address)
    if (!(unit instanceof DvdUnit)) return `${where} is no DVD drive`
    if (attached.disk !== null) return `${where} has a disc: it is ejected first`
    const spec = { ...attached.spec, source }
    const opened = this.#open(spec)
    if (typeof opened === 'string') return opened
    const disk = new CountedDisk(opened.disk)
    const problem = orProblem(() => unit.insert(disk))
    if (typeof problem === 'string') {
      void this.#closeUnused(spec, disk)
      return `${where}: ${problem}`
    }
    const inserted = { spec, unit, opened, disk, isGrowing: false }
    controller.attached.set(address.controllerLocation, inserted)
    controller.target.announce()
    return null
  }

  /** Takes the disc out of a drive, locked or not. Resolves when its image is free; why there is none to take, in one line. */
  eject(address: DiskAddress): Promise<void> | string {
    const found = this.#find(address)
    if (typeof found === 'string') return found
    const { controller, attached } = found
    const { unit, spec, disk } = attached
    if (!(unit instanceof DvdUnit)) return `${describeAddress(address)} is no DVD drive`
    if (disk === null) return `${describeAddress(address)} has no disc`
    unit.eject()
    const empty = { unit, spec: { ...spec, source: null }, opened: null, disk: null }
    controller.attached.set(address.controllerLocation, { ...empty, isGrowing: false })
    controller.target.announce()
    return this.#close(controller, attached)
  }

  /** Makes a disk larger while it is used. Resolves when it has that size, with null, or with why it has not, in one line. */
  async resize(address: DiskAddress, sizeBytes: number): Promise<string | null> {
    const found = this.#find(address)
    if (typeof found === 'string') return found
    const { controller, attached } = found
    const where = describeAddress(address)
    if (attached.spec.device === 'dvd' || attached.opened === null) {
      return `${where} is a DVD drive: a disc keeps its size`
    }
    if (attached.isGrowing) return `${where} is being resized already`
    attached.isGrowing = true
    const problem = await this.#grow(attached.opened, sizeBytes)
    attached.isGrowing = false
    if (problem !== null) return `${where}: ${problem}`
    controller.target.announce()
    this.#options.onWork()
    return null
  }

  /** Takes a disk away, whatever it is doing. Resolves when its image is free; undefined when there is none at that place. */
  detach(address: DiskAddress): Promise<void> | undefined {
    const found = this.#find(address)
    if (typeof found === 'string') return undefined
    const { controller, attached } = found
    controller.attached.delete(address.controllerLocation)
    controller.target.detach(PATH, TARGET, address.controllerLocation)
    return this.#close(controller, attached)
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

  /** What is at a place, or why there is nothing that could change. */
  #find(address: DiskAddress): { controller: Controller; attached: Attached } | string {
    const where = describeAddress(address)
    if (!isScsiPlace(address)) return `${where}: only SCSI controllers change while the VM runs`
    const controller = this.#controllers[address.controllerNumber]
    const attached = controller?.attached.get(address.controllerLocation)
    if (controller === null || controller === undefined || attached === undefined) {
      return `no disk at ${where}`
    }
    return { controller, attached }
  }

  /** What a spec names, or why it can't be opened, in one line. */
  #open(spec: DiskSpec): OpenedDisk | string {
    const { controllerNumber } = spec
    const { open } = this.#options
    try {
      if (open === null) throw new ImageError(imageOf(spec) ?? '', '', 'this root opens no images')
      return open(spec, () => {
        this.#controllers[controllerNumber]?.vsp.wake()
        this.#options.onWork()
      })
    } catch (error) {
      if (error instanceof ImageError) return `${describeAddress(spec)}: ${error.message}`
      throw error
    }
  }

  #grow({ grow }: OpenedDisk, sizeBytes: number): Promise<string | null> {
    try {
      return this.#options.growing.add(grow(sizeBytes))
    } catch (error) {
      if (error instanceof ImageError) return Promise.resolve(error.message)
      throw error
    }
  }

  #close({ vsp }: Controller, { spec, unit, disk }: Attached): Promise<void> {
    if (disk === null) return Promise.resolve()
    return this.#options.closing.add({
      disk,
      name: nameOf(spec),
      settle() {
        vsp.wake()
        return !unit.isBusyWith(disk)
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

/** The logical unit. Throws a RangeError when the disk does for none. */
function unitOf(spec: DiskSpec, disk: CountedDisk | null): LogicalUnit {
  if (spec.device === 'dvd') return new DvdUnit(disk)
  if (disk === null) throw new RangeError('a disk has an image')
  return new DiskUnit(disk)
}

/** What is made, or the message of a RangeError. */
function orProblem<T>(make: () => T): T | string {
  try {
    return make()
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
