// The disks of a running VM of the virtual engine: they come, go and grow, and discs change, as `Vm` of management has it.

import { DiskPlaces, checkDiskSize, discOf } from '@guestyard/management'
import type { DiskAddress, DiskOptions } from '@guestyard/management'
import type { PartitionDisks } from '@guestyard/root-partition'
import { describeAddress } from '@guestyard/root-partition/worker-protocol'

/** Says why it did nothing, sooner or later; anything else is success. */
type Change = (disks: PartitionDisks) => Problem | Promise<Problem>
type Problem = string | null | void

export class VirtualDisks {
  readonly #vm: string
  readonly #places: DiskPlaces
  readonly #ask: (change: Change) => Promise<Problem>

  /** `vm`: its name, for errors. `ask` makes the change in the root's turn. */
  constructor(vm: string, ask: (change: Change) => Promise<Problem>) {
    this.#vm = vm
    this.#places = new DiskPlaces(vm)
    this.#ask = ask
  }

  /** A run begins, with these. */
  begin(disks: readonly DiskAddress[]): void {
    this.#places.begin(disks)
  }

  async attach(options: DiskOptions): Promise<DiskAddress> {
    const disk = this.#places.take(options)
    const { controllerType, controllerNumber, controllerLocation } = disk
    try {
      await this.#change((disks) => disks.attach(disk))
    } catch (error) {
      this.#places.leave(disk)
      throw error
    }
    return { controllerType, controllerNumber, controllerLocation }
  }

  async detach(place: DiskAddress): Promise<void> {
    await this.#change((disks) => disks.detach(place) ?? `no disk at ${describeAddress(place)}`)
    this.#places.leave(place)
  }

  async insert(place: DiskAddress, iso: string | URL): Promise<void> {
    const disc = discOf(iso, `VM "${this.#vm}": insertDvd`)
    await this.#change((disks) => disks.insert(place, disc))
  }

  async eject(place: DiskAddress): Promise<void> {
    await this.#change((disks) => disks.eject(place))
  }

  async resize(place: DiskAddress, sizeBytes: number): Promise<void> {
    checkDiskSize(sizeBytes, `VM "${this.#vm}": resizeDisk`)
    await this.#change((disks) => disks.resize(place, sizeBytes))
  }

  async #change(change: Change): Promise<void> {
    const problem = await this.#ask(change)
    if (typeof problem === 'string') throw new Error(problem)
  }
}
