// The VMBus ring: control page, packets, pipe framing. Layout only; package ring owns the behaviour.
//
//   control page (4096)                    packet, wrapping at the data size in 8-byte steps
//   0x00 in      0x04 out                  descriptor 16 | type header | payload | pad to 8 | trailer 8
//   0x08 mask    0x0c pending send size    ^ start         ^ +16         ^ +offset8*8         ^ +length8*8
//   0x40 feature bits
//
// Sources: openvmm vmbus_ring (lib.rs, gparange.rs); Linux include/linux/hyperv.h as facts.

import { bytes, struct, u16, u32, u64, u8 } from './struct.ts'

/** Control page of one ring. 4096 bytes (openvmm vmbus_ring, `ControlPage`). */
export const RingControl = struct('HV_RING_CONTROL', 4096, {
  in: u32(0x00), //               byte offset where the next packet goes; written by the producer
  out: u32(0x04), //              byte offset of the next packet to read; written by the consumer
  interruptMask: u32(0x08), //    1: do not signal empty to non-empty; written by the consumer
  pendingSendSize: u32(0x0c), //  bytes the blocked producer needs free, 0 when not blocked
  reserved: bytes(0x10, 48),
  featureBits: u32(0x40), //      written by the producer before the channel opens
  reserved2: bytes(0x44, 4028),
})

/** Control words as indices of an Int32Array over the control page, for Atomics. */
export const RING_WORD_IN = 0
export const RING_WORD_OUT = 1
export const RING_WORD_INTERRUPT_MASK = 2
export const RING_WORD_PENDING_SEND_SIZE = 3
export const RING_WORD_FEATURE_BITS = 16

/** Feature bit 0: the owner of this ring sets and honours the pending send size. */
export const RING_FEATURE_PENDING_SEND_SIZE = 0x1

/** Packet descriptor. 16 bytes (openvmm vmbus_ring, `PacketDescriptor`). */
export const PacketDescriptor = struct('VMPACKET_DESCRIPTOR', 16, {
  type: u16(0), //           PacketType
  offset8: u16(2), //        payload offset from the packet's start, in 8-byte units, at least 2
  length8: u16(4), //        packet length without trailer, in 8-byte units, at least offset8
  flags: u16(6), //          bit 0: completion requested
  transactionId: u64(8), //  echoed untouched in the completion
})

/** Follows the descriptor of a transfer-page packet. 8 bytes, then `rangeCount` TransferPageRange. */
export const TransferPageHeader = struct('VMTRANSFER_PAGE_PACKET_HEADER', 8, {
  transferPageSetId: u16(0),
  senderOwnsSet: u8(2), //   may be garbage: ignored
  reserved: u8(3),
  rangeCount: u32(4),
})

/** Range within a transfer-page buffer. 8 bytes: the count comes first. */
export const TransferPageRange = struct('VMTRANSFER_PAGE_RANGE', 8, {
  byteCount: u32(0),
  byteOffset: u32(4),
})

/** Follows the descriptor of a GPA-direct packet. 8 bytes, then `rangeCount` ranges with their PFNs. */
export const GpaDirectHeader = struct('VMDATA_GPA_DIRECT', 8, {
  reserved: u32(0), //       may be garbage: ignored
  rangeCount: u32(4), //     0 is corruption
})

/** Head of a page range, in GPA-direct packets and GPADLs. 8 bytes, then a u64 PFN for each page. */
export const GpaRangeHeader = struct('GPA_RANGE', 8, {
  byteCount: u32(0), //      not 0
  byteOffset: u32(4), //     into the first page, at most 0xfff
})

/** Follows every packet. 8 bytes; no consumer reads it, every producer writes it. */
export const PacketTrailer = struct('VMPACKET_TRAILER', 8, {
  reserved: u32(0),
  packetStart: u32(4), //    ring offset at which this packet begins
})

/** Head of each payload on a channel offered in pipe mode. 8 bytes (openvmm vmbus_ring, `PipeHeader`). */
export const PipeHeader = struct('VMPIPE_PROTOCOL_HEADER', 8, {
  packetType: u32(0), //     PipePacketType
  dataLength: u32(4), //     bytes that follow, unpadded, at most PIPE_PAYLOAD_MAX
})

export const PACKET_TYPE_DATA_INBAND = 0x6
export const PACKET_TYPE_DATA_USING_TRANSFER_PAGES = 0x7
export const PACKET_TYPE_DATA_USING_GPA_DIRECT = 0x9
export const PACKET_TYPE_COMPLETION = 0xb

/** Packet types (openvmm vmbus_ring, `PacketType`; Linux `enum vmbus_packet_type`). */
export const PacketType = {
  SYNCH: 0x1,
  ADD_TRANSFER_PAGE_SET: 0x2,
  REMOVE_TRANSFER_PAGE_SET: 0x3,
  ESTABLISH_GPADL: 0x4,
  TEARDOWN_GPADL: 0x5,
  DATA_INBAND: PACKET_TYPE_DATA_INBAND,
  DATA_USING_TRANSFER_PAGES: PACKET_TYPE_DATA_USING_TRANSFER_PAGES,
  DATA_USING_GPADL: 0x8,
  DATA_USING_GPA_DIRECT: PACKET_TYPE_DATA_USING_GPA_DIRECT,
  CANCEL_REQUEST: 0xa,
  COMPLETION: PACKET_TYPE_COMPLETION,
  DATA_USING_ADDITIONAL_PACKET: 0xc,
  ADDITIONAL_DATA: 0xd,
} as const
export type PacketType = (typeof PacketType)[keyof typeof PacketType]

/** Descriptor flag: the sender waits for a completion. Every other flag must be zero. */
export const PACKET_FLAG_COMPLETION_REQUESTED = 0x1
/** Flags a packet may carry; any bit outside is corruption. */
export const PACKET_FLAGS_MASK = 0x1

/** Packets begin and end on this boundary, in bytes. */
export const PACKET_ALIGN = 8
export const PACKET_DESCRIPTOR_SIZE = 16
export const PACKET_TRAILER_SIZE = 8
/** Smallest legal `offset8`: the descriptor itself. */
export const PACKET_OFFSET8_MIN = 2
/** Largest packet that length8 can state, in bytes, without trailer. */
export const PACKET_LENGTH_MAX = 0xffff * 8
/** Bytes that stay free, so that `in == out` always means empty. */
export const RING_SLACK = 8
/** Pages of the smallest ring: control page and one data page. */
export const RING_PAGES_MIN = 2

/** Pipe packet types (openvmm vmbus_ring). */
export const PipePacketType = {
  DATA: 1,
  PARTIAL: 2, //             private to a byte-mode reader, which rewrites the header in place
  SETUP_GPA_DIRECT: 3,
  TEARDOWN_GPA_DIRECT: 4,
} as const
export type PipePacketType = (typeof PipePacketType)[keyof typeof PipePacketType]

/** Pipe modes: the first u32 of a pipe offer's user-defined area. */
export const PipeMode = { BYTE: 0, MESSAGE: 4 } as const
export type PipeMode = (typeof PipeMode)[keyof typeof PipeMode]

export const PIPE_PACKET_TYPE_DATA = 1
export const PIPE_PACKET_TYPE_PARTIAL = 2
export const PIPE_HEADER_SIZE = 8
/** Largest payload of one pipe packet, in bytes. */
export const PIPE_PAYLOAD_MAX = 16384

/**
 * Packets that a Linux guest receives are cut, without an error, at these lengths (descriptor included);
 * what follows is then misread, so a host never sends more.
 */
export const LINUX_PACKET_MAX = {
  default: 4096,
  storage: 80,
  vssAndFileCopy: 8192,
  kvp: 16384,
} as const
