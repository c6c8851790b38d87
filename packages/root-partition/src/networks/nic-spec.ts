// A partition's network adapter as plain data: what management asks the root to plug into which switch.

import type { PortSettings } from '@guestyard/network'

/** Adapters of a partition, as Hyper-V has them. */
export const NICS_MAX = 8

export interface NicSpec extends PortSettings {
  /** Name of the switch. It is there from its first adapter on. */
  readonly switch: string
  /** Payload bytes of a frame that the guest is told, 576..9000. Default 1500. */
  readonly mtuBytes?: number
}
