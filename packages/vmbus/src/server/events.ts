// What the server tells its owner, and what it counts.

import type { Guid } from '@guestyard/hvdef'

/** Something happened that a log or an inventory wants. Cold path; guests can cause all but the first. */
export type VmbusServerEvent =
  | { readonly is: 'disconnected' }
  | { readonly is: 'connected'; readonly version: number; readonly targetVp: number }
  | { readonly is: 'version-refused'; readonly version: number }
  | ({ readonly is: 'channel-open' } & ChannelName)
  | ({ readonly is: 'channel-refused'; readonly status: number } & ChannelName)
  | ({ readonly is: 'channel-closed' } & ChannelName)
  | ({ readonly is: 'channel-failed'; readonly reason: number | string } & ChannelName)
  | { readonly is: 'guest-error'; readonly error: GuestError; readonly messageType: number }

export interface ChannelName {
  readonly relid: number
  readonly subChannelIndex: number
  readonly classId: Guid
  readonly instanceId: Guid
}

/** Why a guest's message was dropped, or answered with a failure. */
export type GuestError =
  | 'malformed' //          too short, too long, no known type
  | 'host-only' //          a type that only hosts send
  | 'wrong-version' //      a type that the negotiated version does not have
  | 'not-connected' //      nothing but contact counts here
  | 'unknown-channel'
  | 'wrong-state' //        the table has no such transition
  | 'ignored' //            crossed a rescind on its way
  | 'bad-gpadl'
  | 'bad-open'
  | 'bad-target'
  | 'limit'

export type GuestErrorCounts = Record<GuestError, number>

export function noErrors(): GuestErrorCounts {
  return {
    malformed: 0,
    'host-only': 0,
    'wrong-version': 0,
    'not-connected': 0,
    'unknown-channel': 0,
    'wrong-state': 0,
    ignored: 0,
    'bad-gpadl': 0,
    'bad-open': 0,
    'bad-target': 0,
    limit: 0,
  }
}
