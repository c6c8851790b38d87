// A switch with settings as plain data: what management asks the root for before anything is plugged in.

import type { NatRule } from '@guestyard/network/uplinks'

/** What lies beyond a switch. */
export type UplinkSpec =
  | {
      /** The world, by sockets of this host: guests have `address` for their gateway, and reach whom `allow` lists. */
      readonly kind: 'nat'
      /** `10.0.0.254/24`: the gateway's own, and its network. */
      readonly address: string
      readonly allow: readonly NatRule[]
      /** Whether guests get addresses from it (DHCP); true when left out. */
      readonly dhcp?: boolean
      /** What stands behind the names of VMs; `guestyard.internal` when left out. */
      readonly domain?: string
      /** Names that this host is asked for: `example.com`, `*.example.com` for all below it, `*`. None when left out. */
      readonly names?: readonly string[]
    }
  | {
      /** Nothing: a station at `address` that gives addresses (DHCP) and names (DNS), in either engine. */
      readonly kind: 'services'
      /** `10.0.0.254/24`: its own, and its network. */
      readonly address: string
      readonly dhcp?: boolean
      readonly domain?: string
    }
  | {
      /** A switch elsewhere, over UDP with VXLAN's header: `192.0.2.1:4789` here, and there. */
      readonly kind: 'tunnel'
      readonly local: string
      readonly remote: string
      /** VXLAN network identifier, the same at both ends. 1 when left out. */
      readonly network?: number
    }
  | {
      /** What a pcapng file has, played into the switch. */
      readonly kind: 'player'
      readonly file: string
      /** 2: twice as fast. 1 when left out. */
      readonly speed?: number
    }

/** The root's own adapter on a switch, as Hyper-V's management operating system has one. */
export interface ManagementOSSpec {
  /** `10.0.0.1/24`: its own, and its network. */
  readonly address: string
  /** What guests call it where names are known; `root` when left out. */
  readonly name?: string
}

export interface SwitchSpec {
  readonly name: string
  readonly uplink?: UplinkSpec
  /** The root is on the switch too: it answers pings, in either engine. Left out: it is not. */
  readonly managementOS?: ManagementOSSpec
  /** Bits a second of all ports together, shared by weight; no limit when left out. */
  readonly capacityBitsPerSecond?: number
  /** A pcapng file of every frame that passes a guest's port. */
  readonly capture?: string
}
