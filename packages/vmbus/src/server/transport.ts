// What the server needs from the machine it runs in: messages and interrupts towards one partition. The
// root partition makes one per guest, over the hypervisor and its interrupt routing.

import type { Iommu } from '@guestyard/guestmem'

/** One guest, as the server reaches it. Called on the server's thread only. */
export interface ServerTransport {
  /** The guest's memory, as devices reach it: each through a domain of its own. */
  readonly iommu: Iommu
  /** VPs of the guest, 1 or more; they are numbered from 0. */
  readonly vpCount: number
  /**
   * Posts a control message to SINT 2 of a VP. Returns an HvStatus: INSUFFICIENT_BUFFERS while the
   * VP's queue is full (the server keeps the message and tries again), any other failure is final.
   */
  postMessage(vp: number, payload: Uint8Array, length: number): number
  /** Sets event flag `relid` of SINT 2 on a VP. Returns an HvStatus. HOT: allocates nothing. */
  signalChannel(vp: number, relid: number): number
  /** Makes the connection that the guest signals for this channel id; returns its connection id. */
  connectChannel(relid: number): number
  /** Ends that connection: the channel id is free. */
  disconnectChannel(relid: number): void
}
