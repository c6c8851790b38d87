// The network adapters of a guest that are up, and who waits for one.

import type { GuestNic, GuestNics } from '../api/nics.ts'

/** An adapter as its driver hands it in: what a stack needs of it besides. */
export interface NicPort extends GuestNic {
  readonly mac: Uint8Array
  /** Told when the adapter goes. */
  onGone: (() => void) | null
  /** Sends the first bytes of an array. False: no room. It leaves with the next `flush`, or poll. */
  transmit(frame: Uint8Array, bytes: number): boolean
  flush(): void
}

interface Waiter {
  readonly which: number | string
  readonly found: PromiseWithResolvers<NicPort>
}

/** VP's thread only. */
export class NicRegistry implements GuestNics {
  readonly #nics: Map<string, NicPort> = new Map()
  readonly #waiters: Set<Waiter> = new Set()

  get list(): readonly GuestNic[] {
    return [...this.#nics.values()].toSorted((a, b) =>
      a.name.localeCompare(b.name, 'en', { numeric: true }),
    )
  }

  get(which: number | string): Promise<GuestNic> {
    return this.port(which)
  }

  /** The same adapter, for a stack. */
  port(which: number | string): Promise<NicPort> {
    const here = this.#nics.get(nameOf(which))
    if (here !== undefined) return Promise.resolve(here)
    const waiter = { which, found: Promise.withResolvers<NicPort>() }
    this.#waiters.add(waiter)
    return waiter.found.promise
  }

  /** A driver's: an adapter is up. */
  add(nic: NicPort): void {
    this.#nics.set(nic.name, nic)
    for (const waiter of this.#waiters) {
      if (nameOf(waiter.which) !== nic.name) continue
      this.#waiters.delete(waiter)
      waiter.found.resolve(nic)
    }
  }

  remove(nic: NicPort): void {
    if (this.#nics.get(nic.name) === nic) this.#nics.delete(nic.name)
  }

  /** The bus is gone: nobody waits any longer. */
  end(reason: string): void {
    for (const { found } of this.#waiters) found.reject(new Error(reason))
    this.#waiters.clear()
  }
}

function nameOf(which: number | string): string {
  return typeof which === 'number' ? `eth${which}` : which
}
