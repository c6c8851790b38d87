// The client as plain data.

import type { Guid } from '@guestyard/hvdef'
import type { ClientChannelState } from './client-channel.ts'
import type { ClientState } from './client-connection.ts'

export interface ClientChannelInspection {
  readonly relid: number
  readonly classId: Guid
  readonly subChannelIndex: number
  readonly state: ClientChannelState
  readonly targetVp: number
}

export interface VmbusClientInspection {
  readonly connection: ClientState['is']
  /** Version in force, 0 without a connection. */
  readonly version: number
  readonly offers: number
  /** Channels that are opening, open or closing. */
  readonly channels: readonly ClientChannelInspection[]
  readonly gpadls: number
  readonly activeChannels: number
  /** Messages that the host had no room for yet. */
  readonly queuedPosts: number
  /** Messages of the host that were malformed, or that nothing waited for. */
  readonly droppedMessages: number
  /** Events for channels without a program. */
  readonly strayEvents: number
}
