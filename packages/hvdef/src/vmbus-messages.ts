// The VMBus control messages, in the order of their type numbers. Offsets count from the start of the
// message, which is the payload of a hypervisor message. "Channel id" is what other sources call relid.
//
// A struct is the least a receiver accepts; a longer message is legal and its tail is ignored, except in
// GPADL_HEADER and GPADL_BODY, whose tail is range data.

import { array, bytes, guid, i32, nested, struct, u16, u32, u64, u8 } from './struct.ts'

// The first 8 bytes of every message.
const header = { messageType: u32(0), padding: u32(4) }

/** A message without fields: 3, 4, 16, 17, 27, 28, 29. 8 bytes. */
export const EmptyMessage = struct('VMBUS_MESSAGE_HEADER', 8, { ...header })

/** A message that names a channel: 2, 7, 13, 20. 12 bytes. */
export const ChannelMessage = struct('VMBUS_CHANNEL_MESSAGE', 12, {
  ...header,
  channelId: u32(8),
})

/** 1 OFFERCHANNEL. 196 bytes. */
export const OfferChannelMessage = struct('OFFERCHANNEL', 196, {
  ...header,
  interfaceId: guid(8), //            device class
  instanceId: guid(24),
  reserved: bytes(40, 16),
  flags: u16(56), //                  VmbusOfferFlag
  mmioMegabytes: u16(58),
  userDefined: bytes(60, 120), //     pipe: PipeMode u32; hv_sock: HvSockOffer
  subChannelIndex: u16(180), //       0: primary
  optionalMmioMegabytes: u16(182),
  channelId: u32(184), //             1..2047
  monitorId: u8(188), //              0..127, 0xff when none
  monitorAllocated: u8(189), //       bit 0
  dedicatedInterrupt: u16(190), //    bit 0, set by every host since 2.4
  connectionId: u32(192), //          for HvCallSignalEvent, opaque to the guest
})

/** 5 OPENCHANNEL. 148 bytes. */
export const OpenChannelMessage = struct('OPENCHANNEL', 148, {
  ...header,
  channelId: u32(8),
  openId: u32(12), //                 echoed in the result
  ringGpadlId: u32(16),
  targetVp: u32(20), //               0xffffffff: no interrupts
  downstreamPageOffset: u32(24), //   pages of the guest-to-host ring
  userDefined: bytes(28, 120),
})

/** 5 OPENCHANNEL, version 6.0 with signal parameters or interrupt redirection granted. 156 bytes. */
export const OpenChannel2Message = struct('OPENCHANNEL2', 156, {
  ...OpenChannelMessage.fields,
  connectionId: u32(148),
  eventFlag: u16(152),
  flags: u16(154), //                 bit 0: redirect the interrupt
})

/** 6 OPENCHANNEL_RESULT. 20 bytes. */
export const OpenChannelResultMessage = struct('OPENCHANNEL_RESULT', 20, {
  ...header,
  channelId: u32(8),
  openId: u32(12),
  status: u32(16), //                 0: open
})

/** 8 GPADL_HEADER. 20 bytes, then up to 27 qwords of range data, aligned to 4 only. */
export const GpadlHeaderMessage = struct('GPADL_HEADER', 20, {
  ...header,
  channelId: u32(8),
  gpadlId: u32(12),
  rangeBytes: u16(16), //             of range data, over this message and all bodies
  rangeCount: u16(18),
})

/** 9 GPADL_BODY. 16 bytes, then up to 28 qwords of range data. Names no channel. */
export const GpadlBodyMessage = struct('GPADL_BODY', 16, {
  ...header,
  messageNumber: u32(8), //           ignored
  gpadlId: u32(12),
})

/** 10 GPADL_CREATED. 20 bytes. */
export const GpadlCreatedMessage = struct('GPADL_CREATED', 20, {
  ...header,
  channelId: u32(8),
  gpadlId: u32(12),
  status: u32(16), //                 0: created
})

/** 11 GPADL_TEARDOWN. 16 bytes. */
export const GpadlTeardownMessage = struct('GPADL_TEARDOWN', 16, {
  ...header,
  channelId: u32(8),
  gpadlId: u32(12),
})

/** 12 GPADL_TORNDOWN. 12 bytes: no channel, no status. */
export const GpadlTorndownMessage = struct('GPADL_TORNDOWN', 12, {
  ...header,
  gpadlId: u32(8),
})

/** 14 INITIATE_CONTACT from 5.0 on. 40 bytes. */
export const InitiateContactMessage = struct('INITIATE_CONTACT', 40, {
  ...header,
  version: u32(8), //                 VmbusVersion
  targetVp: u32(12), //               that receives control messages
  targetSint: u8(16),
  targetVtl: u8(17),
  reserved: u16(18),
  featureFlags: u32(20), //           VmbusFeature, from 6.0 on
  parentToChildMonitorGpa: u64(24),
  childToParentMonitorGpa: u64(32),
})

/** 14 INITIATE_CONTACT before 5.0. 40 bytes. */
export const InitiateContactLegacyMessage = struct('INITIATE_CONTACT (before 5.0)', 40, {
  ...header,
  version: u32(8),
  targetVp: u32(12),
  interruptPageGpa: u64(16),
  parentToChildMonitorGpa: u64(24),
  childToParentMonitorGpa: u64(32),
})

/** 14 INITIATE_CONTACT, version 6.0 asking for the client-id feature. 56 bytes. */
export const InitiateContact2Message = struct('INITIATE_CONTACT2', 56, {
  ...InitiateContactMessage.fields,
  clientId: guid(40),
})

/** 15 VERSION_RESPONSE. 16 bytes. */
export const VersionResponseMessage = struct('VERSION_RESPONSE', 16, {
  ...header,
  versionSupported: u8(8), //         1: the version asked for is spoken
  connectionState: u8(9), //          VmbusConnectionState
  reserved: u16(10),
  messageConnectionId: u32(12), //    from 5.0 on; before, the version again
})

/** 15 VERSION_RESPONSE, version 6.0. 20 bytes. */
export const VersionResponse2Message = struct('VERSION_RESPONSE2', 20, {
  ...VersionResponseMessage.fields,
  supportedFeatures: u32(16),
})

/** 15 VERSION_RESPONSE, version 6.0 with server-specified monitor pages granted. 40 bytes. */
export const VersionResponse3Message = struct('VERSION_RESPONSE3', 40, {
  ...VersionResponse2Message.fields,
  reserved2: u32(20),
  parentToChildMonitorGpa: u64(24),
  childToParentMonitorGpa: u64(32),
})

/** 18 OPEN_RESERVED_CHANNEL. 28 bytes (openvmm `OpenReservedChannel`). */
export const OpenReservedChannelMessage = struct('OPEN_RESERVED_CHANNEL', 28, {
  ...header,
  channelId: u32(8),
  targetVp: u32(12),
  targetSint: u32(16),
  ringGpadlId: u32(20),
  downstreamPageOffset: u32(24),
})

/** 19 CLOSE_RESERVED_CHANNEL. 20 bytes (openvmm `CloseReservedChannel`). */
export const CloseReservedChannelMessage = struct('CLOSE_RESERVED_CHANNEL', 20, {
  ...header,
  channelId: u32(8),
  targetVp: u32(12),
  targetSint: u32(16),
})

/** 21 TL_CONNECT_REQUEST: a guest's hv_sock connects to the host. 40 bytes. */
export const TlConnectRequestMessage = struct('TL_CONNECT_REQUEST', 40, {
  ...header,
  endpointId: guid(8), //             of the guest
  serviceId: guid(24), //             of the host
})

/** 21 TL_CONNECT_REQUEST from 5.2 on, told apart by its length. 56 bytes. */
export const TlConnectRequest2Message = struct('TL_CONNECT_REQUEST2', 56, {
  ...TlConnectRequestMessage.fields,
  siloId: guid(40),
})

/** 22 MODIFYCHANNEL. 16 bytes. */
export const ModifyChannelMessage = struct('MODIFYCHANNEL', 16, {
  ...header,
  channelId: u32(8),
  targetVp: u32(12), //               0xffffffff is not valid here
})

/** 23 TL_CONNECT_RESULT. 44 bytes. */
export const TlConnectResultMessage = struct('TL_CONNECT_RESULT', 44, {
  ...header,
  endpointId: guid(8),
  serviceId: guid(24),
  status: u32(40),
})

/** 24 MODIFYCHANNEL_RESPONSE. 16 bytes. */
export const ModifyChannelResponseMessage = struct('MODIFYCHANNEL_RESPONSE', 16, {
  ...header,
  channelId: u32(8),
  status: u32(12),
})

/** 25 MODIFY_CONNECTION. 24 bytes. */
export const ModifyConnectionMessage = struct('MODIFY_CONNECTION', 24, {
  ...header,
  parentToChildMonitorGpa: u64(8),
  childToParentMonitorGpa: u64(16),
})

/** 26 MODIFY_CONNECTION_RESPONSE. 9 bytes. */
export const ModifyConnectionResponseMessage = struct('MODIFY_CONNECTION_RESPONSE', 9, {
  ...header,
  connectionState: u8(8), //          VmbusConnectionState
})

/** User-defined area of an hv_sock offer. 28 bytes, the rest of the area zero. */
export const HvSockOffer = struct('HVSOCK_OFFER_PARAMETERS', 28, {
  pipeMode: u32(0), //                PipeMode.BYTE
  isForGuestAccept: u8(4), //         1: the host connects to a listener in the guest
  isForGuestContainer: u8(5),
  version: u32(6), //                 0 before 5.2, 1 since; unaligned
  siloId: guid(10),
  padding: u16(26),
})

/** One monitor parameter. 8 bytes. */
export const MonitorParameter = struct('HV_MONITOR_PARAMETER', 8, {
  connectionId: u32(0),
  flagNumber: u16(4),
  reserved: u16(6),
})

/** HV_MONITOR_PAGE: signalling by memory, one bit a monitor id (group = id / 32). 4096 bytes. */
export const MonitorPage = struct('HV_MONITOR_PAGE', 4096, {
  triggerState: u32(0x000), //        bits 0..3: group enabled
  reserved: u32(0x004),
  triggerGroups: array(u64, 0x008, 4), // pending u32, armed u32
  reserved2: bytes(0x028, 24),
  nextCheckTime: array(i32, 0x040, 128),
  latency: array(u16, 0x240, 128), // 100 ns
  reserved3: bytes(0x340, 256),
  parameters: array((at) => nested(MonitorParameter, at), 0x440, 128),
  reserved4: bytes(0x840, 1984),
})
