// Addresses and names for the machines of a private switch, and nothing beyond: a station that gives both (DHCP, DNS) and answers pings.

import { IpStack, formatIpv4, parseCidr, type Link } from '@guestyard/tcpip'

import type { Frame } from '../frame.ts'
import { FRAME_MIN_BYTES } from '../frame.ts'
import { macBytes, parseMacAddress } from '../mac-address.ts'
import type { SwitchPort } from '../switch/switch-port.ts'
import { DhcpServer } from './dhcp-server.ts'
import { NameServer } from './name-server.ts'
import { UplinkQueue, taken, wholeFrame, type Uplink } from './uplink.ts'
import { macAt, type VmDirectory } from './vm-directory.ts'

/** What stands behind the names of machines when nothing else was asked for. */
export const DOMAIN_DEFAULT = 'guestyard.internal'

export interface ServicesOptions {
  /** `10.0.0.254/24`: its own address, and the network of those that it serves. */
  readonly address: string
  /** Its Ethernet address. */
  readonly mac: string
  readonly directory: VmDirectory
  /** `guestyard.internal` when left out. */
  readonly domain?: string
  /** Whether it gives addresses to those who ask; true when left out. */
  readonly dhcp?: boolean
  /** The switch's. */
  readonly clock: { now(): number }
  readonly random: () => number
  readonly secret: Uint8Array
}

const MTU_BYTES = 1_500

/** On the switch's thread. It has no socket of the host's: virtual time has it too. */
export class Services implements Uplink {
  readonly kind = 'services'
  readonly #queue: UplinkQueue = new UplinkQueue()
  readonly #stack: IpStack
  readonly #directory: VmDirectory
  readonly #dhcp: DhcpServer | null
  readonly #names: NameServer
  readonly #bytes = new Uint8Array(MTU_BYTES + FRAME_MIN_BYTES)
  readonly #view = new DataView(this.#bytes.buffer)

  /** Throws a RangeError that names what is out of range. */
  constructor(options: ServicesOptions) {
    const own = parseCidr(options.address)
    if (own === null || own.prefixBits === 0) {
      throw new RangeError(`address must be such as 10.0.0.1/24; got ${options.address}`)
    }
    const { clock, random, secret, directory, domain = DOMAIN_DEFAULT } = options
    const { prefixBits } = own
    const link: Link = {
      address: macBytes(parseMacAddress(options.mac)),
      mtu: MTU_BYTES,
      transmit: (frame, bytes) => this.#queue.push(frame.subarray(0, bytes)),
    }
    this.#directory = directory
    const stack = new IpStack({ link, clock: () => clock.now(), random, secret })
    this.#stack = stack
    stack.configure(own.address, prefixBits)
    const served = { stack, prefixBits, clock, directory }
    this.#names = new NameServer({ ...served, domain, allow: [], resolve: null })
    this.#dhcp =
      options.dhcp === false ? null : new DhcpServer({ ...served, domain, isRouter: false })
  }

  attach(port: SwitchPort, wake: () => void): void {
    this.#queue.attach(port, wake)
  }

  deliver(frame: Frame, tag: number): number {
    const bytes = wholeFrame(frame, tag, this.#bytes)
    if (bytes === null) return taken(false)
    this.#directory.look(bytes)
    const asker = macAt(this.#view, 6)
    this.#names.asker = asker
    if (this.#dhcp !== null) this.#dhcp.asker = asker
    this.#stack.receive(bytes)
    return taken(true)
  }

  poll(nowMs: number): number {
    if (this.#stack.wantsRoom || nowMs >= this.#stack.nextDeadlineMs()) this.#stack.poll()
    return this.#queue.poll(nowMs)
  }

  nextDeadlineMs(): number {
    return Math.min(this.#queue.nextDeadlineMs(), this.#stack.nextDeadlineMs())
  }

  close(): void {}

  inspect(): Readonly<Record<string, unknown>> {
    const { drops } = this.#stack.inspect()
    const leases = this.#dhcp?.leaseCount ?? 0
    const names = this.#names.inspect()
    const address = formatIpv4(this.#stack.address)
    return { address, leases, names, drops, ...this.#queue.inspect() }
  }
}
