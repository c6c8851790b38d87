// What the channels of a guest share with its connection.

import type { ActiveList } from '../active-list.ts'
import type { VmbusServerEvent } from './events.ts'
import type { Gpadls } from './gpadls.ts'
import type { VmbusLimits } from './limits.ts'
import type { ServerTransport } from './transport.ts'

export interface BusServices {
  readonly transport: ServerTransport
  readonly limits: VmbusLimits
  readonly gpadls: Gpadls
  readonly active: ActiveList
  /** Version in force, 0 without a connection. */
  readonly version: number
  /** The guest has asked for offers: new ones are sent at once. */
  readonly offering: boolean
  send(message: Uint8Array): void
  report(event: VmbusServerEvent): void
  /** Units of a poll's budget beyond the one that every message takes. */
  spend(units: number): void
  /** A device has stopped. */
  drained(): void
}
