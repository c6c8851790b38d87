// HOT
// What is in a frame's head: which protocols, and where their headers begin. Everything is read from the private bytes, and nothing
// beyond them; a header that reaches further counts as not readable.

import type { Frame } from './frame.ts'

export const EtherType = { IPV4: 0x0800, ARP: 0x0806, IPV6: 0x86dd } as const
export const IpProtocol = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58 } as const

const ETHERNET_BYTES = 14
const IPV4_BYTES_MIN = 20
const IPV6_BYTES = 40
const TCP_BYTES_MIN = 20
const UDP_BYTES = 8
const FRAGMENT_OFFSET_MASK = 0x1fff
const MORE_FRAGMENTS = 0x2000
/** Extension headers of IPv6 that are walked. */
const EXTENSIONS_MAX = 8
const HOP_BY_HOP = 0
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const DESTINATION_OPTIONS = 60

/** Filled for frame after frame. */
export class FrameHeaders {
  /** Type behind the addresses. */
  etherType = 0
  /** Where the IP header begins, 0 for anything else. */
  ipAt = 0
  /** 4, 6 or 0. */
  ipVersion = 0
  /** Where IP ends, by its own length; beyond is padding. 0 without IP. */
  ipEnd = 0
  /** Protocol behind IP and its extension headers; -1 when that is not known. */
  protocol = -1
  /** Where its header begins, 0 when there is none here: another fragment, or not readable. */
  transportAt = 0
  /** A fragment, the first or another. */
  isFragment = false
  isFirstFragment = true
  /** False when a header is cut off or makes no sense: what the frame is, nobody knows. */
  isReadable = true

  /** Reads the head of a frame of at least ETHERNET_BYTES. */
  parse(frame: Frame): void {
    frame.deepen()
    this.etherType = frame.view.getUint16(12)
    this.ipAt = 0
    this.ipVersion = 0
    this.ipEnd = 0
    this.protocol = -1
    this.transportAt = 0
    this.isFragment = false
    this.isFirstFragment = true
    this.isReadable = true
    if (this.etherType === EtherType.IPV4) this.#parseIpv4(frame)
    else if (this.etherType === EtherType.IPV6) this.#parseIpv6(frame)
  }

  /** Bytes of the TCP header at `transportAt`, 0 when it is not all in the head. */
  tcpHeaderBytes(frame: Frame): number {
    const at = this.transportAt
    if (at === 0 || this.protocol !== IpProtocol.TCP) return 0
    const available = this.#readable(frame) - at
    if (available < TCP_BYTES_MIN) return 0
    const length = (frame.header[at + 12]! >>> 4) * 4
    return length >= TCP_BYTES_MIN && length <= available ? length : 0
  }

  /** True when the UDP header is all in the head. */
  hasUdp(frame: Frame): boolean {
    const at = this.transportAt
    if (at === 0 || this.protocol !== IpProtocol.UDP) return false
    return this.#readable(frame) - at >= UDP_BYTES
  }

  // Where what is in the head and belongs to the packet ends.
  #readable(frame: Frame): number {
    return frame.headerBytes < this.ipEnd ? frame.headerBytes : this.ipEnd
  }

  #parseIpv4(frame: Frame): void {
    const { header, view, headerBytes } = frame
    const at = ETHERNET_BYTES
    const available = headerBytes - at
    if (available < IPV4_BYTES_MIN) return this.#unreadable()
    const headerLength = (header[at]! & 0xf) * 4
    const totalLength = view.getUint16(at + 2)
    const isSane = header[at]! >>> 4 === 4 && headerLength >= IPV4_BYTES_MIN
    if (!isSane || headerLength > available || totalLength < headerLength) {
      return this.#unreadable()
    }
    if (totalLength > frame.lengthBytes - at) return this.#unreadable()
    this.ipAt = at
    this.ipVersion = 4
    this.ipEnd = at + totalLength
    this.protocol = header[at + 9]!
    const fragment = view.getUint16(at + 6)
    this.isFragment = (fragment & (FRAGMENT_OFFSET_MASK | MORE_FRAGMENTS)) !== 0
    this.isFirstFragment = (fragment & FRAGMENT_OFFSET_MASK) === 0
    const hasBody = headerLength < available && headerLength < totalLength
    if (this.isFirstFragment && hasBody) this.transportAt = at + headerLength
  }

  #parseIpv6(frame: Frame): void {
    const { header, view, headerBytes } = frame
    const start = ETHERNET_BYTES
    if (headerBytes - start < IPV6_BYTES || header[start]! >>> 4 !== 6) return this.#unreadable()
    const payloadLength = view.getUint16(start + 4)
    if (payloadLength > frame.lengthBytes - start - IPV6_BYTES) return this.#unreadable()
    this.ipAt = start
    this.ipVersion = 6
    this.ipEnd = start + IPV6_BYTES + payloadLength
    let next = header[start + 6]!
    let at = start + IPV6_BYTES
    for (let count = 0; count < EXTENSIONS_MAX; count += 1) {
      if (!isExtension(next)) {
        this.protocol = next
        const isHere = at < headerBytes && at < this.ipEnd
        if (this.isFirstFragment && isHere) this.transportAt = at
        return
      }
      if (headerBytes - at < 8) break
      const length = extensionBytes(next, header[at + 1]!)
      if (next === FRAGMENT) {
        this.isFragment = true
        this.isFirstFragment = view.getUint16(at + 2) >>> 3 === 0
      }
      next = header[at]!
      at += length
      if (!this.isFirstFragment) {
        // What follows belongs to the middle of something.
        this.protocol = next
        return
      }
    }
    this.isReadable = false
  }

  #unreadable(): void {
    this.isReadable = false
  }
}

function isExtension(next: number): boolean {
  switch (next) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT:
    case AUTHENTICATION:
    case DESTINATION_OPTIONS:
      return true
    default:
      return false
  }
}

function extensionBytes(kind: number, length: number): number {
  if (kind === FRAGMENT) return 8
  return kind === AUTHENTICATION ? (length + 2) * 4 : (length + 1) * 8
}
