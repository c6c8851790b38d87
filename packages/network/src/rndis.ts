// RNDIS as NVSP carries it: messages, per-packet information, the OIDs and NDIS structures that guests ask for. Offsets inside a
// message's body count from byte 8 of the message, where bodies begin.
//
// Sources: openvmm, vm/devices/net/netvsp/src/rndisprot.rs; Linux, include/linux/rndis.h and drivers/net/hyperv/hyperv_net.h.

import { bytes, struct, u16, u32, u8 } from '@guestyard/hvdef'

export const RndisType = {
  PACKET: 1,
  INITIALIZE: 2,
  HALT: 3, //              no answer
  QUERY: 4,
  SET: 5,
  RESET: 6,
  INDICATE_STATUS: 7, //   of the host
  KEEPALIVE: 8,
  INITIALIZE_COMPLETE: 0x8000_0002,
  QUERY_COMPLETE: 0x8000_0004,
  SET_COMPLETE: 0x8000_0005,
  RESET_COMPLETE: 0x8000_0006,
  KEEPALIVE_COMPLETE: 0x8000_0008,
} as const
export type RndisType = (typeof RndisType)[keyof typeof RndisType]

export const RndisStatus = {
  SUCCESS: 0,
  MEDIA_CONNECT: 0x4001_000b, //     indicated
  MEDIA_DISCONNECT: 0x4001_000c, //  indicated
  LINK_SPEED_CHANGE: 0x4001_0013, // indicated
  NETWORK_CHANGE: 0x4001_0018, //    indicated: Linux asks DHCP again
  FAILURE: 0xc000_0001,
  NOT_SUPPORTED: 0xc000_00bb,
  INVALID_LENGTH: 0xc001_0014,
  INVALID_DATA: 0xc001_0015,
} as const
export type RndisStatus = (typeof RndisStatus)[keyof typeof RndisStatus]

/** Where offsets inside a body count from. */
export const RNDIS_BODY_AT = 8
/** Frames of one packet to the host, at most. */
export const RNDIS_MAX_PACKETS = 32
/** What the host says a packet to it may be. */
export const RNDIS_MAX_TRANSFER_BYTES = 0xefff_ffff
/** Alignment of packets that lie in one message, as a power of two. */
export const RNDIS_ALIGNMENT_SHIFT = 3

/** The head of every message. 8 bytes. */
export const RndisHeader = struct('RNDIS_MESSAGE_HEADER', 8, {
  type: u32(0),
  lengthBytes: u32(4), // of all of it
})

/** PACKET: a frame, with what is known about it. 44 bytes, then per-packet information and data wherever it says. */
export const RndisPacket = struct('RNDIS_PACKET', 44, {
  type: u32(0),
  lengthBytes: u32(4),
  dataOffset: u32(8), //  from the body
  dataLength: u32(12),
  oobOffset: u32(16),
  oobLength: u32(20),
  oobCount: u32(24),
  infoOffset: u32(28), // of per-packet information, from the body
  infoLength: u32(32),
  vcHandle: u32(36),
  reserved: u32(40),
})

/** INITIALIZE. 24 bytes. */
export const RndisInitialize = struct('RNDIS_INITIALIZE_REQUEST', 24, {
  type: u32(0),
  lengthBytes: u32(4),
  requestId: u32(8),
  major: u32(12),
  minor: u32(16),
  maxTransferBytes: u32(20),
})

/** The answer to INITIALIZE. 52 bytes. */
export const RndisInitializeComplete = struct('RNDIS_INITIALIZE_COMPLETE', 52, {
  type: u32(0),
  lengthBytes: u32(4),
  requestId: u32(8),
  status: u32(12),
  major: u32(16),
  minor: u32(20),
  deviceFlags: u32(24), //      1: without connections
  medium: u32(28), //           0: 802.3
  maxPackets: u32(32),
  maxTransferBytes: u32(36),
  alignmentShift: u32(40),
  reservedList: bytes(44, 8), // address families
})

/** QUERY and SET: information follows where it says. 28 bytes. */
export const RndisRequest = struct('RNDIS_QUERY_REQUEST', 28, {
  type: u32(0),
  lengthBytes: u32(4),
  requestId: u32(8),
  oid: u32(12),
  infoLength: u32(16),
  infoOffset: u32(20), // from the body
  vcHandle: u32(24),
})

/** The answer to QUERY, information directly behind. 24 bytes. */
export const RndisQueryComplete = struct('RNDIS_QUERY_COMPLETE', 24, {
  type: u32(0),
  lengthBytes: u32(4),
  requestId: u32(8),
  status: u32(12),
  infoLength: u32(16),
  infoOffset: u32(20), // 16: at the end of this
})

/** The answer to SET and KEEPALIVE. 16 bytes. */
export const RndisComplete = struct('RNDIS_SET_COMPLETE', 16, {
  type: u32(0),
  lengthBytes: u32(4),
  requestId: u32(8),
  status: u32(12),
})

/** The answer to RESET. 16 bytes. */
export const RndisResetComplete = struct('RNDIS_RESET_COMPLETE', 16, {
  type: u32(0),
  lengthBytes: u32(4),
  status: u32(8),
  addressingReset: u32(12),
})

/** INDICATE_STATUS without information. 20 bytes. */
export const RndisIndicateStatus = struct('RNDIS_INDICATE_STATUS', 20, {
  type: u32(0),
  lengthBytes: u32(4),
  status: u32(8),
  infoLength: u32(12),
  infoOffset: u32(16),
})

/** One entry of per-packet information, its data directly behind. 12 bytes. */
export const RndisPacketInfo = struct('RNDIS_PER_PACKET_INFO', 12, {
  sizeBytes: u32(0), //  of the entry, this included; a multiple of 4
  type: u32(4), //       PacketInfo; bit 31: of the transport's own
  dataOffset: u32(8), // 12, from the entry's start
})

export const PacketInfo = {
  CHECKSUM: 0,
  LSO: 2,
  VLAN: 6,
  HASH: 8,
} as const
export type PacketInfo = (typeof PacketInfo)[keyof typeof PacketInfo]
/** Bytes of an entry with one u32 of data. */
export const PACKET_INFO_BYTES = RndisPacketInfo.size + 4

/** Checksum information of a frame to the host: what is left to be computed. Bits 25:16: where the TCP header begins. */
export const TransmitChecksum = { IPV4: 1, IPV6: 2, TCP: 4, UDP: 8, IP_HEADER: 0x10 } as const
/** Checksum information of a frame to the guest. */
export const ReceiveChecksum = {
  TCP_FAILED: 1,
  UDP_FAILED: 2,
  IP_FAILED: 4,
  TCP_SUCCEEDED: 8,
  UDP_SUCCEEDED: 0x10,
  IP_SUCCEEDED: 0x20,
} as const
/** Of LSO information: the bytes of a segment, where the TCP header begins, and the bits above. */
export const LSO_MSS_MASK = 0xf_ffff
export const LSO_HEADER_SHIFT = 20
export const LSO_HEADER_MASK = 0x3ff
export const LSO_VERSION_2 = 0x4000_0000
export const LSO_IPV6 = 0x8000_0000

/** Objects that QUERY and SET name. */
export const Oid = {
  SUPPORTED_LIST: 0x0001_0101,
  HARDWARE_STATUS: 0x0001_0102,
  MAXIMUM_FRAME_SIZE: 0x0001_0106,
  LINK_SPEED: 0x0001_0107, //                    in units of 100 bit/s
  CURRENT_PACKET_FILTER: 0x0001_010e,
  MEDIA_CONNECT_STATUS: 0x0001_0114,
  RECEIVE_SCALE_CAPABILITIES: 0x0001_0203,
  RECEIVE_SCALE_PARAMETERS: 0x0001_0204,
  RNDIS_CONFIG_PARAMETER: 0x0001_021b,
  FRIENDLY_NAME: 0x0002_0216,
  PERMANENT_ADDRESS: 0x0101_0101,
  CURRENT_ADDRESS: 0x0101_0102,
  TCP_OFFLOAD_PARAMETERS: 0xfc01_020c,
  TCP_OFFLOAD_HARDWARE_CAPABILITIES: 0xfc01_020d,
} as const
export type Oid = (typeof Oid)[keyof typeof Oid]

/** Which frames a guest wants. 0: none at all. */
export const PacketFilter = {
  DIRECTED: 1,
  MULTICAST: 2,
  ALL_MULTICAST: 4,
  BROADCAST: 8,
  PROMISCUOUS: 0x20,
} as const

/** Head of an NDIS object. 4 bytes. */
export const NdisObject = struct('NDIS_OBJECT_HEADER', 4, {
  type: u8(0), // NdisObjectType
  revision: u8(1),
  sizeBytes: u16(2),
})
export const NdisObjectType = {
  DEFAULT: 0x80,
  RSS_CAPABILITIES: 0x88,
  RSS_PARAMETERS: 0x89,
  OFFLOAD: 0xa7,
} as const

/** What an adapter computes for its guest: NDIS_OFFLOAD up to LSO version 2, of revision 1 and later. 112 bytes. */
export const NdisOffload = struct('NDIS_OFFLOAD', 112, {
  objectType: u8(0), // NdisObjectType.OFFLOAD
  revision: u8(1), //   1..3
  sizeBytes: u16(2), // 112, 144 or 156; what is beyond is zero
  ipv4TransmitEncapsulation: u32(4), // NDIS_ENCAPSULATION_8023, or 0
  ipv4TransmitBits: u32(8), //          NdisChecksum
  ipv4ReceiveEncapsulation: u32(12),
  ipv4ReceiveBits: u32(16),
  ipv6TransmitEncapsulation: u32(20),
  ipv6TransmitBits: u32(24),
  ipv6ReceiveEncapsulation: u32(28),
  ipv6ReceiveBits: u32(32),
  reservedLsoV1: bytes(36, 16),
  reservedIpsec: bytes(52, 28),
  lsoV2Ipv4Encapsulation: u32(80),
  lsoV2Ipv4MaxBytes: u32(84),
  lsoV2Ipv4MinSegments: u32(88),
  lsoV2Ipv6Encapsulation: u32(92),
  lsoV2Ipv6MaxBytes: u32(96),
  lsoV2Ipv6MinSegments: u32(100),
  lsoV2Ipv6Options: u32(104), // 1 extension headers, 4 TCP options
  flags: u32(108),
})
export const NDIS_ENCAPSULATION_8023 = 2
/** Bytes of NDIS_OFFLOAD by revision: 1, 2, 3. */
export const NDIS_OFFLOAD_BYTES = [112, 144, 156] as const
/** Checksum bits of NdisOffload. */
export const NdisChecksum = {
  /** Of IPv4 its options, of IPv6 its extension headers. */
  IP_OPTIONS: 1,
  TCP_OPTIONS: 4,
  TCP: 0x10,
  UDP: 0x40,
  IP_HEADER: 0x100,
} as const

/** NDIS_RECEIVE_SCALE_CAPABILITIES, revision 2. 18 bytes. */
export const NdisRssCapabilities = struct('NDIS_RECEIVE_SCALE_CAPABILITIES', 18, {
  objectType: u8(0), // NdisObjectType.RSS_CAPABILITIES
  revision: u8(1), //   2
  sizeBytes: u16(2),
  flags: u32(4),
  messageCount: u32(8),
  queueCount: u32(12),
  tableEntries: u16(16),
})

/** NDIS_RECEIVE_SCALE_PARAMETERS, revision 2. 40 bytes, then table and key where it says. */
export const NdisRssParameters = struct('NDIS_RECEIVE_SCALE_PARAMETERS', 40, {
  objectType: u8(0), // NdisObjectType.RSS_PARAMETERS
  revision: u8(1), //   2
  sizeBytes: u16(2),
  flags: u16(4), //     NDIS_RSS_DISABLE
  baseProcessor: u16(6),
  hashInfo: u32(8), //  HashInfo
  tableBytes: u16(12),
  reserved: u16(14),
  tableOffset: u32(16), // from the start of this
  keyBytes: u16(20),
  reserved2: u16(22),
  keyOffset: u32(24),
  reservedMasks: bytes(28, 12), // processor masks
})
export const NDIS_RSS_DISABLE = 0x10
export const NDIS_RSS_KEY_BYTES = 40
/** Entries of the indirection table that are offered. */
export const NDIS_RSS_TABLE_ENTRIES = 128
/** What is hashed. */
export const HashInfo = {
  TOEPLITZ: 1,
  IPV4: 0x100,
  TCP_IPV4: 0x200,
  IPV6: 0x400,
  TCP_IPV6: 0x1000,
} as const
