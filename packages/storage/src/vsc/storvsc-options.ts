// What the driver of a controller is given, and whom it tells.

import type { CloseReason } from '@guestyard/vmbus/client'
import type { StorUnit } from './lun-scan.ts'
import type { StorRequest } from './stor-request.ts'

/** Whoever uses the controller. Called from the driver's poll on the VP's thread. */
export interface StorVscListener {
  /** Requests may be submitted. */
  onReady?(): void
  /** What units there are, each time they have been looked for. */
  onUnits?(units: readonly StorUnit[]): void
  /** A request has not ended in time. It is still the host's; `reset` asks the host to give it up. */
  onLate?(request: StorRequest): void
  /** The host has reset the bus, as `reset` asked. */
  onReset?(isDone: boolean): void
  /** The controller will not work; `reason` is one line. */
  onFailed?(reason: string): void
  /** The channel is closed. Every request has ended, with GONE if not before. */
  onClosed?(reason: CloseReason): void
}

export interface StorVscOptions {
  readonly listener: StorVscListener
  /** A page of the guest's that the driver alone uses, for what units say of themselves. */
  readonly scratchPfn: number
  readonly memory: { readonly u8: Uint8Array }
  /** Milliseconds, for what is late. */
  readonly clock: { readonly nowMs: number }
  /** Sub-channels to ask for: as a rule one less than there are VPs. Default 0. */
  readonly subChannels?: number
  /** Requests that the host has at a time, for each channel. Default 128. */
  readonly depth?: number
  /** After which a request is late. Default a minute. */
  readonly timeoutMs?: number
  /** Data bytes of each ring of a channel. Default as Linux. */
  readonly ringBytes?: number
}
