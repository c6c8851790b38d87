// The messages a host sends, as bytes. Cold path: each is packed anew.

import {
  ChannelMessage,
  EmptyMessage,
  GpadlCreatedMessage,
  GpadlTorndownMessage,
  ModifyChannelResponseMessage,
  OfferChannelMessage,
  OpenChannelResultMessage,
  TlConnectResultMessage,
  VMBUS_MESSAGE_CONNECTION_ID_V5,
  VersionResponseMessage,
  VmbusMessageType,
  usesMessageConnectionV5,
} from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

/** Monitor id of an offer without monitored notification. */
const MONITOR_ID_NONE = 0xff
/** The host signals this channel by its own event flag, never by a shared page. */
const DEDICATED_INTERRUPT = 1

export interface OfferFields {
  readonly classId: Guid
  readonly instanceId: Guid
  readonly flags: number
  readonly mmioMegabytes: number
  readonly userDefined: Uint8Array
  readonly subChannelIndex: number
  readonly relid: number
  readonly connectionId: number
}

export function offerChannel(offer: OfferFields): Uint8Array {
  return OfferChannelMessage.pack({
    messageType: VmbusMessageType.OFFERCHANNEL,
    interfaceId: offer.classId,
    instanceId: offer.instanceId,
    flags: offer.flags,
    mmioMegabytes: offer.mmioMegabytes,
    userDefined: offer.userDefined,
    subChannelIndex: offer.subChannelIndex,
    optionalMmioMegabytes: 0,
    channelId: offer.relid,
    monitorId: MONITOR_ID_NONE,
    monitorAllocated: 0,
    dedicatedInterrupt: DEDICATED_INTERRUPT,
    connectionId: offer.connectionId,
  })
}

export function rescindChannelOffer(relid: number): Uint8Array {
  return ChannelMessage.pack({
    messageType: VmbusMessageType.RESCIND_CHANNELOFFER,
    channelId: relid,
  })
}

export function allOffersDelivered(): Uint8Array {
  return EmptyMessage.pack({ messageType: VmbusMessageType.ALLOFFERS_DELIVERED })
}

export function unloadResponse(): Uint8Array {
  return EmptyMessage.pack({ messageType: VmbusMessageType.UNLOAD_RESPONSE })
}

export function openChannelResult(relid: number, openId: number, status: number): Uint8Array {
  return OpenChannelResultMessage.pack({
    messageType: VmbusMessageType.OPENCHANNEL_RESULT,
    channelId: relid,
    openId,
    status,
  })
}

export function gpadlCreated(relid: number, gpadlId: number, status: number): Uint8Array {
  return GpadlCreatedMessage.pack({
    messageType: VmbusMessageType.GPADL_CREATED,
    channelId: relid,
    gpadlId,
    status,
  })
}

export function gpadlTorndown(gpadlId: number): Uint8Array {
  return GpadlTorndownMessage.pack({ messageType: VmbusMessageType.GPADL_TORNDOWN, gpadlId })
}

export function modifyChannelResponse(relid: number, status: number): Uint8Array {
  return ModifyChannelResponseMessage.pack({
    messageType: VmbusMessageType.MODIFYCHANNEL_RESPONSE,
    channelId: relid,
    status,
  })
}

export function tlConnectResult(endpointId: Guid, serviceId: Guid, status: number): Uint8Array {
  return TlConnectResultMessage.pack({
    messageType: VmbusMessageType.TL_CONNECT_RESULT,
    endpointId,
    serviceId,
    status,
  })
}

/** The version is spoken; `connectionState` says whether the connection stands. */
export function versionAccepted(version: number, connectionState: number): Uint8Array {
  return VersionResponseMessage.pack({
    messageType: VmbusMessageType.VERSION_RESPONSE,
    versionSupported: 1,
    connectionState,
    messageConnectionId: usesMessageConnectionV5(version)
      ? VMBUS_MESSAGE_CONNECTION_ID_V5
      : version,
  })
}

/** The version is not spoken: the guest asks again for another. */
export function versionRefused(): Uint8Array {
  return VersionResponseMessage.pack({
    messageType: VmbusMessageType.VERSION_RESPONSE,
    versionSupported: 0,
    connectionState: 0,
    messageConnectionId: 0,
  })
}
