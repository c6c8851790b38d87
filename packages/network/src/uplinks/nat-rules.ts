// Whom NAT may speak to outside: nobody who isn't listed.

import { maskOf, parseCidr, parseIpv4 } from '@guestyard/tcpip'

/**
 * One permission. `to`: an address, a network such as `192.0.2.0/24`, `any`, or `host`: the machine that this runs on, by the gateway's address and
 * no other: 127.0.0.0/8 and 0.0.0.0/8, which a socket takes for this machine too, are never reached.
 */
export interface NatRule {
  readonly to: string
  /** Both when left out. */
  readonly protocol?: 'tcp' | 'udp'
  /** A port, or the first and the last of a run. All when left out. */
  readonly ports?: number | readonly [first: number, last: number]
}

interface Permission {
  readonly isHost: boolean
  readonly network: number
  readonly mask: number
  readonly protocol: 'tcp' | 'udp' | null
  readonly first: number
  readonly last: number
}

const PORT_MAX = 0xffff
const RULES_MAX = 256
const LOOPBACK_NETWORK = 127

export class NatRules {
  readonly #permissions: readonly Permission[]
  readonly #gateway: number

  /** Throws a RangeError that names the rule and what is wrong with it. */
  constructor(rules: readonly NatRule[], gateway: number) {
    if (rules.length > RULES_MAX) throw new RangeError(`allow: at most ${RULES_MAX} rules`)
    this.#permissions = rules.map((rule, index) => permissionOf(rule, `allow[${index}]`))
    this.#gateway = gateway
  }

  isAllowed(protocol: 'tcp' | 'udp', to: number, port: number): boolean {
    const isHost = to === this.#gateway
    if (!isHost && isThisHost(to)) return false
    return this.#permissions.some(
      (one) =>
        one.isHost === isHost &&
        (isHost || ((to ^ one.network) & one.mask) === 0) &&
        (one.protocol === null || one.protocol === protocol) &&
        port >= one.first &&
        port <= one.last,
    )
  }
}

/** What a socket of this machine takes for the machine itself (RFC 1122 section 3.2.1.3). */
function isThisHost(to: number): boolean {
  const network = to >>> 24
  return network === 0 || network === LOOPBACK_NETWORK
}

function permissionOf(rule: NatRule, where: string): Permission {
  const { to, protocol, ports } = rule as { [K in keyof NatRule]-?: unknown }
  const [first, last] = runOf(ports, where)
  if (!isProtocol(protocol)) {
    throw new RangeError(`${where}.protocol must be tcp or udp; got ${JSON.stringify(protocol)}`)
  }
  const by: 'tcp' | 'udp' | null = protocol ?? null
  const rest = { protocol: by, first, last }
  if (to === 'host') return { isHost: true, network: 0, mask: 0, ...rest }
  if (to === 'any') return { isHost: false, network: 0, mask: 0, ...rest }
  const network = parseCidr(String(to)) ?? { address: parseIpv4(String(to)), prefixBits: 32 }
  if (network.address === null) {
    throw new RangeError(
      `${where}.to must be an address, a network such as 192.0.2.0/24, any, or host; got ${JSON.stringify(to)}`,
    )
  }
  const mask = maskOf(network.prefixBits)
  return { isHost: false, network: network.address, mask, ...rest }
}

function runOf(ports: unknown, where: string): readonly [number, number] {
  if (ports === undefined) return [1, PORT_MAX]
  const [first, last]: readonly unknown[] = Array.isArray(ports) ? ports : [ports, ports]
  if (isPort(first) && isPort(last) && first <= last) return [first, last]
  throw new RangeError(
    `${where}.ports must be a port from 1 to ${PORT_MAX}, or two; got ${JSON.stringify(ports)}`,
  )
}

function isPort(port: unknown): port is number {
  return Number.isInteger(port) && Number(port) >= 1 && Number(port) <= PORT_MAX
}

function isProtocol(protocol: unknown): protocol is 'tcp' | 'udp' | undefined {
  return protocol === undefined || protocol === 'tcp' || protocol === 'udp'
}
