// What a port is allowed, as its owner says it: plain data, checked here.

import { parseMacAddress } from '../mac-address.ts'

/** VLANs of a port. `access`: in one, by its owner's word, frames without tags. `trunk`: in several, tags say which. */
export type PortVlan =
  | { readonly mode: 'untagged' }
  | { readonly mode: 'access'; readonly id: number }
  | { readonly mode: 'trunk'; readonly native: number; readonly allowed: readonly number[] }

export interface PortSettings {
  /** For inspection and captures. */
  readonly name?: string
  /** The address of the adapter, such as `00:15:5d:00:00:01`. Without one the port sends from any address. */
  readonly address?: string
  /** It may send from other addresses too, and gets frames to addresses that nobody knows. Default false with an address. */
  readonly macSpoofing?: boolean
  readonly dhcpGuard?: boolean
  readonly routerGuard?: boolean
  readonly vlan?: PortVlan
  /** `source`: what goes in and out here is copied to the ports that are `destination`. */
  readonly mirror?: 'none' | 'source' | 'destination'
  /** Most bits a second that it sends; 0, the default: as many as it can. */
  readonly maxBitsPerSecond?: number
  /**
   * Frames a second that it may send to everybody: broadcasts, groups, addresses that nobody knows. Default 4096; 512 of them at once. One that
   * sends more waits, with all that it sends.
   */
  readonly floodsPerSecond?: number
  /** Its share of the switch's capacity when others want it too, 1..100. Default 1. */
  readonly weight?: number
}

const VLAN_ID_MAX = 4094
const FLOODS_PER_SECOND = 4_096
/** VLAN of ports that are in none. */
export const NO_VLAN = 0

/** Settings with everything filled in, as the switch looks at them. */
export class PortRules {
  readonly name: string
  readonly addressHigh: number
  readonly addressLow: number
  readonly hasAddress: boolean
  readonly macSpoofing: boolean
  readonly dhcpGuard: boolean
  readonly routerGuard: boolean
  readonly isTrunk: boolean
  /** VLAN of frames without tags. */
  readonly nativeVlan: number
  /** By VLAN id: 1 when the trunk is in it. */
  readonly allowed: Uint8Array
  readonly isMirrorSource: boolean
  readonly isMirrorDestination: boolean
  readonly maxBitsPerSecond: number
  readonly floodsPerSecond: number
  readonly weight: number

  /** Throws a RangeError for what is out of range. */
  constructor(settings: PortSettings) {
    const { address, vlan = { mode: 'untagged' }, mirror = 'none', weight = 1 } = settings
    const { maxBitsPerSecond = 0 } = settings
    const parsed = address === undefined ? undefined : parseMacAddress(address)
    this.name = settings.name ?? 'port'
    this.hasAddress = parsed !== undefined
    this.addressHigh = parsed?.high ?? 0
    this.addressLow = parsed?.low ?? 0
    this.macSpoofing = settings.macSpoofing ?? parsed === undefined
    this.dhcpGuard = settings.dhcpGuard ?? false
    this.routerGuard = settings.routerGuard ?? false
    this.isTrunk = vlan.mode === 'trunk'
    this.allowed = new Uint8Array(VLAN_ID_MAX + 2)
    this.nativeVlan = NO_VLAN
    if (vlan.mode === 'access') this.nativeVlan = vlanId(vlan.id)
    if (vlan.mode === 'trunk') {
      this.nativeVlan = vlan.native === NO_VLAN ? NO_VLAN : vlanId(vlan.native)
      for (const id of vlan.allowed) this.allowed[vlanId(id)] = 1
    }
    this.isMirrorSource = mirror === 'source'
    this.isMirrorDestination = mirror === 'destination'
    if (!(maxBitsPerSecond >= 0)) {
      throw new RangeError(`maxBitsPerSecond must not be negative, got ${maxBitsPerSecond}`)
    }
    this.maxBitsPerSecond = maxBitsPerSecond
    const { floodsPerSecond = FLOODS_PER_SECOND } = settings
    if (!(floodsPerSecond > 0)) {
      throw new RangeError(`floodsPerSecond must be over 0, got ${floodsPerSecond}`)
    }
    this.floodsPerSecond = floodsPerSecond
    if (!(weight >= 1 && weight <= 100)) {
      throw new RangeError(`weight must be from 1 to 100, got ${weight}`)
    }
    this.weight = weight
  }
}

function vlanId(id: number): number {
  if (Number.isInteger(id) && id >= 1 && id <= VLAN_ID_MAX) return id
  throw new RangeError(`a VLAN id is from 1 to ${VLAN_ID_MAX}, got ${id}`)
}
