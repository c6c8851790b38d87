// HOT
// The head of a frame's RNDIS message to the host, in the guest's own section.

import { NO_TAG } from '../frame.ts'
import {
  PACKET_INFO_BYTES,
  PacketInfo,
  RNDIS_BODY_AT,
  RndisPacket,
  RndisPacketInfo,
  RndisType,
} from '../rndis.ts'

/** With room for a tag, always, so that a frame's place does not depend on it. */
export const HEAD_BYTES: number = RndisPacket.size + PACKET_INFO_BYTES
const HEAD_WORDS = HEAD_BYTES >> 2
const LENGTH_WORD = RndisPacket.at.lengthBytes >> 2
const DATA_OFFSET_WORD = RndisPacket.at.dataOffset >> 2
const DATA_LENGTH_WORD = RndisPacket.at.dataLength >> 2
const INFO_OFFSET_WORD = RndisPacket.at.infoOffset >> 2
const INFO_LENGTH_WORD = RndisPacket.at.infoLength >> 2
const INFO_WORD = RndisPacket.size >> 2

/** Composes it at `gpa`, a multiple of 4, for a frame of `lengthBytes` directly behind, in a message of `messageBytes` with its padding. */
export function composeHead(
  words: Int32Array,
  gpa: number,
  lengthBytes: number,
  messageBytes: number,
  tag: number,
): void {
  const word = gpa >>> 2
  for (let at = 0; at < HEAD_WORDS; at += 1) words[word + at] = 0
  words[word] = RndisType.PACKET
  words[word + LENGTH_WORD] = messageBytes
  words[word + DATA_OFFSET_WORD] = HEAD_BYTES - RNDIS_BODY_AT
  words[word + DATA_LENGTH_WORD] = lengthBytes
  if (tag === NO_TAG) return
  words[word + INFO_OFFSET_WORD] = RndisPacket.size - RNDIS_BODY_AT
  words[word + INFO_LENGTH_WORD] = PACKET_INFO_BYTES
  const info = word + INFO_WORD
  words[info] = PACKET_INFO_BYTES
  words[info + 1] = PacketInfo.VLAN
  words[info + 2] = RndisPacketInfo.size
  words[info + 3] = ((tag >>> 13) & 7) | ((tag >>> 9) & 8) | ((tag & 0xfff) << 4)
}
