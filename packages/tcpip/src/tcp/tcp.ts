// All TCP connections of a stack: which segment is whose, ports, listeners, and answers for those that belong to nothing.

import { putU16 } from '../bytes.ts'
import { addWords, fold, pseudoSum } from '../checksum.ts'
import { DropReason } from '../drops.ts'
import { IPV4_BYTES, IpProtocol, PAYLOAD_AT } from '../ip/link.ts'
import { Sent, type Ipv4, type Packet } from '../ip/ipv4.ts'
import { TcpConnection, timestampOf, type TcpWire } from './connection.ts'
import type { TcpLimits, TcpPorts } from './connection-types.ts'
import { InitialSequence } from './initial-sequence.ts'
import {
  TCP_BYTES,
  TIMESTAMP_BYTES,
  TcpFlag,
  composeSegment,
  newSegment,
  parseSegment,
  sequenceBytes,
  type Outgoing,
  type Segment,
} from './segment.ts'
import { advance, isAfter } from './sequence.ts'

/** Connections of a stack, those in time-wait too. */
const CONNECTIONS_MAX = 4_096
/** Connections of a listener whose handshake isn't through: one more, and the oldest is forgotten. */
const HALF_OPEN_MAX = 128
const EPHEMERAL_FIRST = 49_152
const EPHEMERAL_COUNT = 16_384

const PORT_SPAN = 0x1_0000

/** Whoever accepts connections of a port. */
export interface TcpAcceptor {
  /** One is open; it has told nobody else. Not wanted: `abort` it. */
  onConnection(connection: TcpConnection): void
}

/** Whoever accepts connections to other hosts, where a stack stands for them. */
export interface TcpTransit extends TcpAcceptor {
  /** A host may be connected to. False: the asker is refused. */
  isAllowed(to: number, port: number): boolean
}

export interface TcpConnectOptions {
  /** Sends small segments though others are under way: for those that ask and wait. False when left out. */
  readonly noDelay?: boolean
}

interface Listener {
  readonly acceptor: TcpAcceptor
  readonly noDelay: boolean
  readonly halfOpen: Set<TcpConnection>
}

export class Tcp implements TcpWire {
  readonly limits: TcpLimits
  readonly #ip: Ipv4
  readonly #clock: () => number
  readonly #random: () => number
  readonly #initial: InitialSequence
  readonly #listeners: Map<number, Listener> = new Map()
  /** By the peer's address and port, for each local address and port. */
  readonly #ports: Map<number, Map<number, TcpConnection>> = new Map()
  readonly #all: Set<TcpConnection> = new Set()
  readonly #segment: Segment = newSegment()
  readonly #outgoing: Outgoing
  #transit: (Listener & { readonly acceptor: TcpTransit }) | null = null
  #isBlocked = false

  constructor(
    ip: Ipv4,
    limits: TcpLimits,
    clock: () => number,
    random: () => number,
    secret: Uint8Array,
  ) {
    this.#ip = ip
    this.limits = limits
    this.#clock = clock
    this.#random = random
    this.#initial = new InitialSequence(secret)
    const numbers = { sequence: 0, acknowledgement: 0, flags: 0, window: 0 }
    const options = { segmentSize: 0, windowScale: -1, timestamp: -1, timestampEcho: 0 }
    this.#outgoing = { sourcePort: 0, targetPort: 0, ...numbers, ...options }
  }

  get connectionCount(): number {
    return this.#all.size
  }

  /** Accepts connections of a port from now on. False: somebody listens there. */
  listen(port: number, acceptor: TcpAcceptor, options: TcpConnectOptions = {}): boolean {
    if (this.#listeners.has(port)) return false
    const { noDelay = false } = options
    this.#listeners.set(port, { acceptor, noDelay, halfOpen: new Set() })
    return true
  }

  /** Accepts no more; those that are open go on. */
  unlisten(port: number): void {
    const listener = this.#listeners.get(port)
    this.#listeners.delete(port)
    for (const connection of listener?.halfOpen ?? []) connection.abort()
  }

  /** Accepts connections to other hosts. */
  forward(transit: TcpTransit): void {
    this.#transit = { acceptor: transit, noDelay: true, halfOpen: new Set() }
  }

  /** Opens a connection from any free port. Null: there are as many as there may be, or no way to the peer. */
  connect(
    remote: number,
    remotePort: number,
    options: TcpConnectOptions = {},
  ): TcpConnection | null {
    if (this.#ip.address === 0 || this.#ip.isBroadcast(remote)) return null
    if (!this.#hasRoom()) return null
    const local = this.#ip.address
    const key = remote * PORT_SPAN + remotePort
    // RFC 6056: ports that can't be guessed; those in use by others are passed over.
    for (let tries = 0; tries < EPHEMERAL_COUNT; tries += 1) {
      const localPort = EPHEMERAL_FIRST + (this.#random() % EPHEMERAL_COUNT)
      const own = local * PORT_SPAN + localPort
      const isTaken = this.#listeners.has(localPort) || this.#ports.get(own)?.has(key)
      if (isTaken === true) continue
      const ports = { local, localPort, remote, remotePort }
      const connection = this.#add(ports, false, options.noDelay ?? false)
      connection.open(this.#clock())
      return connection
    }
    return null
  }

  receive(packet: Packet, nowMs: number): void {
    const { frame, at, end, from, to } = packet
    const { drops } = this.#ip
    const isOurs = to === this.#ip.address || this.#transit !== null
    if (packet.isBroadcast || !isOurs || from === 0) {
      return drops.count(DropReason.NOT_FOR_US)
    }
    if (end - at < TCP_BYTES) return drops.count(DropReason.TRUNCATED)
    const sum = pseudoSum(from, to, IpProtocol.TCP, end - at)
    if (fold(addWords(sum, frame, at, end)) !== 0) return drops.count(DropReason.BAD_CHECKSUM)
    const segment = this.#segment
    if (!parseSegment(segment, frame, at, end)) return drops.count(DropReason.MALFORMED)
    const key = from * PORT_SPAN + segment.sourcePort
    const connection = this.#ports.get(to * PORT_SPAN + segment.targetPort)?.get(key)
    if (connection !== undefined && !this.#isReborn(connection, segment)) {
      return connection.receive(segment, nowMs)
    }
    connection?.abort()
    this.#receiveAtListener(from, to, segment, nowMs)
  }

  /** Deadlines, and what the link had no room for. */
  poll(nowMs: number): void {
    if (this.#isBlocked) {
      this.#isBlocked = false
      for (const connection of this.#all) connection.resume()
    }
    for (const connection of this.#all) {
      if (nowMs >= connection.nextDeadlineMs) connection.poll(nowMs)
    }
  }

  /** The link had no room for something that waits: a poll sends it. */
  get wantsRoom(): boolean {
    return this.#isBlocked
  }

  nextDeadlineMs(): number {
    let least = Infinity
    for (const { nextDeadlineMs } of this.#all) least = Math.min(least, nextDeadlineMs)
    return least
  }

  /** Ends every connection. */
  abortAll(): void {
    for (const connection of this.#all) connection.abort()
  }

  /** A router could not pass a segment on. */
  tooBig(
    remote: number,
    localPort: number,
    remotePort: number,
    sequence: number,
    mtu: number,
  ): void {
    const key = remote * PORT_SPAN + remotePort
    const own = this.#ip.address * PORT_SPAN + localPort
    const connection = this.#ports.get(own)?.get(key)
    const optionBytes = connection?.usesTimestamps === true ? TIMESTAMP_BYTES : 0
    const segment = mtu - IPV4_BYTES - TCP_BYTES - optionBytes
    connection?.shrink(sequence, segment, this.#clock())
  }

  now(): number {
    return this.#clock()
  }

  emit(
    connection: TcpConnection,
    sequence: number,
    flags: number,
    offset: number,
    bytes: number,
  ): boolean {
    const { frame } = this.#ip
    const { receiving, sending } = connection
    const isSyn = (flags & TcpFlag.SYN) !== 0
    const nowMs = this.#clock()
    const out = this.#outgoing
    out.sourcePort = connection.localPort
    out.targetPort = connection.remotePort
    out.sequence = sequence
    out.acknowledgement = receiving?.next ?? 0
    out.flags = flags
    out.window =
      receiving === null ? Math.min(0xffff, this.limits.receiveBytes) : receiving.tell(isSyn)
    out.segmentSize = connection.ownSegment
    out.windowScale = receiving === null || connection.ownScale > 0 ? connection.ownScale : -1
    out.timestamp = connection.usesTimestamps ? timestampOf(nowMs) : -1
    out.timestampEcho = receiving === null ? 0 : connection.recentTimestamp
    const headerBytes = composeSegment(out, frame, PAYLOAD_AT)
    sending?.buffer.copyOut(offset, frame, PAYLOAD_AT + headerBytes, bytes)
    if (!this.#send(connection.local, connection.remote, headerBytes + bytes, nowMs)) {
      this.#isBlocked = true
      // What it would have told is still to be told.
      receiving?.owe()
      return false
    }
    if (receiving !== null) connection.acknowledged(receiving.next)
    return true
  }

  /** A RST for a segment that belongs to nothing (RFC 9293 section 3.10.7.1). */
  refuse({ local, remote }: TcpConnection, segment: Segment): void {
    this.#ip.drops.count(DropReason.UNACCEPTABLE)
    this.#reset(local, remote, segment)
  }

  dropped(reason: DropReason): void {
    this.#ip.drops.count(reason)
  }

  opened(connection: TcpConnection): void {
    const listener = this.#listenerOf(connection.local, connection.localPort)
    if (listener?.halfOpen.delete(connection) === true) listener.acceptor.onConnection(connection)
  }

  closed(connection: TcpConnection): void {
    const { local, localPort, remote, remotePort } = connection
    this.#listenerOf(local, localPort)?.halfOpen.delete(connection)
    this.#all.delete(connection)
    const own = local * PORT_SPAN + localPort
    const peers = this.#ports.get(own)
    peers?.delete(remote * PORT_SPAN + remotePort)
    if (peers?.size === 0) this.#ports.delete(own)
  }

  /** A new connection of ports that are still kept from the last one (RFC 6191): its numbers are past the old ones. */
  #isReborn({ state, receiving }: TcpConnection, { flags, sequence }: Segment): boolean {
    const isSyn = (flags & (TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST)) === TcpFlag.SYN
    return state === 'time-wait' && isSyn && isAfter(sequence, receiving!.next)
  }

  #listenerOf(local: number, port: number): Listener | null {
    const own = local === this.#ip.address ? this.#listeners.get(port) : undefined
    return own ?? this.#transit
  }

  #receiveAtListener(from: number, to: number, segment: Segment, nowMs: number): void {
    const { drops } = this.#ip
    const { flags, targetPort, sourcePort } = segment
    if ((flags & TcpFlag.RST) !== 0) return drops.count(DropReason.NO_SOCKET)
    const listener = this.#listenerOf(to, targetPort)
    const isSyn = (flags & (TcpFlag.SYN | TcpFlag.ACK)) === TcpFlag.SYN
    const transit = listener === this.#transit ? this.#transit : null
    const isAllowed = transit === null || transit.acceptor.isAllowed(to, targetPort)
    if (listener === null || !isSyn || !isAllowed) {
      drops.count(DropReason.NO_SOCKET)
      return this.#reset(to, from, segment)
    }
    if (listener.halfOpen.size >= HALF_OPEN_MAX) {
      const [oldest] = listener.halfOpen
      oldest!.abort()
      drops.count(DropReason.NO_ROOM)
    }
    if (!this.#hasRoom()) return drops.count(DropReason.NO_ROOM)
    const ports = { local: to, localPort: targetPort, remote: from, remotePort: sourcePort }
    const connection = this.#add(ports, true, listener.noDelay)
    listener.halfOpen.add(connection)
    connection.accept(segment, nowMs)
  }

  /** Room for one more: the oldest that only waits for its time to be over makes some. */
  #hasRoom(): boolean {
    if (this.#all.size < CONNECTIONS_MAX) return true
    for (const connection of this.#all) {
      if (connection.state !== 'time-wait') continue
      connection.abort()
      return true
    }
    return false
  }

  #add(ports: TcpPorts, isPassive: boolean, noDelay: boolean): TcpConnection {
    const { local, localPort, remote, remotePort } = ports
    const { link } = this.#ip
    const initial = this.#initial.next(local, localPort, remote, remotePort, this.#clock())
    const segment = link.mtu - IPV4_BYTES - TCP_BYTES
    const connection = new TcpConnection(this, ports, initial, segment, isPassive, !noDelay)
    this.#all.add(connection)
    const own = local * PORT_SPAN + localPort
    let peers = this.#ports.get(own)
    if (peers === undefined) this.#ports.set(own, (peers = new Map()))
    peers.set(remote * PORT_SPAN + remotePort, connection)
    return connection
  }

  #reset(from: number, to: number, segment: Segment): void {
    const { flags } = segment
    if ((flags & TcpFlag.RST) !== 0) return
    const hasAck = (flags & TcpFlag.ACK) !== 0
    const out = this.#outgoing
    out.sourcePort = segment.targetPort
    out.targetPort = segment.sourcePort
    out.sequence = hasAck ? segment.acknowledgement : 0
    out.acknowledgement = hasAck ? 0 : advance(segment.sequence, sequenceBytes(segment))
    out.flags = hasAck ? TcpFlag.RST : TcpFlag.RST | TcpFlag.ACK
    out.window = 0
    out.timestamp = -1
    this.#send(from, to, composeSegment(out, this.#ip.frame, PAYLOAD_AT), this.#clock())
  }

  /** False: the link had no room. Where there is no way, the segment is lost, and a timer will tell. */
  #send(from: number, to: number, bytes: number, nowMs: number): boolean {
    const { frame } = this.#ip
    const sum = pseudoSum(from, to, IpProtocol.TCP, bytes)
    putU16(frame, PAYLOAD_AT + 16, 0)
    putU16(frame, PAYLOAD_AT + 16, fold(addWords(sum, frame, PAYLOAD_AT, PAYLOAD_AT + bytes)))
    return this.#ip.send(to, IpProtocol.TCP, bytes, nowMs, from) !== Sent.LINK_FULL
  }
}
