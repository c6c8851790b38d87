// What a VP's thread is handed: by the root, to be posted to it, and by its own engine. Types only.

import type { GuestMemory } from '@guestyard/guestmem'
import type { PrivilegeMask } from '@guestyard/hvdef'
import type { Trace } from '@guestyard/trace'

import type { Clock } from './clock.ts'
import type { Translations } from './siblings.ts'
import type { Wake } from './wake.ts'

/** What the VP's thread needs: plain data and shared buffers, for `postMessage`. */
export interface VpHandles {
  readonly partitionId: number
  readonly vpIndex: number
  readonly vpCount: number
  readonly privileges: PrivilegeMask
  /** The root's clock when the partition was created, 100 ns. */
  readonly createdAt100ns: number
  readonly partitionPage: SharedArrayBuffer
  readonly vpPage: SharedArrayBuffer
  /** What is at each page of GPA space: for a `SlatReader`. */
  readonly slat: SharedArrayBuffer
  /** Doorbells of the partition's VPs, in their order; empty where nobody made any. */
  readonly vpDoorbells: readonly SharedArrayBuffer[]
}

export interface VirtualProcessorOptions {
  /** RAM of the partition. */
  readonly memory: GuestMemory
  /** Wakes the root for this VP's outbox. */
  readonly wakeRoot: Wake
  /** Counts from the same start as the root's clock. */
  readonly clock: Clock
  readonly trace?: Trace | null
  /** Doorbells of the partition's VPs, in their order. Siblings that are not rung see an interrupt at their next poll. */
  readonly wakeVps?: readonly Wake[]
  /** Where this VP's guest code caches translations; left out when it does not. */
  readonly translations?: Translations
  /** 100 ns that this VP has run, by whoever accounts for it; left out: the time that it had a processor. */
  readonly runtime100ns?: () => number
}
