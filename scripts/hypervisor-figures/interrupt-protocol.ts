/** What the VP's thread of the interrupt figures is started with, and the words by which both ends agree. */

import type { WasmMemory } from '@guestyard/guestmem'
import type { VpHandles } from '@guestyard/hypervisor'

export interface VpThreadData {
  readonly handles: VpHandles
  readonly memory: WasmMemory
  readonly clockOriginMs: number
  /** Doorbells: rung by the root, and by the VP. */
  readonly toVp: SharedArrayBuffer
  readonly toRoot: SharedArrayBuffer
  /** Two words: PHASE and SEEN. */
  readonly control: SharedArrayBuffer
}

/** Word: how the VP's thread is to answer, and how it does. Written by the root's side, and by the VP's. */
export const PHASE = 0
export const SEEN = 16

export const Phase = {
  STARTING: 0,
  /** A doorbell answers a doorbell. */
  BARE: 1,
  /** A doorbell answers an interrupt, from the guest's handler. */
  INTERRUPT: 2,
  END: 3,
} as const
