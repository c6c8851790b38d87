// The network adapters of a guest that are up, and who waits for one.

import type { GuestNic, GuestNics } from '../api/nics.ts'

interface Waiter {
  readonly which: number | string
  readonly found: PromiseWithResolvers<GuestNic>
}

/** VP's thread only. */
export class NicRegistry implements GuestNics {
  readonly #nics: Map<string, GuestNic> = new Map()
  readonly #waiters: Set<Waiter> = new Set()

  get list(): readonly GuestNic[] {
    return [...this.#nics.values()].toSorted((a, b) =>
      a.name.localeCompare(b.name, 'en', { numeric: true }),
    )
  }

  get(which: number | string): Promise<GuestNic> {
    const here = this.#nics.get(nameOf(which))
    if (here !== undefined) return Promise.resolve(here)
    const waiter = { which, found: Promise.withResolvers<GuestNic>() }
    this.#waiters.add(waiter)
    return waiter.found.promise
  }

  /** A driver's: an adapter is up. */
  add(nic: GuestNic): void {
    this.#nics.set(nic.name, nic)
    for (const waiter of this.#waiters) {
      if (nameOf(waiter.which) !== nic.name) continue
      this.#waiters.delete(waiter)
      waiter.found.resolve(nic)
    }
  }

  remove(nic: GuestNic): void {
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
