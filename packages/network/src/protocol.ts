// The wire of a synthetic network adapter: NVSP messages, the sections of its buffers, and the constants of both. RNDIS, which they
// carry, is in rndis.ts. Raw channel; little-endian.
//
// Sources: openvmm, vm/devices/net/netvsp/src/protocol.rs; Linux, drivers/net/hyperv/hyperv_net.h.

import { VmbusClasses, bytes, struct, u16, u32, u64 } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

/** Device class of network adapters. */
export const NETWORK_CLASS_ID: Guid = VmbusClasses.network.interfaceId

/** Versions of NVSP, oldest first. */
export const NvspVersion = {
  V1: 0x0000_0002,
  V2: 0x0003_0002,
  V4: 0x0004_0000,
  V5: 0x0005_0000,
  V6: 0x0006_0000,
  V6_1: 0x0006_0001,
} as const
export type NvspVersion = (typeof NvspVersion)[keyof typeof NvspVersion]

/** Message types. G: the guest sends it, H: the host. */
export const NvspType = {
  INIT: 1, //                           G
  INIT_COMPLETE: 2, //                  H, completion
  SEND_NDIS_VERSION: 100, //            G
  SEND_RECEIVE_BUFFER: 101, //          G
  SEND_RECEIVE_BUFFER_COMPLETE: 102, // H, completion
  REVOKE_RECEIVE_BUFFER: 103, //        G
  SEND_SEND_BUFFER: 104, //             G
  SEND_SEND_BUFFER_COMPLETE: 105, //    H, completion
  REVOKE_SEND_BUFFER: 106, //           G
  SEND_RNDIS_PACKET: 107, //            G and H
  SEND_RNDIS_PACKET_COMPLETE: 108, //   H and G, completion
  SEND_NDIS_CONFIG: 125, //             G, from version 2 on
  SEND_VF_ASSOCIATION: 128, //          H, from version 4 on
  SWITCH_DATA_PATH: 129, //             G, from version 4 on
  SUBCHANNEL: 133, //                   G, and its completion; from version 5 on
  SEND_INDIRECTION_TABLE: 134, //       H, from version 5 on
} as const
export type NvspType = (typeof NvspType)[keyof typeof NvspType]

export const NvspStatus = {
  NONE: 0,
  SUCCESS: 1,
  FAILURE: 2,
  INVALID_RNDIS_PACKET: 5,
  BUSY: 6,
} as const
export type NvspStatus = (typeof NvspStatus)[keyof typeof NvspStatus]

/** What an RNDIS packet carries: frames, or control messages. */
export const NvspChannelType = { DATA: 0, CONTROL: 1 } as const
export type NvspChannelType = (typeof NvspChannelType)[keyof typeof NvspChannelType]

/** Bytes of a message up to version 6.0, and from 6.1 on. */
export const NVSP_MESSAGE_BYTES = 28
export const NVSP_MESSAGE_BYTES_V61 = 40

/** The receive buffer's id, and the set that transfer-page packets name. */
export const NVSP_RECEIVE_BUFFER_ID = 0xcafe
/** No section: the RNDIS message is all in page ranges. */
export const NVSP_NO_SECTION = 0xffff_ffff
/** Bytes of a send section. */
export const NVSP_SEND_SECTION_BYTES = 6144
/** Bytes of a receive section that nobody uses (older Windows guests write there), and of headers before the frame. */
export const NVSP_RECEIVE_RESERVE_BYTES = 36
/** Entries of the table from transmit hash to channel. */
export const NVSP_TRANSMIT_TABLE_ENTRIES = 16
/** The one operation of SUBCHANNEL. */
export const NVSP_SUBCHANNEL_ALLOCATE = 1

/** Bits of SEND_NDIS_CONFIG. */
export const NvspCapability = { SRIOV: 1n << 2n, IEEE_8021Q: 1n << 3n } as const

/** INIT: the versions the guest speaks. 12 bytes. */
export const NvspInit = struct('NVSP_MESSAGE_INIT', 12, {
  type: u32(0),
  lowestVersion: u32(4),
  highestVersion: u32(8),
})

/** The answer to INIT. 16 bytes. */
export const NvspInitComplete = struct('NVSP_MESSAGE_INIT_COMPLETE', 16, {
  type: u32(0),
  negotiatedVersion: u32(4), // deprecated: no guest looks at it
  maxMdlChain: u32(8),
  status: u32(12), //           NvspStatus
})

/** SEND_NDIS_VERSION. 12 bytes. */
export const NvspNdisVersion = struct('NVSP_1_MESSAGE_SEND_NDIS_VERSION', 12, {
  type: u32(0),
  major: u32(4),
  minor: u32(8),
})

/** SEND_RECEIVE_BUFFER and SEND_SEND_BUFFER. 12 bytes. */
export const NvspSendBuffer = struct('NVSP_1_MESSAGE_SEND_BUFFER', 12, {
  type: u32(0),
  gpadlId: u32(4),
  id: u16(8), // NVSP_RECEIVE_BUFFER_ID, or 0 for the send buffer
  reserved: u16(10),
})

/** The answer to SEND_RECEIVE_BUFFER: one stretch of sub-allocations. 28 bytes. */
export const NvspReceiveBufferComplete = struct('NVSP_1_MESSAGE_SEND_RECEIVE_BUFFER_COMPLETE', 28, {
  type: u32(0),
  status: u32(4),
  sectionCount: u32(8), //       1
  offsetBytes: u32(12), //       0
  subAllocationBytes: u32(16),
  subAllocationCount: u32(20),
  endOffsetBytes: u32(24), //    size times count
})

/** The answer to SEND_SEND_BUFFER. 12 bytes. */
export const NvspSendBufferComplete = struct('NVSP_1_MESSAGE_SEND_SEND_BUFFER_COMPLETE', 12, {
  type: u32(0),
  status: u32(4),
  sectionBytes: u32(8),
})

/** REVOKE_RECEIVE_BUFFER and REVOKE_SEND_BUFFER. 8 bytes. */
export const NvspRevokeBuffer = struct('NVSP_1_MESSAGE_REVOKE_BUFFER', 8, {
  type: u32(0),
  id: u16(4),
  reserved: u16(6),
})

/** SEND_RNDIS_PACKET. 16 bytes. */
export const NvspRndisPacket = struct('NVSP_1_MESSAGE_SEND_RNDIS_PACKET', 16, {
  type: u32(0),
  channelType: u32(4), //  NvspChannelType
  sectionIndex: u32(8), // of the send buffer, or NVSP_NO_SECTION
  sectionBytes: u32(12), // in use
})

/** The answer to SEND_RNDIS_PACKET, at either end. 8 bytes. */
export const NvspRndisPacketComplete = struct('NVSP_1_MESSAGE_SEND_RNDIS_PACKET_COMPLETE', 8, {
  type: u32(0),
  status: u32(4), // NvspStatus
})

/** SEND_NDIS_CONFIG. 20 bytes. */
export const NvspNdisConfig = struct('NVSP_2_MESSAGE_SEND_NDIS_CONFIG', 20, {
  type: u32(0),
  mtuBytes: u32(4), // with the Ethernet header
  reserved: u32(8),
  capabilities: u64(12), // NvspCapability
})

/** SUBCHANNEL. 12 bytes. */
export const NvspSubChannel = struct('NVSP_5_MESSAGE_SUBCHANNEL_REQUEST', 12, {
  type: u32(0),
  operation: u32(4), // NVSP_SUBCHANNEL_ALLOCATE
  count: u32(8), //     beside the primary
})

/** The answer to SUBCHANNEL. 12 bytes. */
export const NvspSubChannelComplete = struct('NVSP_5_MESSAGE_SUBCHANNEL_COMPLETE', 12, {
  type: u32(0),
  status: u32(4),
  count: u32(8),
})

/** SEND_INDIRECTION_TABLE, and its table directly behind. 76 bytes. */
export const NvspIndirectionTable = struct('NVSP_5_MESSAGE_SEND_INDIRECTION_TABLE', 76, {
  type: u32(0),
  count: u32(4), //       NVSP_TRANSMIT_TABLE_ENTRIES
  offsetBytes: u32(8), // of the table, from the message's start
  table: bytes(12, 64), // u32 each: channel by transmit hash
})

/** Channels beside the primary when the owner does not say. */
export const NETWORK_SUB_CHANNELS_MAX = 8
/** Payload bytes of a frame when the owner does not say, and the most and the least there may be. */
export const NETWORK_MTU_DEFAULT = 1500
export const NETWORK_MTU_MAX = 9000
export const NETWORK_MTU_MIN = 576
/** Data bytes of each ring as Linux opens them: 128 pages with the control page. */
export const NETWORK_RING_BYTES = 127 * 4096
