// The stack of one interface: frames in, frames out, sockets.

import { u16 } from './bytes.ts'
import { DropReason, Drops } from './drops.ts'
import { Icmp, type PingListener } from './ip/icmp.ts'
import { Ipv4 } from './ip/ipv4.ts'
import { ETHERNET_BYTES, EtherType, IpProtocol, type Link } from './ip/link.ts'
import { Udp, type DatagramListener, type TransitListener, type UdpSocket } from './ip/udp.ts'
import type { TcpConnection } from './tcp/connection.ts'
import type { TcpLimits } from './tcp/connection-types.ts'
import { Tcp, type TcpAcceptor, type TcpConnectOptions, type TcpTransit } from './tcp/tcp.ts'

const MTU_MIN = 576
const MTU_MAX = 65_535
const DEFAULT_LIMITS: TcpLimits = {
  sendBytes: 256 * 1024,
  receiveBytes: 256 * 1024,
  timeWaitMs: 60_000,
  finWaitMs: 60_000,
}

export interface IpStackOptions {
  readonly link: Link
  /** Milliseconds that only go forward; fractions count. */
  readonly clock: () => number
  /** 32 random bits. */
  readonly random: () => number
  /** 8 bytes or more that nobody else knows: first sequence numbers are made with them. */
  readonly secret: Uint8Array
  readonly tcp?: Partial<TcpLimits>
}

/**
 * ARP, IPv4, ICMP, UDP and TCP of one interface. It never waits and has no timers: whoever owns it hands frames to `receive`, and calls `poll` when
 * `nextDeadlineMs` has come and when the link has room again. One thread's. Nothing that arrives makes it throw; listeners must not.
 */
export class IpStack {
  readonly #ip: Ipv4
  readonly #icmp: Icmp
  readonly #udp: Udp
  readonly #tcp: Tcp
  readonly #drops = new Drops()
  readonly #clock: () => number

  /** Throws a RangeError when the link's MTU or the secret is out of range. */
  constructor({ link, clock, random, secret, tcp = {} }: IpStackOptions) {
    if (!(link.mtu >= MTU_MIN && link.mtu <= MTU_MAX)) {
      throw new RangeError(`mtu must be from ${MTU_MIN} to ${MTU_MAX}; got ${link.mtu}`)
    }
    this.#clock = clock
    this.#ip = new Ipv4(link, this.#drops)
    this.#tcp = new Tcp(this.#ip, { ...DEFAULT_LIMITS, ...tcp }, clock, random, secret)
    this.#icmp = new Icmp(this.#ip, random(), {
      onTooBig: (to, localPort, remotePort, sequence, mtu) =>
        this.#tcp.tooBig(to, localPort, remotePort, sequence, mtu),
    })
    this.#udp = new Udp(this.#ip, this.#icmp, clock, random)
  }

  /** Ours; 0: none yet. */
  get address(): number {
    return this.#ip.address
  }

  get gateway(): number {
    return this.#ip.gateway
  }

  /** The address of every station of our network. */
  get broadcast(): number {
    return this.#ip.broadcast
  }

  /**
   * Takes an address and announces it. `prefixBits`: how many bits of it are the network's. `gateway`: who takes what isn't on the link, 0 for
   * nobody. Address 0 gives it up; connections of the old one end by their timers.
   */
  configure(address: number, prefixBits: number, gateway = 0): void {
    this.#ip.configure(address, prefixBits, gateway)
  }

  /** A frame of that many bytes, without its check sequence. It is read during the call only. */
  receive(frame: Uint8Array, bytes: number = frame.length): void {
    const drops = this.#drops
    if (bytes < ETHERNET_BYTES || bytes > frame.length) return drops.count(DropReason.TRUNCATED)
    if (!this.#isForUs(frame)) return drops.count(DropReason.NOT_FOR_US)
    const nowMs = this.#clock()
    switch (u16(frame, ETHERNET_BYTES - 2)) {
      case EtherType.ARP:
        return this.#ip.neighbours.receive(frame, bytes, this.#ip.address, nowMs)
      case EtherType.IPV4:
        if (this.#ip.parse(frame, bytes)) this.#dispatch(nowMs)
        return
      default:
        return drops.count(DropReason.UNKNOWN_PROTOCOL)
    }
  }

  /** What is due by the clock, and what the link had no room for. */
  poll(): void {
    const nowMs = this.#clock()
    this.#ip.neighbours.poll(this.#ip.address, nowMs)
    this.#icmp.poll(nowMs)
    this.#tcp.poll(nowMs)
  }

  /** The link had no room for something that waits: `poll` again when it has, besides the deadline. */
  get wantsRoom(): boolean {
    return this.#tcp.wantsRoom
  }

  /** When `poll` has something to do though nothing arrives, by the clock. Infinity: never. */
  nextDeadlineMs(): number {
    const { neighbours } = this.#ip
    return Math.min(
      neighbours.nextDeadlineMs(),
      this.#icmp.nextDeadlineMs(),
      this.#tcp.nextDeadlineMs(),
    )
  }

  /** Datagrams of a port; 0 for any that is free. Null: it is taken, or there are 1,024 sockets. */
  bindUdp(port: number, listener: DatagramListener): UdpSocket | null {
    return this.#udp.bind(port, listener)
  }

  /** Accepts connections of a port. False: somebody does. */
  listenTcp(port: number, acceptor: TcpAcceptor, options?: TcpConnectOptions): boolean {
    return this.#tcp.listen(port, acceptor, options)
  }

  unlistenTcp(port: number): void {
    this.#tcp.unlisten(port)
  }

  /** Opens a connection; its state says how that goes. Null: no address yet, or 4,096 connections. */
  connectTcp(remote: number, port: number, options?: TcpConnectOptions): TcpConnection | null {
    return this.#tcp.connect(remote, port, options)
  }

  /**
   * Stands for every other host from now on: what is sent through us to any address is accepted here, connections by `tcp`, datagrams by
   * `udp`, and what is answered comes from the address that was asked. Echo requests for others are dropped.
   */
  standForOthers(tcp: TcpTransit, udp: TransitListener): void {
    this.#ip.isTransparent = true
    this.#tcp.forward(tcp)
    this.#udp.transit = udp
  }

  /** A datagram from another host's address, whom this stack stands for. False: as of `UdpSocket.send`. */
  sendUdpAs(
    from: number,
    fromPort: number,
    bytes: Uint8Array,
    to: number,
    toPort: number,
  ): boolean {
    return this.#udp.send(fromPort, bytes, to, toPort, from)
  }

  /** Ends every connection as aborted: the link goes. Listeners and sockets stay. */
  abortAll(): void {
    this.#tcp.abortAll()
  }

  /** Asks a host for a sign of life, with 0 to mtu-28 bytes. False: too many bytes, 64 wait, or no way there. */
  ping(to: number, bytes: number, timeoutMs: number, listener: PingListener): boolean {
    return this.#icmp.ping(to, bytes, timeoutMs, listener, this.#clock())
  }

  /** Frames and packets that went no further, by reason; what is kept. */
  inspect(): StackInspection {
    return {
      drops: this.#drops.inspect(),
      neighbours: this.#ip.neighbours.count,
      connections: this.#tcp.connectionCount,
    }
  }

  #isForUs(frame: Uint8Array): boolean {
    const { address } = this.#ip.link
    let [isOurs, isEverybodys] = [true, true]
    for (let at = 0; at < address.length; at += 1) {
      if (frame[at] !== address[at]) isOurs = false
      if (frame[at] !== 0xff) isEverybodys = false
    }
    return isOurs || isEverybodys
  }

  #dispatch(nowMs: number): void {
    const { packet } = this.#ip
    switch (packet.protocol) {
      case IpProtocol.TCP:
        return this.#tcp.receive(packet, nowMs)
      case IpProtocol.UDP:
        return this.#udp.receive(packet, nowMs)
      case IpProtocol.ICMP:
        return this.#icmp.receive(packet, nowMs)
      default:
        return this.#drops.count(DropReason.UNKNOWN_PROTOCOL)
    }
  }
}

export interface StackInspection {
  readonly drops: Readonly<Record<string, number>>
  readonly neighbours: number
  readonly connections: number
}
