// An offer as the guest got it, and what the client reports.

import { PipeMode, VmbusOfferFlag, OfferChannelMessage } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

/** A device that the host offers. Valid until it is rescinded, or the bus is left. */
export interface ChannelOffer {
  readonly relid: number
  readonly classId: Guid
  readonly instanceId: Guid
  /** 0 for the primary. */
  readonly subChannelIndex: number
  /** `VmbusOfferFlag` bits. */
  readonly flags: number
  readonly mmioMegabytes: number
  readonly userDefined: Uint8Array
  /** What is signalled for this channel. */
  readonly connectionId: number
  /** `PipeMode` of an offer in pipe mode, undefined for raw packets. */
  readonly pipeMode: number | undefined
}

/** Reads OFFERCHANNEL, at least 196 bytes. */
export function readOffer(view: DataView): ChannelOffer {
  const message = OfferChannelMessage.decode(view)
  const { flags, userDefined } = message
  const isPipe = (flags & VmbusOfferFlag.NAMED_PIPE_MODE) !== 0
  return {
    relid: message.channelId,
    classId: message.interfaceId,
    instanceId: message.instanceId,
    subChannelIndex: message.subChannelIndex,
    flags,
    mmioMegabytes: message.mmioMegabytes,
    userDefined,
    connectionId: message.connectionId,
    pipeMode: isPipe ? pipeModeOf(userDefined) : undefined,
  }
}

// Any mode that is not "message" is a stream of bytes.
function pipeModeOf(userDefined: Uint8Array): PipeMode {
  const mode = new DataView(userDefined.buffer, userDefined.byteOffset).getUint32(0, true)
  return mode === PipeMode.MESSAGE ? PipeMode.MESSAGE : PipeMode.BYTE
}

export type VmbusClientEvent =
  | { readonly is: 'connected'; readonly version: number }
  | { readonly is: 'version-refused'; readonly version: number }
  | { readonly is: 'connect-failed'; readonly reason: ConnectFailure }
  | { readonly is: 'offer'; readonly offer: ChannelOffer }
  | { readonly is: 'offers-delivered' }
  | { readonly is: 'rescind'; readonly offer: ChannelOffer }
  | { readonly is: 'post-failed'; readonly messageType: number; readonly status: number }
  | { readonly is: 'unloaded' }

export type ConnectFailure =
  | 'no-common-version'
  | 'host-failure' //       the host speaks the version and could not connect
  | 'post-failed'
