// Which machine of a switch has which address: its adapters by their Ethernet addresses, which the switch holds them to, and what each says it is (ARP)
// or was given (DHCP). A machine can only speak for its own name.

import { u48Of } from '../mac-address.ts'

interface Adapter {
  readonly name: string
  /** IPv4; 0: not known yet. */
  address: number
  /** Its address is its own, whatever anybody says. */
  readonly isFixed: boolean
}

const ARP_BYTES = 42
/** Ethernet's type, then the hardware, the protocol and their lengths. */
const ARP_HEAD = [8, 6, 0, 1, 8, 0, 6, 4]
const TYPE_AT = 12
const SENDER_AT = 22

/** On the switch's thread. */
export class VmDirectory {
  readonly #byMac: Map<number, Adapter> = new Map()

  /**
   * An adapter is there. `mac`: `00:15:5d:00:00:01`. Characters that names of hosts have not become `-`. With an address of its own it has that for good,
   * and the name alone: nobody else can claim either.
   */
  add(mac: string, vmName: string, ownAddress = 0): void {
    this.#byMac.set(u48Of(mac), {
      name: vmName.toLowerCase().replaceAll(/[^a-z0-9_-]/g, '-'),
      address: ownAddress,
      isFixed: ownAddress !== 0,
    })
  }

  remove(mac: string): void {
    this.#byMac.delete(u48Of(mac))
  }

  has(mac: number): boolean {
    return this.#byMac.has(mac)
  }

  /** An adapter has that address, or 0: none. Strangers are nobody's. */
  learn(mac: number, address: number): void {
    const adapter = this.#byMac.get(mac)
    if (adapter === undefined || adapter.isFixed || this.isFixed(address)) return
    adapter.address = address
  }

  /** True for an address that somebody has for good. */
  isFixed(address: number): boolean {
    for (const one of this.#byMac.values()) if (one.isFixed && one.address === address) return true
    return false
  }

  /** Looks at a frame as it came: an ARP packet tells what its sender is. */
  look(frame: Uint8Array): void {
    if (frame.length < ARP_BYTES) return
    for (let at = 0; at < ARP_HEAD.length; at += 1) if (frame[TYPE_AT + at] !== ARP_HEAD[at]) return
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
    const mac = macAt(view, 6)
    const address = view.getUint32(SENDER_AT + 6)
    if (macAt(view, SENDER_AT) === mac && address !== 0) this.learn(mac, address)
  }

  /** Null: no machine has that name, in lower case. */
  addressesOf(name: string): readonly number[] | null {
    const named = [...this.#byMac.values()].filter((one) => one.name === name)
    if (named.length === 0) return null
    const fixed = named.filter(({ isFixed }) => isFixed)
    return (fixed.length > 0 ? fixed : named)
      .map(({ address }) => address)
      .filter((address) => address !== 0)
  }

  /** The first that says so; null: nobody. */
  nameOf(address: number): string | null {
    for (const one of this.#byMac.values()) if (one.address === address) return one.name
    return null
  }
}

/** An Ethernet address among bytes, as a number. */
export function macAt(view: DataView, at: number): number {
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2)
}
