// What the client needs from the guest it runs in: hypercalls and pages. A guest's kernel makes one.

import type { GuestMemory } from '@guestyard/guestmem'

/** The guest, as the client uses it. Called on the client's thread only. */
export interface ClientTransport {
  readonly memory: GuestMemory
  /** HvCallPostMessage with message type 1. Returns an HvStatus. */
  postMessage(connectionId: number, payload: Uint8Array, length: number): number
  /** HvCallSignalEvent. Returns an HvStatus. HOT: allocates nothing. */
  signalEvent(connectionId: number, flag: number): number
  /** PFNs of `count` free pages, in any order and place, or undefined when there are not as many. */
  allocatePages(count: number): ArrayLike<number> | undefined
  /** Takes back what `allocatePages` gave. */
  freePages(pfns: ArrayLike<number>): void
}
