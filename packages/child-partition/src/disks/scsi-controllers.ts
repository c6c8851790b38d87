// The SCSI controllers of a guest: a driver bound to each that is offered, and their units as disks. Loaded when the first is offered.

import type { GuestMemory } from '@guestyard/guestmem'
import { StorVsc, type StorUnit } from '@guestyard/storage/vsc'
import type { ChannelOffer, VmbusClient } from '@guestyard/vmbus/client'

import type { PageAllocator } from '../kernel/page-allocator.ts'
import { BlockDisk } from './block-disk.ts'
import type { DiskRegistry } from './guest-disks.ts'
import { ScsiQueue } from './scsi-queue.ts'

export interface ScsiHome {
  readonly bus: VmbusClient
  readonly memory: GuestMemory
  readonly pages: PageAllocator
  readonly clock: { readonly nowMs: number }
  readonly wake: () => void
  readonly onProblem: (controller: string, reason: string) => void
}

/** Instances of Hyper-V's controllers, by their first digits; others are counted from there on. */
const KNOWN_INSTANCES = ['f8b3781a', 'f8b3781b', 'f8b3781c', 'f8b3781d']
const TYPE_DISK = 0
const TYPE_DVD = 5

export class ScsiControllers {
  readonly #home: ScsiHome
  readonly #registry: DiskRegistry
  readonly #others: string[] = []

  constructor(home: ScsiHome, registry: DiskRegistry) {
    this.#home = home
    this.#registry = registry
  }

  /** A controller is offered; `expect` of the registry was called for it. */
  bind(offer: ChannelOffer): void {
    const { bus, memory, pages, clock } = this.#home
    const name = `scsi${this.#numberOf(offer.instanceId)}`
    const scratch = pages.allocate(1)
    if (scratch === undefined) {
      this.#home.onProblem(name, 'no free page')
      this.#registry.known()
      return
    }
    const units = new UnitDisks(name, this.#home, this.#registry)
    const failed = (reason: string): void => {
      this.#home.onProblem(name, reason)
      units.settle()
    }
    const vsc: StorVsc = new StorVsc({
      memory,
      scratchPfn: scratch[0]!,
      clock,
      listener: {
        onUnits: (found) => units.found(vsc, found),
        onFailed: failed,
        onClosed: () => {
          units.found(vsc, [])
          pages.free(scratch)
        },
      },
    })
    const { sendBytes, receiveBytes, channels } = vsc
    const opened = bus.open(
      offer,
      { sendBytes, receiveBytes },
      { ...channels, failed: (_channel, reason) => failed(`open failed: ${reason}`) },
    )
    if (opened === undefined) failed('it could not be opened')
  }

  #numberOf(instanceId: string): number {
    const known = KNOWN_INSTANCES.indexOf(instanceId.slice(0, 8))
    if (known >= 0) return known
    if (!this.#others.includes(instanceId)) this.#others.push(instanceId)
    return KNOWN_INSTANCES.length + this.#others.indexOf(instanceId)
  }
}

/** The units of one controller, compared with what was there before. */
class UnitDisks {
  readonly #controller: string
  readonly #home: ScsiHome
  readonly #registry: DiskRegistry
  readonly #disks: Map<string, { unit: StorUnit; readonly disk: BlockDisk }> = new Map()
  #isSettled = false

  constructor(controller: string, home: ScsiHome, registry: DiskRegistry) {
    this.#controller = controller
    this.#home = home
    this.#registry = registry
  }

  found(vsc: StorVsc, units: readonly StorUnit[]): void {
    const seen = new Set<string>()
    for (const unit of units) {
      if (unit.type !== TYPE_DISK && unit.type !== TYPE_DVD) continue
      const address = this.#addressOf(unit)
      seen.add(address)
      const before = this.#disks.get(address)
      if (before !== undefined && isSame(before.unit, unit)) {
        const isChanged =
          before.unit.blockCount !== unit.blockCount ||
          before.unit.mediumChanges !== unit.mediumChanges
        before.unit = unit
        if (isChanged) this.#registry.change(before.disk, unit.blockCount)
        continue
      }
      this.#remove(address)
      this.#add(address, vsc, unit)
    }
    for (const address of [...this.#disks.keys()]) if (!seen.has(address)) this.#remove(address)
    this.settle()
  }

  /** What the controller has is known. */
  settle(): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#registry.known()
  }

  #add(address: string, vsc: StorVsc, unit: StorUnit): void {
    const { memory } = this.#home
    const disk = new BlockDisk(
      {
        address,
        kind: unit.type === TYPE_DVD ? 'dvd' : 'disk',
        id: unit.name,
        vendor: unit.vendor,
        product: unit.product,
        blockBytes: unit.blockBytes,
        physicalBlockBytes: unit.physicalBlockBytes,
        blockCount: unit.blockCount,
        readOnly: unit.readOnly || unit.type === TYPE_DVD,
        canDiscard: unit.canUnmap && unit.maxUnmapBlocks > 0,
        maxTransferBytes: vsc.maxTransferBytes,
      },
      new ScsiQueue(vsc, unit, memory, this.#home.wake),
      this.#home,
    )
    this.#disks.set(address, { unit, disk })
    this.#registry.add(disk)
  }

  #remove(address: string): void {
    const gone = this.#disks.get(address)
    if (gone === undefined) return
    this.#disks.delete(address)
    this.#registry.remove(gone.disk)
  }

  #addressOf({ path, target, lun }: StorUnit): string {
    const isFirst = path === 0 && target === 0
    return isFirst ? `${this.#controller}:${lun}` : `${this.#controller}:${path}:${target}:${lun}`
  }
}

/** The same disk, perhaps of another size. */
function isSame(a: StorUnit, b: StorUnit): boolean {
  return (
    a.type === b.type &&
    a.name === b.name &&
    a.blockBytes === b.blockBytes &&
    a.readOnly === b.readOnly
  )
}
