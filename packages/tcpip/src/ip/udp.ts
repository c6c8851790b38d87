// UDP (RFC 768): datagrams of one packet.

import { putU16, u16 } from '../bytes.ts'
import { addWords, fold, pseudoSum } from '../checksum.ts'
import { DropReason } from '../drops.ts'
import type { Icmp } from './icmp.ts'
import { IpProtocol, PAYLOAD_AT } from './link.ts'
import { Sent, type Ipv4, type Packet } from './ipv4.ts'

const HEADER_BYTES = 8
const SOCKETS_MAX = 1_024
const EPHEMERAL_FIRST = 49_152
const EPHEMERAL_COUNT = 16_384

/** Told of a datagram: its bytes are valid during the call. Must not throw. */
export type DatagramListener = (bytes: Uint8Array, from: number, fromPort: number) => void

/** Told of datagrams for other hosts, where a stack stands for them; valid during the call. Must not throw. */
export type TransitListener = (
  bytes: Uint8Array,
  from: number,
  fromPort: number,
  to: number,
  toPort: number,
) => void

export class UdpSocket {
  readonly port: number
  readonly #udp: Udp

  constructor(udp: Udp, port: number) {
    this.#udp = udp
    this.port = port
  }

  /** Sends 0 to mtu-28 bytes to a host or to all. False: larger than a packet, no way there, or no room on the link. */
  send(bytes: Uint8Array, to: number, toPort: number): boolean {
    return this.#udp.send(this.port, bytes, to, toPort)
  }

  close(): void {
    this.#udp.close(this)
  }
}

export class Udp {
  readonly #ip: Ipv4
  readonly #icmp: Icmp
  readonly #clock: () => number
  readonly #random: () => number
  readonly #sockets: Map<number, { socket: UdpSocket; listener: DatagramListener }> = new Map()

  /** Whoever stands for other hosts. */
  transit: TransitListener | null = null

  constructor(ip: Ipv4, icmp: Icmp, clock: () => number, random: () => number) {
    this.#ip = ip
    this.#icmp = icmp
    this.#clock = clock
    this.#random = random
  }

  /** Port 0: any that is free, of 49152 and up. Null: the port is taken, or there are 1,024 sockets. */
  bind(port: number, listener: DatagramListener): UdpSocket | null {
    if (this.#sockets.size >= SOCKETS_MAX) return null
    let chosen = port
    // RFC 6056: ports that can't be guessed.
    for (let tries = 0; chosen === 0 && tries < EPHEMERAL_COUNT; tries += 1) {
      const candidate = EPHEMERAL_FIRST + (this.#random() % EPHEMERAL_COUNT)
      if (!this.#sockets.has(candidate)) chosen = candidate
    }
    if (chosen === 0 || this.#sockets.has(chosen)) return null
    const socket = new UdpSocket(this, chosen)
    this.#sockets.set(chosen, { socket, listener })
    return socket
  }

  receive(packet: Packet, nowMs: number): void {
    const { frame, at, end, from, to } = packet
    const { drops } = this.#ip
    if (end - at < HEADER_BYTES) return drops.count(DropReason.TRUNCATED)
    const bytes = u16(frame, at + 4)
    if (bytes < HEADER_BYTES || at + bytes > end) return drops.count(DropReason.TRUNCATED)
    // 0: the sender computed none.
    const isChecked = u16(frame, at + 6) !== 0
    const pseudo = pseudoSum(from, to, IpProtocol.UDP, bytes)
    if (isChecked && fold(addWords(pseudo, frame, at, at + bytes)) !== 0) {
      return drops.count(DropReason.BAD_CHECKSUM)
    }
    const toPort = u16(frame, at + 2)
    const payload = frame.subarray(at + HEADER_BYTES, at + bytes)
    const isOurs = to === this.#ip.address || packet.isBroadcast
    const bound = isOurs ? this.#sockets.get(toPort) : undefined
    if (bound === undefined && !packet.isBroadcast && this.transit !== null) {
      return this.transit(payload, from, u16(frame, at), to, toPort)
    }
    if (bound === undefined) {
      drops.count(DropReason.NO_SOCKET)
      return this.#icmp.portUnreachable(packet, nowMs)
    }
    bound.listener(payload, from, u16(frame, at))
  }

  send(
    port: number,
    payload: Uint8Array,
    to: number,
    toPort: number,
    address: number = this.#ip.address,
  ): boolean {
    const { frame } = this.#ip
    const at = PAYLOAD_AT
    const bytes = HEADER_BYTES + payload.length
    if (at + bytes > frame.length) return false
    putU16(frame, at, port)
    putU16(frame, at + 2, toPort)
    putU16(frame, at + 4, bytes)
    putU16(frame, at + 6, 0)
    frame.set(payload, at + HEADER_BYTES)
    const sum = pseudoSum(address, to, IpProtocol.UDP, bytes)
    const checksum = fold(addWords(sum, frame, at, at + bytes))
    // A sum of 0 is sent as its other form: 0 says that there is none.
    putU16(frame, at + 6, checksum === 0 ? 0xffff : checksum)
    const sent = this.#ip.send(to, IpProtocol.UDP, bytes, this.#clock(), address)
    if (sent === Sent.LINK_FULL) this.#ip.drops.count(DropReason.LINK_FULL)
    return sent < Sent.LINK_FULL
  }

  close(socket: UdpSocket): void {
    if (this.#sockets.get(socket.port)?.socket === socket) this.#sockets.delete(socket.port)
  }
}
