// What one guest may make the server hold. Each limit bounds memory; reaching one costs the guest an
// answer with a status, or the reading of its messages, and nobody else anything.

import { VMBUS_CHANNELS_MAX } from '@guestyard/hvdef'

export interface VmbusLimits {
  /** Channels offered at a time, 1..2047: more stay unoffered until ids are free. */
  readonly channels: number
  /** Sub-channels of one device, 0..2046. */
  readonly subChannels: number
  /** GPADLs of all channels, in progress or complete. */
  readonly gpadls: number
  /** Bytes that all GPADLs take: 8 for each page, and GPADL_RANGE_BYTES for each range. */
  readonly gpadlListBytes: number
  /** Pages of both rings of a channel, control pages included. */
  readonly ringPages: number
  /** Answers that wait for the guest's message slot before the guest's own messages are left unread. */
  readonly queuedMessages: number
}

/**
 * What a range takes here besides its list: a range of one page comes as 16 bytes and is kept as objects of some 650. Charged in
 * full, so that many small ranges cost a guest what they cost the host.
 */
export const GPADL_RANGE_BYTES = 672

export const DEFAULT_LIMITS: VmbusLimits = {
  channels: VMBUS_CHANNELS_MAX,
  subChannels: 64,
  gpadls: 2048,
  gpadlListBytes: 8 * 1024 * 1024,
  ringPages: 16_384,
  queuedMessages: 64,
}

/**
 * Units of a poll's budget that opening a channel takes, where another message takes one: its rings' pages are found, the private
 * memory of its ends is emptied, its device starts.
 */
export const OPEN_UNITS = 8
/** On top, for as many pages of rings as are found in a message's time. */
export const OPEN_PAGES_PER_UNIT = 256
/** On top, when no closed channel of the partition had left a private memory: the platform makes one. */
export const FRESH_OPEN_UNITS = 16

/** Messages that one guest message may put on the queue besides offers: its own answer. */
const ANSWERS_PER_MESSAGE = 1
/** Messages that the host may owe one channel id: an offer, the result of an open, a rescind. */
const OWED_PER_CHANNEL = 3
/** ALLOFFERS_DELIVERED. */
const OWED_PER_CONNECTION = 1

/**
 * The most messages that can ever wait. Below `queuedMessages` one more guest message is read, which is
 * answered; above it none is. What the host owes beyond that is bounded by what exists: three messages a
 * channel id, since an id returns only by a message of the guest; and one a GPADL, since a GPADL has
 * one answer outstanding at a time and its next request is a message of the guest.
 */
export function queuedMessagesBound(limits: VmbusLimits): number {
  const owed = limits.channels * OWED_PER_CHANNEL + limits.gpadls + OWED_PER_CONNECTION
  return limits.queuedMessages + ANSWERS_PER_MESSAGE + owed
}
