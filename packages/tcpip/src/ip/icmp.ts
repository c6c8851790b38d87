// ICMP (RFC 792): echo both ways, unreachable ports told and heard of.

import { Allowance } from '../allowance.ts'
import { putU16, putU32, u16, u32 } from '../bytes.ts'
import { addWords, fold } from '../checksum.ts'
import { DropReason } from '../drops.ts'
import { IpProtocol, PAYLOAD_AT } from './link.ts'
import { Sent, type Ipv4, type Packet } from './ipv4.ts'

const Type = { ECHO_REPLY: 0, UNREACHABLE: 3, ECHO: 8 } as const
const PORT_UNREACHABLE = 3
const FRAGMENTATION_NEEDED = 4
const HEADER_BYTES = 8
/** Bytes of the payload that an error quotes, behind the IPv4 header. */
const QUOTED_BYTES = 8
/** Errors that may be told in a second (RFC 1812 section 4.3.2.8): a flood gets no flood for an answer. */
const ERRORS_PER_SECOND = 100
/** Echo requests that wait for their answer. */
const PINGS_MAX = 64

export interface PingAnswer {
  /** Milliseconds from the request to its answer. */
  readonly roundTripMs: number
  readonly bytes: number
}

/** Answers with null when there is none in time. */
export type PingListener = (answer: PingAnswer | null) => void

interface Ping {
  readonly to: number
  readonly sentMs: number
  readonly untilMs: number
  readonly listener: PingListener
}

/** What a router said of a TCP segment that was too long for it. */
export interface PathListener {
  onTooBig(to: number, localPort: number, remotePort: number, sequence: number, mtu: number): void
}

export class Icmp {
  readonly #ip: Ipv4
  readonly #path: PathListener
  readonly #identifier: number
  readonly #pings: Map<number, Ping> = new Map()
  #sequence = 0
  readonly #errors: Allowance = new Allowance(ERRORS_PER_SECOND)

  /** `identifier`: what our echo requests are known by, 16 bits. */
  constructor(ip: Ipv4, identifier: number, path: PathListener) {
    this.#ip = ip
    this.#identifier = identifier & 0xffff
    this.#path = path
  }

  receive(packet: Packet, nowMs: number): void {
    const { frame, at, end, from } = packet
    const { drops } = this.#ip
    if (end - at < HEADER_BYTES) return drops.count(DropReason.TRUNCATED)
    if (fold(addWords(0, frame, at, end)) !== 0) return drops.count(DropReason.BAD_CHECKSUM)
    switch (frame[at]!) {
      case Type.ECHO:
        if (packet.isBroadcast || packet.to !== this.#ip.address) {
          return drops.count(DropReason.NOT_FOR_US)
        }
        return this.#answer(packet, nowMs)
      case Type.ECHO_REPLY: {
        if (u16(frame, at + 4) !== this.#identifier) return
        const sequence = u16(frame, at + 6)
        const ping = this.#pings.get(sequence)
        if (ping === undefined || ping.to !== from) return
        this.#pings.delete(sequence)
        const bytes = end - at - HEADER_BYTES
        return ping.listener({ roundTripMs: nowMs - ping.sentMs, bytes })
      }
      case Type.UNREACHABLE:
        return frame[at + 1] === FRAGMENTATION_NEEDED ? this.#tooBig(packet) : undefined
      default:
        return drops.count(DropReason.UNKNOWN_PROTOCOL)
    }
  }

  /** Asks a host for a sign of life, with a payload of 0 to mtu-28 bytes. False: it can't be asked now. */
  ping(
    to: number,
    bytes: number,
    timeoutMs: number,
    listener: PingListener,
    nowMs: number,
  ): boolean {
    const { frame } = this.#ip
    if (this.#pings.size >= PINGS_MAX || PAYLOAD_AT + HEADER_BYTES + bytes > frame.length) {
      return false
    }
    this.#sequence = (this.#sequence + 1) & 0xffff
    const sequence = this.#sequence
    const at = PAYLOAD_AT
    frame[at] = Type.ECHO
    frame[at + 1] = 0
    putU16(frame, at + 4, this.#identifier)
    putU16(frame, at + 6, sequence)
    for (let n = 0; n < bytes; n += 1) frame[at + HEADER_BYTES + n] = n
    if (this.#send(to, HEADER_BYTES + bytes, nowMs) >= Sent.LINK_FULL) return false
    this.#pings.set(sequence, { to, sentMs: nowMs, untilMs: nowMs + timeoutMs, listener })
    return true
  }

  /** Tells the sender of a datagram that nobody has its port. */
  portUnreachable(packet: Packet, nowMs: number): void {
    if (packet.isBroadcast || packet.from === 0) return
    if (!this.#errors.take(nowMs)) return
    const { frame } = this.#ip
    const at = PAYLOAD_AT
    frame[at] = Type.UNREACHABLE
    frame[at + 1] = PORT_UNREACHABLE
    putU32(frame, at + 4, 0)
    const quotedEnd = Math.min(packet.end, packet.at + QUOTED_BYTES)
    frame.set(packet.frame.subarray(packet.headerAt, quotedEnd), at + HEADER_BYTES)
    this.#send(packet.from, HEADER_BYTES + quotedEnd - packet.headerAt, nowMs)
  }

  /** Gives up requests whose time is over. */
  poll(nowMs: number): void {
    for (const [sequence, { untilMs, listener }] of this.#pings) {
      if (nowMs < untilMs) continue
      this.#pings.delete(sequence)
      listener(null)
    }
  }

  nextDeadlineMs(): number {
    let least = Infinity
    for (const { untilMs } of this.#pings.values()) least = Math.min(least, untilMs)
    return least
  }

  #answer(packet: Packet, nowMs: number): void {
    const { frame } = this.#ip
    const bytes = packet.end - packet.at
    frame.set(packet.frame.subarray(packet.at, packet.end), PAYLOAD_AT)
    frame[PAYLOAD_AT] = Type.ECHO_REPLY
    this.#send(packet.from, bytes, nowMs)
  }

  /** RFC 1191: the router quotes the header, and the ports and sequence number behind it, of what it could not pass on. */
  #tooBig({ frame, at, end }: Packet): void {
    const quoted = at + HEADER_BYTES
    const ports = quoted + (frame[quoted]! & 0xf) * 4
    if (end < ports + QUOTED_BYTES || frame[quoted + 9] !== IpProtocol.TCP) return
    const [localPort, remotePort] = [u16(frame, ports), u16(frame, ports + 2)]
    const mtu = u16(frame, at + 6)
    this.#path.onTooBig(u32(frame, quoted + 16), localPort, remotePort, u32(frame, ports + 4), mtu)
  }

  #send(to: number, bytes: number, nowMs: number): Sent {
    const { frame } = this.#ip
    putU16(frame, PAYLOAD_AT + 2, 0)
    putU16(frame, PAYLOAD_AT + 2, fold(addWords(0, frame, PAYLOAD_AT, PAYLOAD_AT + bytes)))
    const sent = this.#ip.send(to, IpProtocol.ICMP, bytes, nowMs)
    if (sent === Sent.LINK_FULL) this.#ip.drops.count(DropReason.LINK_FULL)
    return sent
  }
}
