// What both ends of a channel share: the rings, the peer to signal, and the program that runs on them.
// A device sees a channel only through these interfaces, whichever family it belongs to.

import type { IncomingRing, OutgoingRing } from '@guestyard/ring'

/** What an engine drives. Never waits, never reads a clock, never throws for a peer's fault. */
export interface Machine {
  /** Does what can be done now, at most about `budget` units of work; returns the units done. */
  poll(budget: number): number
  /** Before sleeping: asks the peers for signals. True: there is work after all, do not sleep. */
  arm(): boolean
  /** After waking: no signals are wanted while polling. */
  disarm(): void
}

/** One end of an open channel. Used by the thread that owns the bus end, and by no other. */
export interface Channel {
  /** Channel id on the bus, 1..2047. */
  readonly relid: number
  /** Packets from the peer. */
  readonly incoming: IncomingRing
  /** Packets to the peer. */
  readonly outgoing: OutgoingRing
  /** VP of the guest that takes this channel's interrupts, or HV_VP_INDEX_ANY for none. */
  readonly targetVp: number
  /** The 120 bytes that the guest sent with its open request, as a private copy. */
  readonly userDefined: Uint8Array
  /** Interrupts the peer. Called when a ring's commit says that the peer wants it. */
  signal(): void
}

/**
 * What a device runs on an open channel. The bus polls it while it is signalled or finds work; a program
 * that found none for some hundred polls is armed and left alone until the next signal.
 */
export interface ChannelProgram extends Machine {
  /**
   * The channel is over: touch its rings and the guest's memory no more. `'pending'` when work that
   * touches the memory cannot stop yet; `completeClose` on the channel then ends it (server only).
   */
  close(): CloseResult
  /**
   * What of it lies neither in the rings nor in guest memory; null while some of its work is under way. Between polls, while the guest
   * stands still. A program without it can't be saved (server only).
   */
  save?(): SavedProgram | null
  /** A program that was just opened over rings that were saved goes on from there. False: it can't. */
  restore?(saved: SavedProgram): boolean
}

/** Plain data of a program, under a version of its own. */
export interface SavedProgram {
  readonly version: number
  readonly [field: string]: string | number | boolean
}

export type CloseResult = void | 'pending'
