// Addresses for those who ask (DHCP, RFC 2131): a gateway's network, host by host, to whoever had one before, else the next that is free.

import { BROADCAST_IPV4, maskOf, type IpStack } from '@guestyard/tcpip'

import { macAt, type VmDirectory } from './vm-directory.ts'

export interface DhcpOptions {
  /** The gateway's stack, which has its address. */
  readonly stack: IpStack
  readonly prefixBits: number
  readonly clock: { now(): number }
  /** Told of every lease; nobody when left out. */
  readonly directory?: VmDirectory
  /** The gateway answers for names, which have this behind them; hosts are told neither when left out. */
  readonly domain?: string
  /** Whether hosts are told of a way out of their network; true when left out. */
  readonly isRouter?: boolean
}

const SERVER_PORT = 67
const CLIENT_PORT = 68
const LEASE_SECONDS = 3_600
const OFFER_MS = 30_000
/** Leases at most, whatever the network has room for. */
const LEASES_MAX = 1_024
/** Addresses that a host may have found in use, at a time: what it says of more is not believed. */
const DECLINED_MAX = 4

const REQUEST = 1
const REPLY = 2
const ETHERNET = 1
const MAC_BYTES = 6
const COOKIE = 0x6382_5363
/** Offsets of fields, and of the options. */
const At = {
  TRANSACTION: 4,
  FLAGS: 10,
  CLIENT: 12,
  YOURS: 16,
  MAC: 28,
  COOKIE: 236,
  OPTIONS: 240,
} as const
const Option = {
  PAD: 0,
  MASK: 1,
  ROUTER: 3,
  NAME_SERVER: 6,
  DOMAIN: 15,
  REQUESTED: 50,
  LEASE: 51,
  TYPE: 53,
  SERVER: 54,
  END: 255,
} as const
const Type = {
  DISCOVER: 1,
  OFFER: 2,
  REQUEST: 3,
  DECLINE: 4,
  ACK: 5,
  NAK: 6,
  RELEASE: 7,
  INFORM: 8,
} as const
/** Room for a domain of 63 letters. */
const REPLY_BYTES = 344

interface Lease {
  readonly mac: string
  readonly address: number
  /** Who found that somebody had it already; null: it is a lease. */
  readonly declinedBy: string | null
  untilMs: number
}

interface Asked {
  readonly type: number
  readonly mac: string
  /** The address that it has (`ciaddr`), and the one that it asks for; 0: none. */
  readonly client: number
  readonly requested: number
  /** The server that it answers; 0: any. */
  readonly server: number
}

/** On its stack's thread. */
export class DhcpServer {
  /** Ethernet address of whoever sent the frame that the stack is looking at: it asks for itself alone. */
  asker = 0
  readonly #stack: IpStack
  readonly #clock: { now(): number }
  readonly #directory: VmDirectory | null
  readonly #domain: Uint8Array | null
  readonly #isRouter: boolean
  readonly #mask: number
  readonly #hostCount: number
  readonly #byMac: Map<string, Lease> = new Map()
  readonly #byAddress: Map<number, Lease> = new Map()
  readonly #reply = new Uint8Array(REPLY_BYTES)
  readonly #send: (bytes: Uint8Array, to: number) => void
  /** Where the search for a free address goes on. */
  #next = 1

  /** Throws a RangeError when the network has no room for a guest. */
  constructor({ stack, prefixBits, clock, directory, domain, isRouter }: DhcpOptions) {
    this.#stack = stack
    this.#directory = directory ?? null
    this.#domain = domain === undefined ? null : new TextEncoder().encode(domain)
    this.#isRouter = isRouter ?? true
    this.#clock = clock
    this.#mask = maskOf(prefixBits)
    this.#hostCount = Math.min(2 ** (32 - prefixBits) - 2, LEASES_MAX)
    if (this.#hostCount < 2) {
      throw new RangeError(`a network of /${prefixBits} has no address for guests`)
    }
    const socket = stack.bindUdp(SERVER_PORT, (bytes) => this.#receive(bytes))!
    this.#send = (bytes, to) => void socket.send(bytes, to, CLIENT_PORT)
  }

  get leaseCount(): number {
    return this.#byMac.size
  }

  #receive(bytes: Uint8Array): void {
    const asked = parse(bytes)
    const own = this.#stack.address
    // Else a guest would take all leases, or end another's, by asking in many names.
    if (asked !== null && macAt(viewOf(bytes), At.MAC) !== this.asker) return
    if (asked === null || (asked.server !== 0 && asked.server !== own)) return this.#notOurs(asked)
    switch (asked.type) {
      case Type.DISCOVER: {
        const lease = this.#leaseFor(asked.mac, asked.requested, OFFER_MS)
        return lease === null ? undefined : this.#answer(bytes, Type.OFFER, lease.address, 0)
      }
      case Type.REQUEST: {
        const wanted = asked.requested === 0 ? asked.client : asked.requested
        const lease = this.#leaseFor(asked.mac, wanted, LEASE_SECONDS * 1_000)
        const isSame = lease !== null && lease.address === wanted
        if (isSame) this.#directory?.learn(macAt(viewOf(bytes), At.MAC), wanted)
        return this.#answer(bytes, isSame ? Type.ACK : Type.NAK, isSame ? wanted : 0, asked.client)
      }
      case Type.INFORM:
        return this.#answer(bytes, Type.ACK, 0, asked.client)
      case Type.RELEASE:
        return this.#forget(asked.mac)
      case Type.DECLINE:
        return this.#decline(asked.mac)
      default:
    }
  }

  /** It took another server's offer: ours is free again. */
  #notOurs(asked: Asked | null): void {
    if (asked?.type === Type.REQUEST) this.#forget(asked.mac)
  }

  /** The address that it has, or the one it asks for if that is free, or the next free one; null: there is none. */
  #leaseFor(mac: string, wanted: number, ms: number): Lease | null {
    const untilMs = this.#clock.now() + ms
    const held = this.#byMac.get(mac)
    if (held !== undefined) {
      held.untilMs = Math.max(held.untilMs, untilMs)
      return held
    }
    const address = this.#isFree(wanted) ? wanted : this.#findFree()
    if (address === 0) return null
    const lease = { mac, address, declinedBy: null, untilMs }
    const old = this.#byAddress.get(address)
    if (old !== undefined) this.#byMac.delete(old.mac)
    this.#byMac.set(mac, lease)
    this.#byAddress.set(address, lease)
    return lease
  }

  #findFree(): number {
    const network = (this.#stack.address & this.#mask) >>> 0
    for (let tries = 0; tries < this.#hostCount; tries += 1) {
      const address = network + this.#next
      this.#next = (this.#next % this.#hostCount) + 1
      if (this.#isFree(address)) return address
    }
    return 0
  }

  #isFree(address: number): boolean {
    const own = this.#stack.address
    const host = (address & ~this.#mask) >>> 0
    const isInside = ((address ^ own) & this.#mask) === 0 && host >= 1 && host <= this.#hostCount
    if (!isInside || address === own || this.#directory?.isFixed(address)) return false
    const lease = this.#byAddress.get(address)
    return lease === undefined || lease.untilMs <= this.#clock.now()
  }

  #forget(mac: string): void {
    const lease = this.#byMac.get(mac)
    if (lease === undefined) return
    this.#byMac.delete(mac)
    this.#byAddress.delete(lease.address)
  }

  /** Somebody has the address already, whom nobody gave it: it is nobody's for the time of a lease. */
  #decline(mac: string): void {
    const lease = this.#byMac.get(mac)
    if (lease === undefined) return
    this.#forget(mac)
    if (this.#declinedBy(mac) >= DECLINED_MAX) return
    const gone = {
      mac: '',
      address: lease.address,
      declinedBy: mac,
      untilMs: this.#clock.now() + LEASE_SECONDS * 1_000,
    }
    this.#byAddress.set(lease.address, gone)
  }

  #declinedBy(mac: string): number {
    const now = this.#clock.now()
    let count = 0
    for (const { declinedBy, untilMs } of this.#byAddress.values()) {
      if (declinedBy === mac && untilMs > now) count += 1
    }
    return count
  }

  #answer(asked: Uint8Array, type: number, yours: number, client: number): void {
    const { address, gateway } = this.#stack
    const reply = this.#reply
    const view = new DataView(reply.buffer)
    reply.fill(0)
    reply.set([REPLY, ETHERNET, MAC_BYTES])
    reply.set(asked.subarray(At.TRANSACTION, At.TRANSACTION + 4), At.TRANSACTION)
    reply.set(asked.subarray(At.FLAGS, At.FLAGS + 2), At.FLAGS)
    view.setUint32(At.CLIENT, type === Type.NAK ? 0 : client)
    view.setUint32(At.YOURS, yours)
    reply.set(asked.subarray(At.MAC, At.MAC + 16), At.MAC)
    view.setUint32(At.COOKIE, COOKIE)
    let at: number = At.OPTIONS
    const option = (code: number, value: number): void => {
      reply.set([code, 4], at)
      view.setUint32(at + 2, value)
      at += 6
    }
    reply.set([Option.TYPE, 1, type], at)
    at += 3
    option(Option.SERVER, address)
    if (type !== Type.NAK) {
      if (yours !== 0) option(Option.LEASE, LEASE_SECONDS)
      option(Option.MASK, this.#mask)
      if (this.#isRouter) option(Option.ROUTER, gateway === 0 ? address : gateway)
      if (this.#domain !== null) {
        option(Option.NAME_SERVER, address)
        reply.set([Option.DOMAIN, this.#domain.length], at)
        reply.set(this.#domain, at + 2)
        at += 2 + this.#domain.length
      }
    }
    reply[at] = Option.END
    // To all where the asker has no address yet: it could not answer for one (section 4.1).
    this.#send(reply, client !== 0 && type === Type.ACK ? client : BROADCAST_IPV4)
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Null: not a request of an Ethernet host's, or one that contradicts itself. */
function parse(bytes: Uint8Array): Asked | null {
  if (bytes.length < At.OPTIONS) return null
  const view = viewOf(bytes)
  const isRequest = bytes[0] === REQUEST && bytes[1] === ETHERNET && bytes[2] === MAC_BYTES
  if (!isRequest || view.getUint32(At.COOKIE) !== COOKIE) return null
  const asked = { type: 0, requested: 0, server: 0, client: view.getUint32(At.CLIENT) }
  let at: number = At.OPTIONS
  while (at < bytes.length && bytes[at] !== Option.END) {
    if (bytes[at] === Option.PAD) {
      at += 1
      continue
    }
    const length = bytes[at + 1] ?? 0
    const value = at + 2
    if (value + length > bytes.length) return null
    if (bytes[at] === Option.TYPE && length === 1) asked.type = bytes[value]!
    if (bytes[at] === Option.REQUESTED && length === 4) asked.requested = view.getUint32(value)
    if (bytes[at] === Option.SERVER && length === 4) asked.server = view.getUint32(value)
    at = value + length
  }
  const mac = [...bytes.subarray(At.MAC, At.MAC + MAC_BYTES)].join(':')
  return { ...asked, mac }
}
