// IPv4 (RFC 791) of one interface: what arrives is checked, what leaves gets its headers and its next hop. Nothing is fragmented, and nothing
// put together: TCP keeps to the path's size, larger UDP datagrams are refused, and every packet forbids routers to cut it.

import { BROADCAST_IPV4, MAC_BYTES, isMulticast, maskOf } from '../addresses.ts'
import { putU16, putU32, u16, u32 } from '../bytes.ts'
import { addWords, fold } from '../checksum.ts'
import { DropReason, type Drops } from '../drops.ts'
import { ETHERNET_BYTES, EtherType, IPV4_BYTES, PAYLOAD_AT, type Link } from './link.ts'
import { Neighbours } from './neighbours.ts'

const TTL = 64
const VERSION_AND_WORDS = 0x45
const DONT_FRAGMENT = 0x4000
/** More fragments, or an offset: part of something larger. */
const FRAGMENT_MASK = 0x3fff

/** Offsets in a frame. */
const LENGTH: number = ETHERNET_BYTES + 2
const FLAGS: number = ETHERNET_BYTES + 6
const CHECKSUM: number = ETHERNET_BYTES + 10
const FROM: number = ETHERNET_BYTES + 12
const TO: number = ETHERNET_BYTES + 16

/** What became of a packet. `HELD`: it waits for its next hop to be known. */
export const Sent = { GONE: 0, HELD: 1, LINK_FULL: 2, NO_ROUTE: 3 } as const
export type Sent = (typeof Sent)[keyof typeof Sent]

/** A packet that arrived; one for all of them, valid while it is served. */
export interface Packet {
  frame: Uint8Array
  /** Where its payload begins and ends. */
  at: number
  end: number
  /** Where its IPv4 header begins. */
  headerAt: number
  from: number
  to: number
  protocol: number
  /** It was sent to more than us. */
  isBroadcast: boolean
}

export class Ipv4 {
  readonly link: Link
  readonly neighbours: Neighbours
  readonly drops: Drops
  /** Where packets are composed: their payload from `PAYLOAD_AT` on. */
  readonly frame: Uint8Array
  readonly packet: Packet
  /** Ours; 0 while there is none. */
  address = 0
  gateway = 0
  /** Whatever is sent to this station is for us, whomever it names: we are the way to the rest of the world. */
  isTransparent = false
  #mask = 0

  constructor(link: Link, drops: Drops) {
    this.link = link
    this.drops = drops
    this.neighbours = new Neighbours(link, drops)
    this.frame = new Uint8Array(ETHERNET_BYTES + link.mtu)
    const nothing = { at: 0, end: 0, headerAt: 0, from: 0, to: 0, protocol: 0, isBroadcast: false }
    this.packet = { frame: this.frame, ...nothing }
  }

  /** Our address, the bits of it that are the network's, and who takes what isn't on the link; 0: nobody. */
  configure(address: number, prefixBits: number, gateway: number): void {
    this.address = address
    this.gateway = gateway
    this.#mask = maskOf(prefixBits)
    if (address !== 0) this.neighbours.announce(address)
  }

  /** The address of every station of our network. */
  get broadcast(): number {
    return (this.address | ~this.#mask) >>> 0
  }

  isBroadcast(address: number): boolean {
    return address === BROADCAST_IPV4 || (this.address !== 0 && address === this.broadcast)
  }

  /** Reads a frame's header into `packet`. False: dropped, and counted. */
  parse(frame: Uint8Array, bytes: number): boolean {
    const reason = this.#check(frame, bytes)
    if (reason === null) return true
    this.drops.count(reason)
    return false
  }

  #check(frame: Uint8Array, bytes: number): DropReason | null {
    if (bytes < PAYLOAD_AT) return DropReason.TRUNCATED
    const headerBytes = (frame[ETHERNET_BYTES]! & 0xf) * 4
    if (frame[ETHERNET_BYTES]! >>> 4 !== 4 || headerBytes < IPV4_BYTES) return DropReason.MALFORMED
    const length = u16(frame, LENGTH)
    // A short packet's frame is padded: what follows is nobody's.
    if (length < headerBytes || ETHERNET_BYTES + length > bytes) return DropReason.TRUNCATED
    if (fold(addWords(0, frame, ETHERNET_BYTES, ETHERNET_BYTES + headerBytes)) !== 0) {
      return DropReason.BAD_CHECKSUM
    }
    if ((u16(frame, FLAGS) & FRAGMENT_MASK) !== 0) return DropReason.FRAGMENT
    const { packet } = this
    packet.from = u32(frame, FROM)
    packet.to = u32(frame, TO)
    packet.isBroadcast = this.isBroadcast(packet.to)
    // Before there is an address, whatever was sent to this station is for it: so DHCP servers answer.
    const isForAny = (this.isTransparent && !isMulticast(packet.to)) || this.address === 0
    if (!packet.isBroadcast && packet.to !== this.address && !isForAny) return DropReason.NOT_FOR_US
    const { from } = packet
    const isForged = isMulticast(from) || this.isBroadcast(from) || from === this.address
    if (from !== 0 && isForged) return DropReason.MALFORMED
    packet.frame = frame
    packet.headerAt = ETHERNET_BYTES
    packet.at = ETHERNET_BYTES + headerBytes
    packet.end = ETHERNET_BYTES + length
    packet.protocol = frame[ETHERNET_BYTES + 9]!
    return null
  }

  /** Sends what lies in `frame` from `PAYLOAD_AT` on, as ours or another's. Whoever can't try again counts what the link had no room for. */
  send(
    to: number,
    protocol: number,
    payloadBytes: number,
    nowMs: number,
    from: number = this.address,
  ): Sent {
    const { frame, link } = this
    const isToAll = this.isBroadcast(to)
    const hop = isToAll || this.#isOnLink(to) ? to : this.gateway
    if (hop === 0 || isMulticast(to)) return Sent.NO_ROUTE
    const bytes = PAYLOAD_AT + payloadBytes
    frame.set(link.address, MAC_BYTES)
    putU16(frame, 2 * MAC_BYTES, EtherType.IPV4)
    frame[ETHERNET_BYTES] = VERSION_AND_WORDS
    frame[ETHERNET_BYTES + 1] = 0
    putU16(frame, LENGTH, IPV4_BYTES + payloadBytes)
    // Where nothing may be cut, packets need no names (RFC 6864 section 4.1).
    putU16(frame, ETHERNET_BYTES + 4, 0)
    putU16(frame, FLAGS, DONT_FRAGMENT)
    frame[ETHERNET_BYTES + 8] = TTL
    frame[ETHERNET_BYTES + 9] = protocol
    putU16(frame, CHECKSUM, 0)
    putU32(frame, FROM, from)
    putU32(frame, TO, to)
    putU16(frame, CHECKSUM, fold(addWords(0, frame, ETHERNET_BYTES, PAYLOAD_AT)))
    if (isToAll) {
      frame.fill(0xff, 0, MAC_BYTES)
    } else {
      const mac = this.neighbours.find(hop, this.address, nowMs)
      if (mac === null) {
        this.neighbours.hold(hop, frame, bytes)
        return Sent.HELD
      }
      frame.set(mac, 0)
    }
    return link.transmit(frame, bytes) ? Sent.GONE : Sent.LINK_FULL
  }

  #isOnLink(to: number): boolean {
    return this.address !== 0 && ((to ^ this.address) & this.#mask) === 0
  }
}
