// The IDE controller of a VM and what is on it. The worker process opens the images itself: here, not in the root, is where the registers
// are, and a worker process that dies takes only its own disks along.

import { GuestMemory, SlatDeviceReader } from '@guestyard/guestmem'
import { assert } from '@guestyard/hvdef'
import type { OpenedDisk } from '@guestyard/root-partition'
import {
  describeAddress,
  type DiskSpec,
  type PartitionStart,
} from '@guestyard/root-partition/worker-protocol'
import { DiskStatus, ImageError, type Disk } from '@guestyard/storage'
import {
  ATA_SECTOR_BYTES,
  IDE_CHANNELS,
  IdeController,
  type IdeInspection,
  type IdeMemory,
} from '@guestyard/storage/ide'
import { DvdUnit, ScsiTarget } from '@guestyard/storage/scsi'

import type { EmulatedMachine, WorkingDevice } from './machine.ts'

/** Pieces of 64 KiB that one poll does. */
const POLL_PIECES = 32

/** Opens what a spec names. Throws an ImageError. */
export type OpenImage = (spec: DiskSpec) => OpenedDisk

interface Image {
  /** The file, or `memory`. */
  readonly name: string
  readonly disk: Disk
}

/** RAM as the bus master reaches it, once there is some. */
class DeviceMemory implements IdeMemory {
  #memory: GuestMemory | null = null
  #slat: SlatDeviceReader | null = null

  get memory(): GuestMemory {
    assert(this.#memory !== null, 'Nothing reaches RAM before there is a partition.')
    return this.#memory
  }

  bind({ memory, vps }: PartitionStart): void {
    this.#memory = GuestMemory.attach(memory)
    this.#slat = new SlatDeviceReader(vps[0]!.handles.slat)
  }

  translate(gpaPage: number, access: number): number {
    return this.#slat?.ramPage(gpaPage, access) ?? -1
  }
}

export class IdeDisks implements WorkingDevice {
  readonly far: null = null
  readonly #controller: IdeController
  readonly #memory: DeviceMemory = new DeviceMemory()
  readonly #images: Image[] = []

  /** Puts the controller into the machine. */
  constructor(machine: EmulatedMachine) {
    this.#controller = new IdeController({
      memory: this.#memory,
      onLine: (channel, asserted) => machine.setLine(IDE_CHANNELS[channel].irq, asserted),
    })
    for (const { first, count } of this.#controller.ports) {
      machine.bus.atPorts(first, count, {
        read: (offset, size) => this.#controller.read(first + offset, size),
        write: (offset, size, value) => this.#controller.write(first + offset, size, value),
      })
    }
    machine.addWorking(this)
  }

  /** Puts a disk or drive at its place. Throws, in one line, when its image is none or does not fit: `close` what there is. */
  attach(spec: DiskSpec, open: OpenImage): void {
    const position = {
      channel: spec.controllerNumber as 0 | 1,
      device: spec.controllerLocation as 0 | 1,
    }
    const disk = spec.source === null ? null : openAt(spec, open)
    if (disk !== null) this.#images.push({ name: nameOf(spec), disk })
    if (spec.device === 'dvd') {
      const target = new ScsiTarget()
      target.attach(0, 0, 0, driveWith(spec, disk))
      return this.#controller.attachDvd(position, target)
    }
    assert(disk !== null, 'A disk has a source.')
    if (disk.geometry.logicalBlockBytes !== ATA_SECTOR_BYTES) {
      throw new Error(`${describeAddress(spec)}: IDE has blocks of ${ATA_SECTOR_BYTES} bytes only`)
    }
    this.#controller.attachDisk(position, disk)
  }

  /** The partition is there: its RAM may be reached. Before its guest runs, which could write to what is read here. */
  bind(start: PartitionStart): void {
    this.#memory.bind(start)
  }

  poll(): boolean {
    this.#controller.poll(POLL_PIECES)
    return this.#controller.hasWork
  }

  nextDeadlineMs(): number {
    return this.#controller.nextDeadlineMs()
  }

  inspect(): IdeInspection {
    return this.#controller.inspect()
  }

  /** The VM is over: ends all use of its images. Poll `isClosed` on. */
  close(): void {
    for (const { disk } of this.#images) disk.close()
  }

  /** After `close`: goes on with it. True: the images are free. */
  isClosed(): boolean {
    for (const { disk } of this.#images) disk.poll(POLL_PIECES)
    return this.#images.every(({ disk }) => disk.closed)
  }

  /** Images that were closed with writes that may be lost. */
  get lost(): readonly string[] {
    const lost = this.#images.filter(({ disk }) => disk.closeStatus !== DiskStatus.OK)
    return lost.map(({ name }) => name)
  }
}

function nameOf({ source }: DiskSpec): string {
  return source?.is === 'file' ? source.path : 'memory'
}

/** The drive. What is no medium is so at a place. */
function driveWith(spec: DiskSpec, disk: Disk | null): DvdUnit {
  try {
    return new DvdUnit(disk)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new Error(`${describeAddress(spec)}: ${error.message}`, { cause: error })
  }
}

/** An image's error says which place it was for. */
function openAt(spec: DiskSpec, open: OpenImage): Disk {
  try {
    return open(spec).disk
  } catch (error) {
    if (!(error instanceof ImageError)) throw error
    throw new Error(`${describeAddress(spec)}: ${error.message}`, { cause: error })
  }
}
