// Which adapters of a guest speak IP. The stack is loaded by the first, since many guests have none.

import type { GuestInterface, GuestNet, NetSettings } from '../api/net.ts'
import type { NicRegistry } from '../nics/guest-nics.ts'
import type { IpInterface, NetHome } from './ip-interface.ts'

/** VP's thread only. */
export class NetRegistry implements GuestNet {
  readonly #nics: NicRegistry
  readonly #home: NetHome
  readonly #interfaces: Map<string, IpInterface> = new Map()

  constructor(nics: NicRegistry, home: NetHome) {
    this.#nics = nics
    this.#home = home
  }

  async up(which: number | string, settings: NetSettings): Promise<GuestInterface> {
    const module = await import('./ip-interface.ts')
    const wanted = module.parseSettings(settings)
    const port = await this.#nics.port(which)
    let found = this.#interfaces.get(port.name)
    if (found === undefined || found.isGone) {
      found = new module.IpInterface(port, this.#home)
      this.#interfaces.set(port.name, found)
    }
    found.configure(wanted)
    return found
  }
}
