// The way to the world, through sockets of the host's: a gateway that stands for every host outside. TCP ends at its own stack and goes on by the
// host's (nat-tcp.ts); each UDP pair of ends has a socket. Nobody is reached who is not allowed, and nobody from outside reaches a guest.

import { IpStack, formatIpv4, parseCidr, type Link, type TcpConnection } from '@guestyard/tcpip'

import type { Frame } from '../frame.ts'
import { FRAME_MIN_BYTES } from '../frame.ts'
import { macBytes, parseMacAddress } from '../mac-address.ts'
import type { SwitchPort } from '../switch/switch-port.ts'
import { DhcpServer } from './dhcp-server.ts'
import type { HostSockets, HostUdp } from './host-sockets.ts'
import { NameServer } from './name-server.ts'
import { NatRules, type NatRule } from './nat-rules.ts'
import { NatTcp } from './nat-tcp.ts'
import { DOMAIN_DEFAULT } from './services.ts'
import { UplinkQueue, taken, wholeFrame, type Uplink } from './uplink.ts'
import { VmDirectory, macAt } from './vm-directory.ts'

export interface NatOptions {
  /** `10.0.0.1/24`: the gateway's address, which guests are given as theirs, and their network. */
  readonly address: string
  /** Its Ethernet address. */
  readonly mac: string
  /** Whom guests may reach; nobody when empty. */
  readonly allow: readonly NatRule[]
  /** Whether it gives addresses to those who ask (DHCP); true when left out. */
  readonly dhcp?: boolean
  /** Whose names its name server knows; nobody's when left out. */
  readonly directory?: VmDirectory
  /** What stands behind them; `guestyard.internal` when left out. */
  readonly domain?: string
  /** Names of the world that the host is asked for: `example.com`, `*.example.com`, `*`; none when left out. */
  readonly names?: readonly string[]
  readonly sockets: HostSockets
  /** The switch's. */
  readonly clock: { now(): number }
  readonly random: () => number
  readonly secret: Uint8Array
}

const MTU_BYTES = 1_500
const TCP_MAX = 512
/** Of each connection, each way: all of them together hold 128 MiB at most. */
const TCP_BYTES = 128 * 1024
const TCP_LIMITS = { sendBytes: TCP_BYTES, receiveBytes: TCP_BYTES }
const UDP_MAX = 512
const UDP_IDLE_MS = 60_000
const LOOPBACK = 0x7f00_0001
const PORT_SPAN = 0x1_0000

interface UdpFlow {
  readonly key: string
  readonly socket: HostUdp
  usedAtMs: number
}

/** On the switch's thread. */
export class Nat implements Uplink {
  readonly kind = 'nat'
  readonly #options: NatOptions
  readonly #queue: UplinkQueue = new UplinkQueue()
  readonly #stack: IpStack
  readonly #rules: NatRules
  readonly #gateway: number
  readonly #dhcp: DhcpServer | null
  readonly #names: NameServer
  readonly #directory: VmDirectory
  readonly #tcp: Set<NatTcp> = new Set()
  /** The one that was used longest ago comes first. */
  readonly #udp: Map<string, UdpFlow> = new Map()
  readonly #bytes = new Uint8Array(MTU_BYTES + FRAME_MIN_BYTES)
  readonly #view = new DataView(this.#bytes.buffer)
  #refused = 0
  #isClosed = false

  /** Throws a RangeError that names what is out of range. */
  constructor(options: NatOptions) {
    this.#options = options
    const own = parseCidr(options.address)
    if (own === null || own.prefixBits === 0) {
      throw new RangeError(`address must be such as 10.0.0.1/24; got ${options.address}`)
    }
    this.#gateway = own.address
    this.#rules = new NatRules(options.allow, own.address)
    const { clock, random, secret } = options
    const link: Link = {
      address: macBytes(parseMacAddress(options.mac)),
      mtu: MTU_BYTES,
      transmit: (frame, bytes) => this.#queue.push(frame.subarray(0, bytes)),
    }
    this.#stack = new IpStack({ link, clock: () => clock.now(), random, secret, tcp: TCP_LIMITS })
    this.#stack.standForOthers(
      {
        isAllowed: (to, port) => this.#isTcpAllowed(to, port),
        onConnection: (connection) => this.#onConnection(connection),
      },
      (bytes, from, fromPort, to, toPort) => this.#onDatagram(bytes, from, fromPort, to, toPort),
    )
    this.#stack.configure(own.address, own.prefixBits)
    const stack = this.#stack
    const { prefixBits } = own
    const { directory = new VmDirectory(), domain = DOMAIN_DEFAULT, names = [], sockets } = options
    this.#directory = directory
    const served = { stack, prefixBits, clock, directory, domain }
    const { resolve } = sockets
    this.#names = new NameServer({ ...served, allow: names, resolve })
    this.#dhcp = options.dhcp === false ? null : new DhcpServer(served)
  }

  attach(port: SwitchPort, wake: () => void): void {
    this.#queue.attach(port, wake)
  }

  deliver(frame: Frame, tag: number): number {
    const bytes = wholeFrame(frame, tag, this.#bytes)
    if (bytes === null || this.#isClosed) return taken(false)
    this.#directory.look(bytes)
    const asker = macAt(this.#view, 6)
    this.#names.asker = asker
    if (this.#dhcp !== null) this.#dhcp.asker = asker
    this.#stack.receive(bytes)
    return taken(true)
  }

  poll(nowMs: number): number {
    if (this.#stack.wantsRoom || nowMs >= this.#stack.nextDeadlineMs()) this.#stack.poll()
    for (const flow of this.#udp.values()) {
      if (nowMs - flow.usedAtMs < UDP_IDLE_MS) break
      this.#forget(flow)
    }
    return this.#queue.poll(nowMs)
  }

  nextDeadlineMs(): number {
    const [oldest] = this.#udp.values()
    const idleMs = oldest === undefined ? Number.POSITIVE_INFINITY : oldest.usedAtMs + UDP_IDLE_MS
    return Math.min(this.#queue.nextDeadlineMs(), this.#stack.nextDeadlineMs(), idleMs)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const flow of this.#tcp) flow.abort()
    for (const flow of this.#udp.values()) flow.socket.close()
    this.#udp.clear()
  }

  inspect(): Readonly<Record<string, unknown>> {
    const { drops } = this.#stack.inspect()
    const flows = { tcp: this.#tcp.size, udp: this.#udp.size, refused: this.#refused }
    const leases = this.#dhcp?.leaseCount ?? 0
    const names = this.#names.inspect()
    return {
      address: formatIpv4(this.#gateway),
      leases,
      names,
      ...flows,
      drops,
      ...this.#queue.inspect(),
    }
  }

  #isTcpAllowed(to: number, port: number): boolean {
    const isAllowed = this.#rules.isAllowed('tcp', to, port) && this.#tcp.size < TCP_MAX
    if (!isAllowed) this.#refused += 1
    return isAllowed
  }

  #onConnection(connection: TcpConnection): void {
    const flow: NatTcp = new NatTcp(
      connection,
      this.#options.sockets,
      this.#hostOf(connection.local),
      () => this.#tcp.delete(flow),
    )
    this.#tcp.add(flow)
  }

  #onDatagram(bytes: Uint8Array, from: number, fromPort: number, to: number, toPort: number): void {
    if (!this.#rules.isAllowed('udp', to, toPort)) {
      this.#refused += 1
      return
    }
    const key = `${from * PORT_SPAN + fromPort} ${to * PORT_SPAN + toPort}`
    const known = this.#udp.get(key)
    if (known === undefined && this.#udp.size >= UDP_MAX) {
      const [oldest] = this.#udp.values()
      this.#forget(oldest!)
    }
    const flow = known ?? this.#flow(key, from, fromPort, to, toPort)
    this.#use(flow)
    flow.socket.send(bytes)
  }

  #flow(key: string, from: number, fromPort: number, to: number, toPort: number): UdpFlow {
    const address = formatIpv4(this.#hostOf(to))
    const socket = this.#options.sockets.openUdp(address, toPort, (bytes) => {
      const flow = this.#udp.get(key)
      if (flow === undefined) return
      this.#use(flow)
      this.#stack.sendUdpAs(to, toPort, bytes, from, fromPort)
    })
    return { key, socket, usedAtMs: 0 }
  }

  #use(flow: UdpFlow): void {
    flow.usedAtMs = this.#options.clock.now()
    this.#udp.delete(flow.key)
    this.#udp.set(flow.key, flow)
  }

  #forget(flow: UdpFlow): void {
    this.#udp.delete(flow.key)
    flow.socket.close()
  }

  /** The gateway's own address leads to the host itself. */
  #hostOf(to: number): number {
    return to === this.#gateway ? LOOPBACK : to
  }
}
