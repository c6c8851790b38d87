// Disks of whatever controller: drivers are loaded when the first controller of their kind is offered, since many guests have none.

import { VmbusClasses } from '@guestyard/hvdef'
import type { ChannelOffer } from '@guestyard/vmbus/client'

import { DiskRegistry } from '../disks/guest-disks.ts'
import type { ScsiControllers, ScsiHome } from '../disks/scsi-controllers.ts'

/** VP's thread only. */
export class DiskDrivers {
  readonly registry: DiskRegistry = new DiskRegistry()
  readonly #home: ScsiHome
  #scsi: Promise<ScsiControllers> | null = null

  constructor(home: ScsiHome) {
    this.#home = home
  }

  /** Binds a driver to the offer if it is a controller's. */
  offered(offer: ChannelOffer): void {
    if (offer.classId !== VmbusClasses.scsi.interfaceId || offer.subChannelIndex !== 0) return
    this.registry.expect()
    void this.#bind(offer)
  }

  /** The bus is gone. */
  end(reason: string): void {
    this.registry.end(reason)
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
