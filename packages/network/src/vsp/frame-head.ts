// HOT
// The head of a frame's RNDIS message to a guest: where the frame is, and what is known of it. Composed in private memory, frame after
// frame.

import { NO_TAG } from '../frame.ts'
import type { Frame } from '../frame.ts'
import {
  PACKET_INFO_BYTES,
  PacketInfo,
  RNDIS_BODY_AT,
  RndisPacket,
  RndisPacketInfo,
  RndisType,
} from '../rndis.ts'

/** Room for per-packet information: checksum, tag, hash. */
export const RECEIVE_INFO_BYTES_MAX = 3 * PACKET_INFO_BYTES
const INFO_AT = RndisPacket.size

export class FrameHead {
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(INFO_AT + RECEIVE_INFO_BYTES_MAX)
  /** The same bytes. */
  readonly words: Int32Array<ArrayBuffer>
  readonly #view: DataView<ArrayBuffer>

  constructor() {
    this.#view = new DataView(this.bytes.buffer)
    this.words = new Int32Array(this.bytes.buffer)
  }

  /** Composes it; how many bytes. `tellsChecksums`: the guest wants to know which are right. `hash`: one word, or null. */
  compose(frame: Frame, tag: number, tellsChecksums: boolean, hash: Int32Array | null): number {
    const view = this.#view
    let at = INFO_AT
    if (tag !== NO_TAG) {
      const value = ((tag >>> 13) & 7) | ((tag >>> 9) & 8) | ((tag & 0xfff) << 4)
      at = this.#addInfo(at, PacketInfo.VLAN, value)
    }
    if (frame.checked !== 0 && tellsChecksums) {
      at = this.#addInfo(at, PacketInfo.CHECKSUM, frame.checked)
    }
    if (hash !== null) at = this.#addInfo(at, PacketInfo.HASH, hash[0]!)
    const infoLength = at - INFO_AT
    view.setUint32(0, RndisType.PACKET, true)
    view.setUint32(RndisPacket.at.lengthBytes, at + frame.lengthBytes, true)
    view.setUint32(RndisPacket.at.dataOffset, at - RNDIS_BODY_AT, true)
    view.setUint32(RndisPacket.at.dataLength, frame.lengthBytes, true)
    const infoOffset = infoLength === 0 ? 0 : INFO_AT - RNDIS_BODY_AT
    view.setUint32(RndisPacket.at.infoOffset, infoOffset, true)
    view.setUint32(RndisPacket.at.infoLength, infoLength, true)
    return at
  }

  #addInfo(at: number, type: number, value: number): number {
    const view = this.#view
    view.setUint32(at, PACKET_INFO_BYTES, true)
    view.setUint32(at + RndisPacketInfo.at.type, type, true)
    view.setUint32(at + RndisPacketInfo.at.dataOffset, RndisPacketInfo.size, true)
    view.setUint32(at + RndisPacketInfo.size, value, true)
    return at + PACKET_INFO_BYTES
  }
}
