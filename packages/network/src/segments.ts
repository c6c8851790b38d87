// HOT
// One large TCP frame as the many that go over a wire: what a guest leaves to its adapter (large send offload).

import { fillIpChecksum, fillTransportChecksum } from './checksum.ts'
import { Frame } from './frame.ts'
import { FrameHeaders } from './headers.ts'

/** Fewer bytes a segment are no segments of TCP; it bounds how many there are. */
const SEGMENT_BYTES_MIN = 64
const ETHERNET_BYTES = 14
const IPV6_BYTES = 40
const U16_MAX = 0xffff
const FIN_AND_PUSH = 0x09
const WINDOW_REDUCED = 0x80

/** Segments of one frame, one after another in the same `segment`. */
export class Segments {
  readonly segment: Frame = new Frame()
  readonly headers: FrameHeaders = new FrameHeaders()
  #source: Frame | null = null
  #segmentBytes = 0
  #headBytes = 0
  #sequence = 0
  #identification = 0
  /** Bytes of data that have gone, and that there are. */
  #done = 0
  #total = 0
  #piece = 0
  #inPiece = 0

  /**
   * Starts on a frame whose IP length its sender may have left out. False when it can't be cut: no TCP, headers not in the head, no
   * data, or segments too small.
   */
  begin(frame: Frame, segmentBytes: number): boolean {
    if (segmentBytes < SEGMENT_BYTES_MIN || frame.headerBytes < ETHERNET_BYTES + 20) return false
    fillLength(frame)
    const { headers } = this
    headers.parse(frame)
    const tcpBytes = headers.tcpHeaderBytes(frame)
    if (tcpBytes === 0 || headers.isFragment) return false
    this.#headBytes = headers.transportAt + tcpBytes
    this.#total = headers.ipEnd - this.#headBytes
    if (this.#total <= 0) return false
    this.#source = frame
    this.#segmentBytes = segmentBytes
    this.#sequence = frame.view.getUint32(headers.transportAt + 4)
    this.#identification = headers.ipVersion === 4 ? frame.view.getUint16(headers.ipAt + 4) : 0
    this.#done = 0
    this.#piece = 0
    this.#inPiece = 0
    return true
  }

  /** Fills `segment` with the next, checksums included. False when all have gone. */
  next(): boolean {
    const source = this.#source
    const left = this.#total - this.#done
    if (source === null || left === 0) {
      this.#source = null
      return false
    }
    const length = left < this.#segmentBytes ? left : this.#segmentBytes
    const { segment } = this
    segment.clear(source.memory)
    segment.tag = source.tag
    const inHead = this.#fillHead(source, length)
    this.#addPieces(source, length - inHead)
    segment.lengthBytes = this.#headBytes + length
    this.#patch(length, left === length)
    this.#done += length
    return true
  }

  /** The headers, and as much of the segment's data as is private. How much that was. */
  #fillHead(source: Frame, length: number): number {
    const { segment } = this
    const { header } = segment
    const headBytes = this.#headBytes
    for (let at = 0; at < headBytes; at += 1) header[at] = source.header[at]!
    const from = headBytes + this.#done
    const available = source.headerBytes - from
    let inHead = available < length ? available : length
    if (inHead < 0) inHead = 0
    for (let at = 0; at < inHead; at += 1) header[headBytes + at] = source.header[from + at]!
    segment.headerBytes = headBytes + inHead
    return inHead
  }

  #addPieces(source: Frame, lengthBytes: number): void {
    let left = lengthBytes
    while (left > 0 && this.#piece < source.pieceCount) {
      const inPiece = source.lengths[this.#piece]! - this.#inPiece
      const taken = inPiece < left ? inPiece : left
      // There is room: a segment has no more pieces than its source.
      this.segment.addPiece(source.addresses[this.#piece]! + this.#inPiece, taken)
      left -= taken
      this.#inPiece += taken
      if (this.#inPiece === source.lengths[this.#piece]!) {
        this.#piece += 1
        this.#inPiece = 0
      }
    }
  }

  #patch(length: number, isLast: boolean): void {
    const { segment, headers } = this
    const { view, header } = segment
    const { ipAt, transportAt } = headers
    const isV4 = headers.ipVersion === 4
    const end = this.#headBytes + length
    if (isV4) {
      view.setUint16(ipAt + 2, end - ipAt)
      view.setUint16(ipAt + 4, this.#identification & U16_MAX)
      this.#identification += 1
    } else {
      view.setUint16(ipAt + 4, end - ipAt - IPV6_BYTES)
    }
    view.setUint32(transportAt + 4, (this.#sequence + this.#done) >>> 0)
    const flagsAt = transportAt + 13
    if (!isLast) header[flagsAt] = header[flagsAt]! & ~FIN_AND_PUSH
    if (this.#done > 0) header[flagsAt] = header[flagsAt]! & ~WINDOW_REDUCED
    headers.ipEnd = end
    fillIpChecksum(segment, headers)
    fillTransportChecksum(segment, headers)
  }
}

// Linux leaves the length of a large frame's IP packet 0: it is all of the frame.
function fillLength(frame: Frame): void {
  const { header, view } = frame
  const version = header[ETHERNET_BYTES]! >>> 4
  const length = frame.lengthBytes - ETHERNET_BYTES
  if (version === 4 && length <= U16_MAX) view.setUint16(ETHERNET_BYTES + 2, length)
  if (version === 6 && length - IPV6_BYTES <= U16_MAX && length >= IPV6_BYTES) {
    view.setUint16(ETHERNET_BYTES + 4, length - IPV6_BYTES)
  }
}
