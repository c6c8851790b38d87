// A partition's network adapter as plain data: what management asks the root to plug into which switch.

import type { PortSettings } from '@guestyard/network'

/** Adapters of a partition, as Hyper-V has them. */
export const NICS_MAX = 8
/** RNDIS tells a link's speed as a u32 in units of 100 bit/s: this still fits. */
export const LINK_MBPS_MAX = 400_000

export interface NicSpec extends PortSettings {
  /** Name of the switch. It is there from its first adapter on. */
  readonly switch: string
  /** Payload bytes of a frame that the guest is told, 576..9000. Default 1500. */
  readonly mtuBytes?: number
  /** Link speed that the guest is told, in Mbit/s, 1..400000; what it may send is `maxBitsPerSecond`. Default 10000. */
  readonly linkMbps?: number
}
