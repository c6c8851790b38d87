// Disks of whatever controller: drivers are loaded when the first controller of their kind is offered, since many guests have none.

import { VmbusClasses } from '@guestyard/hvdef'
import type { ChannelOffer } from '@guestyard/vmbus/client'

import { DiskRegistry } from '../disks/guest-disks.ts'
import type { IdeHome } from '../disks/ide-controller.ts'
import type { ScsiControllers, ScsiHome } from '../disks/scsi-controllers.ts'

/** Status of the two channels of an IDE controller: all ones where there is none, and the access does not leave the guest. */
const IDE_STATUS_PORTS = [0x1f7, 0x177] as const
const NOBODY = 0xff

/** VP's thread only. */
export class DiskDrivers {
  readonly registry: DiskRegistry = new DiskRegistry()
  readonly #home: ScsiHome & IdeHome
  #scsi: Promise<ScsiControllers> | null = null
  /** Channels of an IDE controller that have answered. */
  #channels = 0

  constructor(home: ScsiHome & IdeHome) {
    this.#home = home
  }

  /** Binds a driver to the offer if it is a controller's. */
  offered(offer: ChannelOffer): void {
    if (offer.classId !== VmbusClasses.scsi.interfaceId || offer.subChannelIndex !== 0) return
    this.registry.expect()
    void this.#bind(offer)
  }

  /** Looks for an IDE controller, which no offer announces. */
  start(): void {
    for (const port of IDE_STATUS_PORTS) {
      this.registry.expect()
      this.#home.devices.begin(
        (unit) => unit.beginPortIn(port, 1),
        (value) => this.#sawStatus(value === null ? NOBODY : value.low),
      )
    }
  }

  /** The bus is gone. */
  end(reason: string): void {
    this.registry.end(reason)
  }

  /** Of one channel; both answer alike. */
  #sawStatus(status: number): void {
    if (status === NOBODY) return this.registry.known()
    this.#channels += 1
    if (this.#channels === IDE_STATUS_PORTS.length) void this.#bindIde()
  }

  async #bindIde(): Promise<void> {
    const { bindIde } = await import('../disks/ide-controller.ts')
    bindIde(this.#home, this.registry)
    this.#home.wake()
  }

  async #bind(offer: ChannelOffer): Promise<void> {
    this.#scsi ??= import('../disks/scsi-controllers.ts').then(
      (module) => new module.ScsiControllers(this.#home, this.registry),
    )
    const controllers = await this.#scsi
    controllers.bind(offer)
    this.#home.wake()
  }
}
