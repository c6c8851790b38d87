// The life of a channel as the guest sees it, as one table. The server moves by it and the model test
// compares against it; what each move sends is in host-channels.ts.
//
//   open, close, release    the guest's messages OPENCHANNEL, CLOSECHANNEL, RELID_RELEASED
//   revoke                  the host takes the device away
//   opened, refused         the device's answer to an open
//   drained                 the device has stopped: it touches the guest's memory no more
//   disconnect              the connection ends: unload, a new contact, or a reset of the guest
//
// Answers that are no state: `unknown` the guest has no such channel, `error` the guest's fault, dropped,
// `ignored` a message that crossed the rescind, `removed` the offer is gone and its id free,
// `impossible` ours: nothing can cause it.

import { assert, assertNever } from '@guestyard/hvdef'
import type { GuestError } from './events.ts'

export type ChannelStateName =
  | 'client-released' //          not offered: the guest does not know the channel
  | 'closed' //                   offered
  | 'opening' //                  the device was asked
  | 'open'
  | 'closing' //                  the device was told to stop
  | 'closing-reopen' //           the same, and the guest has asked to open again
  | 'revoked' //                  rescinded; the id is not free before the guest releases it
  | 'reoffered' //                the same, and the device is back: offered again after the release
  | 'closing-client-release' //   the guest is gone, the device has not stopped yet
  | 'opening-client-release' //   the guest is gone, the device has not answered yet

export type ChannelEventName =
  | 'open'
  | 'close'
  | 'release'
  | 'revoke'
  | 'opened'
  | 'refused'
  | 'drained'
  | 'disconnect'

export type NoTransition = 'unknown' | 'error' | 'ignored' | 'removed' | 'impossible'
export type ChannelOutcome = ChannelStateName | NoTransition

type Row = Readonly<Record<ChannelEventName, ChannelOutcome>>

export const CHANNEL_TABLE = {
  'client-released': {
    open: 'unknown',
    close: 'unknown',
    release: 'unknown',
    revoke: 'removed',
    opened: 'impossible',
    refused: 'impossible',
    drained: 'impossible',
    disconnect: 'client-released',
  },
  closed: {
    open: 'opening',
    close: 'error',
    release: 'client-released',
    revoke: 'revoked',
    opened: 'impossible',
    refused: 'impossible',
    drained: 'impossible',
    disconnect: 'client-released',
  },
  opening: {
    open: 'error',
    close: 'error',
    release: 'error',
    revoke: 'revoked',
    opened: 'open',
    refused: 'closed',
    drained: 'impossible',
    disconnect: 'opening-client-release',
  },
  open: {
    open: 'error',
    close: 'closing',
    release: 'error',
    revoke: 'revoked',
    opened: 'impossible',
    refused: 'impossible',
    drained: 'open', //            the device failed its channel: the guest has yet to close it
    disconnect: 'closing-client-release',
  },
  closing: {
    open: 'closing-reopen',
    close: 'error',
    release: 'closing-client-release',
    revoke: 'revoked',
    opened: 'impossible',
    refused: 'impossible',
    drained: 'closed',
    disconnect: 'closing-client-release',
  },
  'closing-reopen': {
    open: 'error',
    close: 'error',
    release: 'error',
    revoke: 'revoked',
    opened: 'impossible',
    refused: 'impossible',
    drained: 'opening',
    disconnect: 'closing-client-release',
  },
  revoked: {
    open: 'ignored',
    close: 'ignored',
    release: 'removed',
    revoke: 'impossible',
    opened: 'impossible',
    refused: 'impossible',
    drained: 'revoked',
    disconnect: 'removed',
  },
  reoffered: {
    open: 'ignored',
    close: 'ignored',
    release: 'closed',
    revoke: 'revoked',
    opened: 'impossible',
    refused: 'impossible',
    drained: 'reoffered',
    disconnect: 'client-released',
  },
  'closing-client-release': {
    open: 'unknown',
    close: 'unknown',
    release: 'unknown',
    revoke: 'removed',
    opened: 'impossible',
    refused: 'impossible',
    drained: 'client-released',
    disconnect: 'closing-client-release',
  },
  'opening-client-release': {
    open: 'unknown',
    close: 'unknown',
    release: 'unknown',
    revoke: 'removed',
    opened: 'impossible', //       an answer that comes late is closed and drained
    refused: 'impossible',
    drained: 'client-released',
    disconnect: 'opening-client-release',
  },
} as const

/** What an event can come to, in one state or another. */
export type OutcomeOf<E extends ChannelEventName> = Exclude<
  (typeof CHANNEL_TABLE)[ChannelStateName][E],
  'impossible'
>

/** The outcome of an event in a state. `impossible` throws: it is a bug of the server. */
export function stepChannel<E extends ChannelEventName>(
  state: ChannelStateName,
  event: E,
): OutcomeOf<E> {
  const row: Row = CHANNEL_TABLE[state]
  const outcome = row[event]
  assert(outcome !== 'impossible', `A ${state} channel never meets the event ${event}.`)
  return outcome as OutcomeOf<E>
}

/** True while the guest may name the channel in a message. */
export function isKnownToGuest(state: ChannelStateName): boolean {
  switch (state) {
    case 'client-released':
    case 'closing-client-release':
    case 'opening-client-release':
      return false
    case 'closed':
    case 'opening':
    case 'open':
    case 'closing':
    case 'closing-reopen':
    case 'revoked':
    case 'reoffered':
      return true
  }
}

/** How an answer without a transition is counted. */
export function errorOf(outcome: 'unknown' | 'error' | 'ignored'): GuestError {
  switch (outcome) {
    case 'unknown':
      return 'unknown-channel'
    case 'error':
      return 'wrong-state'
    case 'ignored':
      return 'ignored'
    default:
      return assertNever(outcome)
  }
}
