// The root's own adapter on a switch, as Hyper-V gives its management operating system one: a station with an address and a name, which answers
// pings, and whose TCP the root's programs use.

import { IpStack, formatIpv4, parseCidr, type Link } from '@guestyard/tcpip'

import type { Frame } from '../frame.ts'
import { FRAME_MIN_BYTES } from '../frame.ts'
import { macBytes, parseMacAddress } from '../mac-address.ts'
import type { SwitchPort } from '../switch/switch-port.ts'
import { UplinkQueue, taken, wholeFrame, type Uplink } from './uplink.ts'
import type { VmDirectory } from './vm-directory.ts'

/** What guests call the root when nothing else was asked for. */
const ROOT_NAME_DEFAULT = 'root'

export interface RootAdapterOptions {
  /** `10.0.0.1/24`: its own, and its network. */
  readonly address: string
  /** Its Ethernet address. */
  readonly mac: string
  /** Who knows it by its name from now on. */
  readonly directory: VmDirectory
  /** `root` when left out. */
  readonly name?: string
  /** The switch's. */
  readonly clock: { now(): number }
  readonly random: () => number
  readonly secret: Uint8Array
}

const MTU_BYTES = 1_500
const TCP_BYTES = 128 * 1024
const TCP_LIMITS = { sendBytes: TCP_BYTES, receiveBytes: TCP_BYTES }

/** On the switch's thread. It has no socket of the host's: virtual time has it too. */
export class RootAdapter implements Uplink {
  readonly kind = 'root'
  readonly name: string
  /** For whoever opens and accepts connections. */
  readonly stack: IpStack
  readonly #queue: UplinkQueue = new UplinkQueue()
  readonly #bytes = new Uint8Array(MTU_BYTES + FRAME_MIN_BYTES)
  readonly #directory: VmDirectory
  readonly #mac: string
  #isClosed = false

  /** Throws a RangeError that names what is out of range. */
  constructor(options: RootAdapterOptions) {
    const own = parseCidr(options.address)
    if (own === null || own.address === 0 || own.prefixBits === 0) {
      throw new RangeError(`address must be such as 10.0.0.1/24; got ${options.address}`)
    }
    const { clock, random, secret, mac, directory, name = ROOT_NAME_DEFAULT } = options
    if (!/^[a-z0-9][a-z0-9-]{0,62}$/i.test(name)) {
      throw new RangeError(
        `name must be 1 to 63 letters, digits and -; got ${JSON.stringify(name)}`,
      )
    }
    if (directory.addressesOf(name.toLowerCase()) !== null) {
      throw new RangeError(`name: somebody is called ${name} already`)
    }
    const link: Link = {
      address: macBytes(parseMacAddress(mac)),
      mtu: MTU_BYTES,
      transmit: (frame, bytes) => this.#queue.push(frame.subarray(0, bytes)),
    }
    this.name = name
    this.#mac = mac
    this.#directory = directory
    this.stack = new IpStack({ link, clock: () => clock.now(), random, secret, tcp: TCP_LIMITS })
    this.stack.configure(own.address, own.prefixBits)
    directory.add(mac, name, own.address)
  }

  attach(port: SwitchPort, wake: () => void): void {
    this.#queue.attach(port, wake)
  }

  deliver(frame: Frame, tag: number): number {
    const bytes = wholeFrame(frame, tag, this.#bytes)
    if (bytes === null || this.#isClosed) return taken(false)
    this.stack.receive(bytes)
    return taken(true)
  }

  poll(nowMs: number): number {
    if (this.stack.wantsRoom || nowMs >= this.stack.nextDeadlineMs()) this.stack.poll()
    return this.#queue.poll(nowMs)
  }

  nextDeadlineMs(): number {
    return Math.min(this.#queue.nextDeadlineMs(), this.stack.nextDeadlineMs())
  }

  /** Its connections end, and it is nobody's name any more. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.stack.abortAll()
    this.#directory.remove(this.#mac)
  }

  inspect(): Readonly<Record<string, unknown>> {
    const { drops, connections } = this.stack.inspect()
    const address = formatIpv4(this.stack.address)
    return { name: this.name, address, connections, drops, ...this.#queue.inspect() }
  }
}
