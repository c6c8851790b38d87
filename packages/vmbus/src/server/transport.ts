// What the server needs from the machine it runs in: messages and interrupts towards one partition. The
// root partition makes one per guest, over the hypervisor and its interrupt routing.

import type { Iommu } from '@guestyard/guestmem'

/** The interrupt of one open channel. What is raised is delivered once, whatever becomes of the route meanwhile. */
export interface ChannelInterrupt {
  /** Returns an HvStatus. HOT: allocates nothing. */
  raise(): number
  /** Another VP takes it from now on, and one that the VP before has not taken yet. Returns an HvStatus. */
  retarget(vp: number): number
  /** The channel is closed. */
  close(): void
}

/** One guest, as the server reaches it. Called on the server's thread only. */
export interface ServerTransport {
  /** The guest's memory, as devices reach it: each through a domain of its own. */
  readonly iommu: Iommu
  /** True when the guest has a VP of this number now: any may be asked. VPs come and go by the root's calls. */
  hasVp(vp: number): boolean
  /**
   * Posts a control message to SINT 2 of a VP. Returns an HvStatus: INSUFFICIENT_BUFFERS while the
   * VP's queue is full (the server keeps the message and tries again), any other failure is final.
   */
  postMessage(vp: number, payload: Uint8Array, length: number): number
  /** The channel has opened: the right to set event flag `relid` of SINT 2, on this VP at first. */
  openInterrupt(relid: number, vp: number): ChannelInterrupt
  /** Makes the connection that the guest signals for this channel id; returns its connection id. */
  connectChannel(relid: number): number
  /** Ends that connection: the channel id is free. */
  disconnectChannel(relid: number): void
}
