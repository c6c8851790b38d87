// Names for those who ask (DNS, RFC 1035), by UDP: the machines of the switch by their own, and what else the host's resolver knows of names that
// are allowed. Of each machine so many questions a second are looked at; what waits for the host is bounded.

import { formatIpv4, maskOf, parseIpv4, type IpStack } from '@guestyard/tcpip'

import {
  DNS_PORT,
  DnsCode,
  dnsAnswer,
  isDnsName,
  parseDnsQuery,
  type DnsFound,
  type DnsQuery,
  type DnsType,
} from '../dns-message.ts'
import type { VmDirectory } from './vm-directory.ts'

/** The host's resolver. `done` comes once, later, on the switch's thread. */
export type ResolveName = (name: string, type: DnsType, done: (found: DnsFound) => void) => void

export interface NameServerOptions {
  /** Has the server's address. */
  readonly stack: IpStack
  readonly prefixBits: number
  readonly clock: { now(): number }
  readonly directory: VmDirectory
  /** What stands behind the machines' names. */
  readonly domain: string
  /** Names of the world: `example.com`, `*.example.com` for all below it, `*` for all. */
  readonly allow: readonly string[]
  /** Null: there is no world. */
  readonly resolve: ResolveName | null
}

/** Of a machine; strangers have it together. */
const QUESTIONS_PER_SECOND = 256
const WAITING_MAX = 64
const NAMES_MAX = 256
const DOMAIN_MAX = 63
const OURS_SECONDS = 5
const FORWARDED_SECONDS = 60
const SECOND_MS = 1_000
const REVERSE = '.in-addr.arpa'
const STRANGER = 0

/** On its stack's thread. */
export class NameServer {
  /** Ethernet address of whoever sent the frame that the stack is looking at. */
  asker: number = STRANGER
  readonly #options: NameServerOptions
  readonly #send: (bytes: Uint8Array, to: number, port: number) => void
  readonly #asked: Map<number, number> = new Map()
  readonly #counts = { answered: 0, forwarded: 0, refused: 0, malformed: 0, flooded: 0, busy: 0 }
  #second = -1
  #waiting = 0

  /** Throws a RangeError that names what is wrong. */
  constructor(options: NameServerOptions) {
    const { domain, allow, stack } = options
    if (!isDnsName(domain) || domain.length > DOMAIN_MAX) {
      throw new RangeError(`domain must be such as lan.internal; got ${JSON.stringify(domain)}`)
    }
    if (allow.length > NAMES_MAX) throw new RangeError(`names: at most ${NAMES_MAX}`)
    for (const [index, name] of allow.entries()) {
      if (isPattern(name)) continue
      throw new RangeError(
        `names[${index}] must be such as example.com, *.example.com, or *; got ${JSON.stringify(name)}`,
      )
    }
    this.#options = {
      ...options,
      domain: domain.toLowerCase(),
      allow: allow.map((name) => name.toLowerCase()),
    }
    const socket = stack.bindUdp(DNS_PORT, (bytes, from, port) => this.#receive(bytes, from, port))!
    this.#send = (bytes, to, port) => void socket.send(bytes, to, port)
  }

  /** How often which; `busy`: too many waited for the host. */
  inspect(): Readonly<Record<string, number>> {
    return { ...this.#counts, waiting: this.#waiting }
  }

  #receive(bytes: Uint8Array, from: number, port: number): void {
    if (!this.#isInTime()) {
      this.#counts.flooded += 1
      return
    }
    const query = parseDnsQuery(bytes)
    if (query === null) {
      this.#counts.malformed += 1
      return
    }
    const ours = this.#ownAnswer(query)
    if (ours !== null) {
      this.#counts.answered += 1
      return this.#send(dnsAnswer(query, ours, OURS_SECONDS, true), from, port)
    }
    const code = this.#forward(query, from, port)
    if (code === DnsCode.NO_ERROR) return
    this.#send(dnsAnswer(query, { code, values: [] }, 0, false), from, port)
  }

  #isInTime(): boolean {
    const { clock, directory } = this.#options
    const second = Math.floor(clock.now() / SECOND_MS)
    if (second !== this.#second) this.#asked.clear()
    this.#second = second
    const asker = directory.has(this.asker) ? this.asker : STRANGER
    const asked = this.#asked.get(asker) ?? 0
    this.#asked.set(asker, asked + 1)
    return asked < QUESTIONS_PER_SECOND
  }

  /** What is known here; null: the name is none of ours. */
  #ownAnswer({ name, type }: DnsQuery): DnsFound | null {
    const { directory, domain, resolve, stack, prefixBits } = this.#options
    const wanted = name.toLowerCase()
    if (wanted.endsWith(REVERSE)) {
      const parts = wanted.slice(0, -REVERSE.length).split('.').toReversed()
      const address = parseIpv4(parts.join('.'))
      const isOurs = address !== null && ((address ^ stack.address) & maskOf(prefixBits)) === 0
      if (!isOurs) return resolve === null ? NO_SUCH_NAME : null
      const found = directory.nameOf(address)
      if (found === null) return NO_SUCH_NAME
      return { code: DnsCode.NO_ERROR, values: type === 'PTR' ? [`${found}.${domain}`] : [] }
    }
    const isBelow = wanted.endsWith(`.${domain}`)
    const host = isBelow ? wanted.slice(0, -domain.length - 1) : wanted
    const addresses = directory.addressesOf(host)
    if (addresses === null) {
      return isBelow || !host.includes('.') || resolve === null ? NO_SUCH_NAME : null
    }
    return { code: DnsCode.NO_ERROR, values: type === 'A' ? addresses.map(formatIpv4) : [] }
  }

  /** The code of an answer now; NO_ERROR: the host is asked. */
  #forward(query: DnsQuery, from: number, port: number): number {
    const { type, name } = query
    if (type === null || !this.#isAllowed(name.toLowerCase())) {
      this.#counts.refused += 1
      return DnsCode.REFUSED
    }
    if (this.#waiting >= WAITING_MAX) {
      this.#counts.busy += 1
      return DnsCode.SERVER_FAILURE
    }
    this.#waiting += 1
    this.#counts.forwarded += 1
    this.#options.resolve!(name, type, (found) => {
      this.#waiting -= 1
      this.#send(dnsAnswer(query, found, FORWARDED_SECONDS, false), from, port)
    })
    return DnsCode.NO_ERROR
  }

  #isAllowed(name: string): boolean {
    return this.#options.allow.some((one) => {
      if (one === '*') return true
      return one.startsWith('*.') ? name.endsWith(one.slice(1)) : name === one
    })
  }
}

function isPattern(name: unknown): boolean {
  return typeof name === 'string' && (name === '*' || isDnsName(name.replace(/^\*\./, '')))
}

const NO_SUCH_NAME: DnsFound = { code: DnsCode.NO_SUCH_NAME, values: [] }
