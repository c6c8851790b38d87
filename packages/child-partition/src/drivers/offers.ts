// The offers of the bus by device, and promises for those that have not come yet. Cold: the control path of the guest.

import type { ChannelOffer } from '@guestyard/vmbus/client'

interface Waiter {
  readonly matches: (offer: ChannelOffer) => boolean
  readonly found: PromiseWithResolvers<ChannelOffer>
}

/** VP's thread only. */
export class Offers {
  readonly #offers: Map<number, ChannelOffer> = new Map()
  readonly #waiters: Set<Waiter> = new Set()

  get size(): number {
    return this.#offers.size
  }

  add(offer: ChannelOffer): void {
    this.#offers.set(offer.relid, offer)
    for (const waiter of this.#waiters) {
      if (!waiter.matches(offer)) continue
      this.#waiters.delete(waiter)
      waiter.found.resolve(offer)
    }
  }

  remove(offer: ChannelOffer): void {
    this.#offers.delete(offer.relid)
  }

  /** All offers that match now, primary channels first. */
  all(matches: (offer: ChannelOffer) => boolean): ChannelOffer[] {
    return [...this.#offers.values()]
      .filter(matches)
      .toSorted((a, b) => a.subChannelIndex - b.subChannelIndex)
  }

  /** The first offer that matches, now or when it comes. Rejects when the bus ends first. */
  first(matches: (offer: ChannelOffer) => boolean): Promise<ChannelOffer> {
    const here = this.all(matches)[0]
    if (here !== undefined) return Promise.resolve(here)
    const waiter = { matches, found: Promise.withResolvers<ChannelOffer>() }
    this.#waiters.add(waiter)
    return waiter.found.promise
  }

  /** The bus is gone: nobody waits any longer. */
  end(reason: string): void {
    for (const waiter of this.#waiters) waiter.found.reject(new Error(reason))
    this.#waiters.clear()
    this.#offers.clear()
  }
}
