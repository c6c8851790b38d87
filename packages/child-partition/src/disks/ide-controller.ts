// The IDE controller of a guest: a driver for each of its two channels, and their drives as disks. Loaded when there is one.

import { ISA_VECTOR_BASE } from '@guestyard/hvdef'
import type { GuestMemory } from '@guestyard/guestmem'
import { IDE_CHANNELS } from '@guestyard/storage/ide'
import type { StorUnit } from '@guestyard/storage/vsc'
import { IdeDriver, StepKind, type GuestPorts, type PortStep } from '@guestyard/storage/vsc/ide'

import type { DeviceAccess } from '../kernel/device-access.ts'
import type { PageAllocator } from '../kernel/page-allocator.ts'
import { BlockDisk } from './block-disk.ts'
import type { DiskRegistry } from './guest-disks.ts'
import { ScsiQueue } from './scsi-queue.ts'

export interface IdeHome {
  readonly memory: GuestMemory
  readonly pages: PageAllocator
  readonly devices: DeviceAccess
  readonly handle: (vector: number, handler: () => void) => void
  readonly wake: () => void
  readonly onProblem: (controller: string, reason: string) => void
}

const ALL_ONES = 0xffff_ffff
const TYPE_DVD = 5

/** Ports as the kernel reaches them: each access leaves the guest. */
class KernelPorts implements GuestPorts {
  readonly #devices: DeviceAccess

  constructor(devices: DeviceAccess) {
    this.#devices = devices
  }

  access(step: PortStep, ended: (value: number) => void): void {
    const { kind, port, size, value } = step
    this.#devices.begin(
      (unit) =>
        kind === StepKind.OUT ? unit.beginPortOut(port, size, value) : unit.beginPortIn(port, size),
      (result) => ended(result?.low ?? ALL_ONES),
    )
  }
}

/** Starts the drivers; `expect` of the registry was called for each channel. */
export function bindIde(home: IdeHome, registry: DiskRegistry): void {
  const ports = new KernelPorts(home.devices)
  for (const channel of [0, 1] as const) {
    const scratch = home.pages.allocate(1)
    if (scratch === undefined) {
      home.onProblem(`ide${channel}`, 'no free page')
      registry.known()
      continue
    }
    const driver: IdeDriver = new IdeDriver({
      ports,
      ram: home.memory,
      channel,
      scratchPfn: scratch[0]!,
      onUnits: (units) => {
        for (const unit of units) registry.add(diskOf(home, driver, unit))
        registry.known()
      },
    })
    home.handle(ISA_VECTOR_BASE + IDE_CHANNELS[channel].irq, () => driver.interrupted())
    driver.start()
  }
}

function diskOf(home: IdeHome, driver: IdeDriver, unit: StorUnit): BlockDisk {
  return new BlockDisk(
    {
      address: `ide${unit.path}:${unit.target}`,
      kind: unit.type === TYPE_DVD ? 'dvd' : 'disk',
      id: unit.name,
      vendor: unit.vendor,
      product: unit.product,
      blockBytes: unit.blockBytes,
      physicalBlockBytes: unit.physicalBlockBytes,
      blockCount: unit.blockCount,
      readOnly: unit.readOnly,
      canDiscard: unit.canUnmap,
      maxTransferBytes: driver.maxTransferBytes,
    },
    new ScsiQueue(driver, unit, home.memory, home.wake),
    home,
  )
}
