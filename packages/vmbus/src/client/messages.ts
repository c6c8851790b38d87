// The messages a guest sends, as bytes. Cold path: each is packed anew.

import {
  ChannelMessage,
  EmptyMessage,
  GPADL_BODY_QWORDS_MAX,
  GPADL_HEADER_QWORDS_MAX,
  GpadlBodyMessage,
  GpadlHeaderMessage,
  GpadlTeardownMessage,
  InitiateContactLegacyMessage,
  InitiateContactMessage,
  ModifyChannelMessage,
  OpenChannelMessage,
  VMBUS_SINT,
  VmbusMessageType,
  usesMessageConnectionV5,
} from '@guestyard/hvdef'
import { encodePageRange, encodedRangeBytes } from '@guestyard/guestmem'

const QWORD = 8
const MESSAGE_VTL = 0

/** Bytes of guest memory for a GPADL: `pfns[0]` holds the first of them. */
export interface GpadlRangeOptions {
  readonly pfns: ArrayLike<number>
  /** Into the first page, 0..4095. */
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** INITIATE_CONTACT. No monitor pages: the host then offers no monitored channels. */
export function initiateContact(version: number, targetVp: number): Uint8Array {
  const messageType = VmbusMessageType.INITIATE_CONTACT
  const pages = { parentToChildMonitorGpa: 0n, childToParentMonitorGpa: 0n }
  if (!usesMessageConnectionV5(version)) {
    return InitiateContactLegacyMessage.pack({
      messageType,
      version,
      targetVp,
      interruptPageGpa: 0n,
      ...pages,
    })
  }
  return InitiateContactMessage.pack({
    messageType,
    version,
    targetVp,
    targetSint: VMBUS_SINT,
    targetVtl: MESSAGE_VTL,
    featureFlags: 0,
    ...pages,
  })
}

export function requestOffers(): Uint8Array {
  return EmptyMessage.pack({ messageType: VmbusMessageType.REQUESTOFFERS })
}

export function unload(): Uint8Array {
  return EmptyMessage.pack({ messageType: VmbusMessageType.UNLOAD })
}

export interface OpenFields {
  readonly relid: number
  readonly openId: number
  readonly ringGpadlId: number
  readonly targetVp: number
  readonly downstreamPageOffset: number
  readonly userDefined: Uint8Array
}

export function openChannel(fields: OpenFields): Uint8Array {
  const { relid, ...rest } = fields
  return OpenChannelMessage.pack({
    messageType: VmbusMessageType.OPENCHANNEL,
    channelId: relid,
    ...rest,
  })
}

export function closeChannel(relid: number): Uint8Array {
  return ChannelMessage.pack({ messageType: VmbusMessageType.CLOSECHANNEL, channelId: relid })
}

export function relidReleased(relid: number): Uint8Array {
  return ChannelMessage.pack({ messageType: VmbusMessageType.RELID_RELEASED, channelId: relid })
}

export function gpadlTeardown(relid: number, gpadlId: number): Uint8Array {
  return GpadlTeardownMessage.pack({
    messageType: VmbusMessageType.GPADL_TEARDOWN,
    channelId: relid,
    gpadlId,
  })
}

export function modifyChannel(relid: number, targetVp: number): Uint8Array {
  return ModifyChannelMessage.pack({
    messageType: VmbusMessageType.MODIFYCHANNEL,
    channelId: relid,
    targetVp,
  })
}

/** Bytes of range data that the ranges take; more than GPADL_RANGE_BYTES_MAX cannot be described. */
export function gpadlRangeBytes(ranges: readonly GpadlRangeOptions[]): number {
  const bytes = (sum: number, range: GpadlRangeOptions): number =>
    sum + encodedRangeBytes(range.offsetBytes, range.lengthBytes)
  return ranges.reduce(bytes, 0)
}

/** GPADL_HEADER, and as many GPADL_BODY as the ranges need. */
export function gpadlMessages(
  relid: number,
  gpadlId: number,
  ranges: readonly GpadlRangeOptions[],
): Uint8Array[] {
  const data = new Uint8Array(gpadlRangeBytes(ranges))
  const view = new DataView(data.buffer)
  let at = 0
  for (const range of ranges) {
    at += encodePageRange(view, at, range.offsetBytes, range.lengthBytes, range.pfns)
  }
  const inHeader = data.subarray(0, GPADL_HEADER_QWORDS_MAX * QWORD)
  const header = GpadlHeaderMessage.pack({
    messageType: VmbusMessageType.GPADL_HEADER,
    channelId: relid,
    gpadlId,
    rangeBytes: data.length,
    rangeCount: ranges.length,
  })
  const messages = [concatenate(header, inHeader)]
  const perBody = GPADL_BODY_QWORDS_MAX * QWORD
  for (let from = inHeader.length; from < data.length; from += perBody) {
    const body = GpadlBodyMessage.pack({
      messageType: VmbusMessageType.GPADL_BODY,
      messageNumber: messages.length - 1,
      gpadlId,
    })
    messages.push(concatenate(body, data.subarray(from, from + perBody)))
  }
  return messages
}

function concatenate(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.length + tail.length)
  whole.set(head)
  whole.set(tail, head.length)
  return whole
}
