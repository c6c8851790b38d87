// The blocks of pcapng, as much of them as captures here have (draft-ietf-opsawg-pcapng). Values lie in the byte order that the section's
// header shows; this package writes little-endian, and reads both.

export const BlockType = {
  SECTION_HEADER: 0x0a0d_0d0a,
  INTERFACE_DESCRIPTION: 1,
  SIMPLE_PACKET: 3,
  ENHANCED_PACKET: 6,
} as const

export const BYTE_ORDER_MAGIC = 0x1a2b_3c4d
export const LINK_TYPE_ETHERNET = 1
/** Type and length before a block's body, and the length again behind it. */
export const BLOCK_FRAMING_BYTES = 12
/** No block of a sane file is larger. */
export const BLOCK_MAX_BYTES = 16 * 1024 * 1024

export const OptionCode = {
  END: 0,
  COMMENT: 1,
  INTERFACE_NAME: 2,
  PACKET_FLAGS: 2,
  USER_APPLICATION: 4,
  TIME_RESOLUTION: 9,
} as const

/** Bits 1:0 of a packet's flags. */
export const PacketDirection = { UNKNOWN: 0, INBOUND: 1, OUTBOUND: 2 } as const

/** Padded to 4 bytes. */
export function padded(lengthBytes: number): number {
  return (lengthBytes + 3) & -4
}
