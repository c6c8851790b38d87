// HOT
// One frame in the guest's receive buffer, as its driver shows it: where it lies, and what the host said of it. Filled for frame after
// frame; good during the call only.

import type { GuestMemory } from '@guestyard/guestmem'
import { NO_TAG } from '../frame.ts'
import { PacketInfo, RNDIS_BODY_AT, RndisPacket, RndisPacketInfo } from '../rndis.ts'

const INFO_ENTRIES_MAX = 16

export class ReceivedFrame {
  readonly memory: GuestMemory
  /** Where its first byte lies, and how many there are. */
  gpa = 0
  lengthBytes = 0
  /** IEEE 802.1Q tag, or NO_TAG. */
  tag = NO_TAG
  /** ReceiveChecksum bits. */
  checked = 0
  /** Toeplitz hash of its flow, signed; 0 where the host told none. */
  hash = 0
  /** Channel that it came by. */
  lane = 0

  constructor(memory: GuestMemory) {
    this.memory = memory
  }

  /**
   * Takes an RNDIS packet of `length` bytes at `at` of RAM, where it lies in one piece. Each word is read once, since a host writes
   * when it likes. False for what makes no sense.
   */
  take(at: number, length: number): boolean {
    const { view } = this.memory
    const body = length - RNDIS_BODY_AT
    const dataOffset = view.getUint32(at + RndisPacket.at.dataOffset, true)
    const dataLength = view.getUint32(at + RndisPacket.at.dataLength, true)
    const infoOffset = view.getUint32(at + RndisPacket.at.infoOffset, true)
    const infoLength = view.getUint32(at + RndisPacket.at.infoLength, true)
    if (dataOffset > body || dataLength > body - dataOffset) return false
    this.gpa = at + RNDIS_BODY_AT + dataOffset
    this.lengthBytes = dataLength
    this.tag = NO_TAG
    this.checked = 0
    this.hash = 0
    if (infoLength === 0) return true
    if (infoOffset > body || infoLength > body - infoOffset) return false
    return this.#readInfo(at + RNDIS_BODY_AT + infoOffset, infoLength)
  }

  /** A copy of the bytes. Allocates. */
  bytes(): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(this.lengthBytes)
    this.memory.read(this.gpa, copy)
    return copy
  }

  #readInfo(from: number, lengthBytes: number): boolean {
    const { view } = this.memory
    let at = from
    const end = from + lengthBytes
    for (let count = 0; count < INFO_ENTRIES_MAX && end - at >= RndisPacketInfo.size; count += 1) {
      const size = view.getUint32(at, true)
      const type = view.getUint32(at + RndisPacketInfo.at.type, true)
      const dataOffset = view.getUint32(at + RndisPacketInfo.at.dataOffset, true)
      if (size < RndisPacketInfo.size || size > end - at) return false
      if (dataOffset <= size && size - dataOffset >= 4) {
        const value = view.getUint32(at + dataOffset, true)
        if (type === PacketInfo.CHECKSUM) this.checked = value
        if (type === PacketInfo.HASH) this.hash = value | 0
        if (type === PacketInfo.VLAN) {
          this.tag = ((value & 7) << 13) | ((value & 8) << 9) | ((value >>> 4) & 0xfff)
        }
      }
      at += size
    }
    return true
  }
}
