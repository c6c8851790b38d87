// Network adapters: the driver is loaded when the first is offered.

import { VmbusClasses } from '@guestyard/hvdef'
import type { ChannelOffer } from '@guestyard/vmbus/client'

import { NicRegistry } from '../nics/guest-nics.ts'
import type { NetAdapters, NicHome } from '../nics/net-adapters.ts'

/** VP's thread only. */
export class NicDrivers {
  readonly registry: NicRegistry = new NicRegistry()
  readonly #home: NicHome
  #adapters: Promise<NetAdapters> | null = null

  constructor(home: NicHome) {
    this.#home = home
  }

  /** Binds a driver to the offer if it is an adapter's. */
  offered(offer: ChannelOffer): void {
    const isAdapter = offer.classId === VmbusClasses.network.interfaceId
    if (isAdapter && offer.subChannelIndex === 0) void this.#bind(offer)
  }

  /** The bus is gone. */
  end(reason: string): void {
    this.registry.end(reason)
  }

  async #bind(offer: ChannelOffer): Promise<void> {
    this.#adapters ??= import('../nics/net-adapters.ts').then(
      (module) => new module.NetAdapters(this.#home, this.registry),
    )
    const adapters = await this.#adapters
    adapters.bind(offer)
    this.#home.wake()
  }
}
