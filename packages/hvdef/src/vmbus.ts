// VMBus numbers: message types, versions, features, fixed ids and limits. The messages themselves are in
// vmbus-messages.ts, the device classes in vmbus-classes.ts.
//
// Sources: openvmm vmbus_core/src/protocol.rs, vmbus_server; Linux include/linux/hyperv.h as facts.

/** Message types, in the first u32 of every control message. */
export const VmbusMessageType = {
  OFFERCHANNEL: 1,
  RESCIND_CHANNELOFFER: 2,
  REQUESTOFFERS: 3,
  ALLOFFERS_DELIVERED: 4,
  OPENCHANNEL: 5,
  OPENCHANNEL_RESULT: 6,
  CLOSECHANNEL: 7,
  GPADL_HEADER: 8,
  GPADL_BODY: 9,
  GPADL_CREATED: 10,
  GPADL_TEARDOWN: 11,
  GPADL_TORNDOWN: 12,
  RELID_RELEASED: 13,
  INITIATE_CONTACT: 14,
  VERSION_RESPONSE: 15,
  UNLOAD: 16,
  UNLOAD_RESPONSE: 17,
  OPEN_RESERVED_CHANNEL: 18,
  CLOSE_RESERVED_CHANNEL: 19,
  CLOSE_RESERVED_RESPONSE: 20,
  TL_CONNECT_REQUEST: 21,
  MODIFYCHANNEL: 22,
  TL_CONNECT_RESULT: 23,
  MODIFYCHANNEL_RESPONSE: 24,
  MODIFY_CONNECTION: 25,
  MODIFY_CONNECTION_RESPONSE: 26,
  PAUSE: 27,
  PAUSE_RESPONSE: 28,
  RESUME: 29,
} as const
export type VmbusMessageType = (typeof VmbusMessageType)[keyof typeof VmbusMessageType]

/** Protocol versions: major << 16 | minor. A host supports an exact list, never a range. */
export const VmbusVersion = {
  WS2008: 0x0000_000d, //     0.13
  WIN7: 0x0001_0001, //       1.1  connection id in the offer, UNLOAD_RESPONSE
  WIN8: 0x0002_0004, //       2.4  target VP on open, an event flag per channel
  WIN8_1: 0x0003_0000, //     3.0  message VP honoured, contact again after unload
  WIN10: 0x0004_0000, //      4.0  hv_sock, reserved channels
  WIN10_RS3: 0x0004_0001, //  4.1  MODIFYCHANNEL, TL_CONNECT_RESULT
  WIN10_V5: 0x0005_0000, //   5.0  contact on connection 4
  WIN10_RS4: 0x0005_0001, //  5.1  target VTL honoured
  WIN10_RS5: 0x0005_0002, //  5.2  TL_CONNECT with a silo id
  IRON: 0x0005_0003, //       5.3  MODIFYCHANNEL_RESPONSE
  COPPER: 0x0006_0000, //     6.0  feature flags
} as const
export type VmbusVersion = (typeof VmbusVersion)[keyof typeof VmbusVersion]

/** Feature flags, requested and granted from version 6.0 on (openvmm `FeatureFlags`). */
export const VmbusFeature = {
  GUEST_SPECIFIED_SIGNAL_PARAMETERS: 0x01,
  CHANNEL_INTERRUPT_REDIRECTION: 0x02,
  MODIFY_CONNECTION: 0x04,
  CLIENT_ID: 0x08,
  CONFIDENTIAL_CHANNELS: 0x10,
  PAUSE_RESUME: 0x20,
  SERVER_SPECIFIED_MONITOR_PAGES: 0x40,
  GPA_PINNING: 0x80,
} as const

/** Flags of an offer. The last three mean what they say only where their feature was negotiated. */
export const VmbusOfferFlag = {
  ENUMERATE_DEVICE_INTERFACE: 0x0001,
  NAMED_PIPE_MODE: 0x0010,
  TLNPI_PROVIDER: 0x2000, //                an hv_sock offer
  CONFIDENTIAL_RING: 0x0002,
  CONFIDENTIAL_EXTERNAL_MEMORY: 0x0004,
  PINNED_EXTERNAL_MEMORY: 0x0008,
} as const

/** `connectionState` of a supported VERSION_RESPONSE, and of MODIFY_CONNECTION_RESPONSE. */
export const VmbusConnectionState = { SUCCESS: 0, LOW_RESOURCES: 1, UNKNOWN_FAILURE: 2 } as const

/** Statuses in results; a peer tests only for zero. */
export const VMBUS_STATUS_SUCCESS = 0
export const VMBUS_STATUS_FAILURE = 0x8000_ffff
export const VMBUS_STATUS_CONNECTION_REFUSED = 0xc000_0236

/** The synthetic interrupt of VMBus: messages and event flags alike. */
export const VMBUS_SINT = 2
/** The vector that x86 guests give that interrupt by convention. */
export const VMBUS_VECTOR = 0xf3
/** Message connection of versions before 5.0. */
export const VMBUS_MESSAGE_CONNECTION_ID = 1
/** Message connection of INITIATE_CONTACT from version 5.0 on; the response names the one after it. */
export const VMBUS_MESSAGE_CONNECTION_ID_V5 = 4
/** Event connection and port that versions before 2.4 share between all channels. */
export const VMBUS_EVENT_CONNECTION_ID = 2
/** Connection and port of the monitor pages. */
export const VMBUS_MONITOR_CONNECTION_ID = 3
/** Highest channel id; ids start at 1 because event flag 0 is reserved. */
export const VMBUS_CHANNELS_MAX = 2047
/** Largest control message, in bytes: the payload of a hypervisor message. */
export const VMBUS_MESSAGE_MAX = 240
/** Type and padding. */
export const VMBUS_MESSAGE_HEADER_SIZE = 8
/** Bytes of user-defined data in an offer and in an open request. */
export const VMBUS_USER_DEFINED_SIZE = 120

/** Qwords of range data that fit a GPADL_HEADER and a GPADL_BODY. */
export const GPADL_HEADER_QWORDS_MAX = 27
export const GPADL_BODY_QWORDS_MAX = 28
/** Range data of a whole GPADL, in bytes: the largest multiple of 8 in a u16. */
export const GPADL_RANGE_BYTES_MAX = 65_528
/** Largest offset of a range into its first page. */
export const GPADL_RANGE_OFFSET_MAX = 0xfff

/** True from 5.0 on: INITIATE_CONTACT names SINT and VTL, its response a message connection. */
export function usesMessageConnectionV5(version: number): boolean {
  return version >= VmbusVersion.WIN10_V5
}

const VERSION_VALUES: ReadonlySet<number> = new Set(Object.values(VmbusVersion))

/** True for a version in the table. */
export function isVmbusVersion(n: number): n is VmbusVersion {
  return VERSION_VALUES.has(n)
}

/** A version as people write it: `5.3`. */
export function vmbusVersionName(version: number): string {
  return `${version >>> 16}.${version & 0xffff}`
}
