// HOT
// From a guest into the switch: the RNDIS messages of one packet, each judged as a private copy, their frames with what the guest left
// to its adapter computed (checksums, segments).

import { fillIpChecksum, fillTransportChecksum } from '../checksum.ts'
import { FRAME_MAX_BYTES, FRAME_MIN_BYTES, Frame, NO_TAG } from '../frame.ts'
import { FrameHeaders } from '../headers.ts'
import { NvspStatus } from '../protocol.ts'
import {
  LSO_MSS_MASK,
  LSO_VERSION_2,
  PacketInfo,
  RNDIS_BODY_AT,
  RNDIS_MAX_PACKETS,
  RndisPacket,
  RndisPacketInfo,
  RndisType,
  TransmitChecksum,
} from '../rndis.ts'
import { Segments } from '../segments.ts'
import type { SwitchPort } from '../switch/index.ts'
import type { MessageBytes } from './message-bytes.ts'

/** Per-packet information that is looked at: more than all kinds together. */
const INFO_BYTES_MAX = 256
const INFO_ENTRY_BYTES_MIN = RndisPacketInfo.size
/** A tag and its own header, beside a frame's bytes. */
const TAG_BYTES = 4
const TRANSPORTS = TransmitChecksum.TCP | TransmitChecksum.UDP
const LENGTH = RndisPacket.at.lengthBytes
const DATA_OFFSET = RndisPacket.at.dataOffset
const DATA_LENGTH = RndisPacket.at.dataLength
const OOB_OFFSET = RndisPacket.at.oobOffset
const OOB_LENGTH = RndisPacket.at.oobLength
const INFO_OFFSET = RndisPacket.at.infoOffset
const INFO_LENGTH = RndisPacket.at.infoLength

/** One an adapter: nothing of it outlives a packet. */
export class Transmitter {
  /** Units of work that the last packet was. */
  work = 0
  /** Messages that made no sense, and frames of which the guest asked what can't be done. */
  malformed = 0
  frames = 0
  readonly #frame: Frame = new Frame()
  readonly #headers: FrameHeaders = new FrameHeaders()
  readonly #segments: Segments = new Segments()
  readonly #head: Uint8Array<ArrayBuffer> = new Uint8Array(RndisPacket.size)
  readonly #headView: DataView<ArrayBuffer>
  readonly #headWords: Int32Array<ArrayBuffer>
  readonly #info: Uint8Array<ArrayBuffer> = new Uint8Array(INFO_BYTES_MAX)
  readonly #infoView: DataView<ArrayBuffer>
  // What the information of the message at hand says.
  #tag = NO_TAG
  #checksum = 0
  #segmentBytes = 0

  constructor() {
    this.#headView = new DataView(this.#head.buffer)
    this.#headWords = new Int32Array(this.#head.buffer)
    this.#infoView = new DataView(this.#info.buffer)
  }

  /** Sends the frames of a packet of data. What answers it: NvspStatus.SUCCESS, or INVALID_RNDIS_PACKET; frames before a bad one went. */
  send(bytes: MessageBytes, port: SwitchPort): number {
    this.work = 0
    let at = 0
    for (let count = 0; count < RNDIS_MAX_PACKETS; count += 1) {
      const length = this.#message(bytes, at, port)
      if (length < 0) {
        this.malformed += 1
        return NvspStatus.INVALID_RNDIS_PACKET
      }
      at += length
      // What is too short to be a message is padding.
      if (bytes.lengthBytes - at < RndisPacket.size) return NvspStatus.SUCCESS
    }
    return NvspStatus.INVALID_RNDIS_PACKET
  }

  /** One message at `at`; its length, or -1 when it makes no sense. */
  #message(bytes: MessageBytes, at: number, port: SwitchPort): number {
    const available = bytes.lengthBytes - at
    if (available < RndisPacket.size) return -1
    bytes.readWords(at, this.#headWords, this.#head, RndisPacket.size)
    const view = this.#headView
    const length = view.getUint32(LENGTH, true)
    if (view.getUint32(0, true) !== RndisType.PACKET) return -1
    if (length < RndisPacket.size || length > available) return -1
    const bodyBytes = length - RNDIS_BODY_AT
    const dataOffset = view.getUint32(DATA_OFFSET, true)
    const dataLength = view.getUint32(DATA_LENGTH, true)
    if (!isWithin(dataOffset, dataLength, bodyBytes)) return -1
    if (dataOffset < RndisPacket.size - RNDIS_BODY_AT) return -1
    if (dataLength < FRAME_MIN_BYTES || dataLength > FRAME_MAX_BYTES + TAG_BYTES) return -1
    const oobLength = view.getUint32(OOB_LENGTH, true)
    if (oobLength > 0 && !isWithin(view.getUint32(OOB_OFFSET, true), oobLength, bodyBytes)) {
      return -1
    }
    if (!this.#readInfo(bytes, at, bodyBytes, dataOffset, dataLength)) return -1
    const from = at + RNDIS_BODY_AT + dataOffset
    if (!bytes.fill(this.#frame, from, dataLength)) return -1
    this.#send(port)
    return length
  }

  #readInfo(
    bytes: MessageBytes,
    at: number,
    bodyBytes: number,
    dataOffset: number,
    dataLength: number,
  ): boolean {
    this.#tag = NO_TAG
    this.#checksum = 0
    this.#segmentBytes = 0
    const view = this.#headView
    const length = view.getUint32(INFO_LENGTH, true)
    if (length === 0) return true
    const offset = view.getUint32(INFO_OFFSET, true)
    if (length > INFO_BYTES_MAX || !isWithin(offset, length, bodyBytes)) return false
    if (offset < RndisPacket.size - RNDIS_BODY_AT) return false
    if (offset < dataOffset + dataLength && dataOffset < offset + length) return false
    bytes.read(at + RNDIS_BODY_AT + offset, this.#info, length)
    return this.#parseInfo(length)
  }

  // The entries fill the area to its end.
  #parseInfo(lengthBytes: number): boolean {
    const view = this.#infoView
    let at = 0
    while (at < lengthBytes) {
      const left = lengthBytes - at
      if (left < INFO_ENTRY_BYTES_MIN) return false
      const size = view.getUint32(at, true)
      const dataOffset = view.getUint32(at + 8, true)
      if (size < INFO_ENTRY_BYTES_MIN || size > left || size % 4 !== 0) return false
      if (dataOffset < INFO_ENTRY_BYTES_MIN || dataOffset > size) return false
      const hasWord = size - dataOffset >= 4
      this.#note(view.getUint32(at + 4, true), hasWord ? readWord(view, at + dataOffset) : 0)
      at += size
    }
    return true
  }

  #note(type: number, value: number): void {
    switch (type) {
      case PacketInfo.CHECKSUM:
        this.#checksum = value
        return
      case PacketInfo.LSO:
        // Version 1 was never offered.
        this.#segmentBytes = (value & LSO_VERSION_2) === 0 ? 0 : value & LSO_MSS_MASK
        return
      case PacketInfo.VLAN:
        // Priority and the CFI bit lie below the VLAN's id here.
        this.#tag = ((value & 7) << 13) | ((value & 8) << 9) | ((value >>> 4) & 0xfff)
    }
  }

  #send(port: SwitchPort): void {
    const frame = this.#frame
    if (this.#tag === NO_TAG) frame.takeTag()
    else frame.tag = this.#tag
    if (this.#segmentBytes > 0) {
      this.#sendSegments(port)
      return
    }
    if (this.#checksum !== 0 && !this.#fillChecksums()) this.malformed += 1
    this.frames += 1
    this.#forward(frame, port)
  }

  #sendSegments(port: SwitchPort): void {
    const segments = this.#segments
    if (!segments.begin(this.#frame, this.#segmentBytes)) {
      this.malformed += 1
      this.work += 1
      return
    }
    while (segments.next()) {
      this.frames += 1
      this.#forward(segments.segment, port)
    }
  }

  #forward(frame: Frame, port: SwitchPort): void {
    const deliveries = port.send(frame)
    this.work += deliveries > 0 ? deliveries : 1
  }

  /** What the guest left out. False when the frame is not what it said it was: it goes as it is. */
  #fillChecksums(): boolean {
    const frame = this.#frame
    const headers = this.#headers
    headers.parse(frame)
    const wanted = this.#checksum
    let isDone = true
    if ((wanted & TransmitChecksum.IP_HEADER) !== 0) isDone = fillIpChecksum(frame, headers)
    if ((wanted & TRANSPORTS) === 0) return isDone
    return fillTransportChecksum(frame, headers) && isDone
  }
}

function isWithin(offset: number, length: number, size: number): boolean {
  return offset <= size && length <= size - offset
}

function readWord(view: DataView, at: number): number {
  return view.getUint32(at, true)
}
