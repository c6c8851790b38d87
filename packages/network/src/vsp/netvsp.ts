// A network adapter as a VMBus server offers it: a port of a switch on one side, a guest's driver on the other.

import type { Guid } from '@guestyard/hvdef'
import type { RingPairOptions } from '@guestyard/ring'
import type { OfferOptions, OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import { parseMacAddress } from '../mac-address.ts'
import {
  NETWORK_CLASS_ID,
  NETWORK_MTU_DEFAULT,
  NETWORK_MTU_MAX,
  NETWORK_MTU_MIN,
  NETWORK_SUB_CHANNELS_MAX,
} from '../protocol.ts'
import type { PortSettings, SwitchPort, VirtualSwitch } from '../switch/index.ts'
import { NetAdapter } from './net-adapter.ts'
import { NetProgram } from './net-program.ts'
import type { NetStateName } from './net-state.ts'

/** Result of an open that is refused: STATUS_INVALID_DEVICE_STATE. */
const OPEN_REFUSED = 0xc000_0184
const LINK_BITS_PER_SECOND = 10_000_000_000
const SUB_CHANNELS_LIMIT = 63

export interface NetVspOptions {
  readonly switch: VirtualSwitch
  /** The port, which is the adapter's for as long as this lives. It must have an address: the adapter's own. */
  readonly port: PortSettings & { readonly address: string }
  /** Payload bytes of a frame, 576..9000. Default 1500. */
  readonly mtuBytes?: number
  /** What the guest is told; bandwidth is the port's. Default 10 Gbit/s. */
  readonly linkBitsPerSecond?: number
  /** Sub-channels that the guest may ask for, 0..63: as a rule one less than it has VPs. Default 8. */
  readonly maxSubChannels?: number
}

export interface NetVspInspection {
  readonly channels: readonly {
    readonly subChannelIndex: number
    readonly state: NetStateName
    readonly ignored: number
  }[]
  readonly nvspVersion: number
  readonly packetFilter: number
  readonly isRssOn: boolean
  /** Sub-allocations of the receive buffer, and those that are free. */
  readonly receiveBuffers: number
  readonly freeReceiveBuffers: number
  readonly strayCompletions: number
  /** Frames from the guest, segments counted each, and what made no sense. */
  readonly frames: number
  readonly malformed: number
}

/** What the server is asked to offer for an adapter. */
export function networkOffer(instanceId: Guid): OfferOptions {
  return { classId: NETWORK_CLASS_ID, instanceId }
}

/** One network adapter of one partition. Root's thread only, which is the switch's. */
export class NetVsp implements VspDevice {
  /** Packets of either side are small: frames travel beside them. */
  readonly rings: RingPairOptions = {
    outgoing: { stagingBytes: 1024, batchBytes: 1024 },
    incoming: { maxPackets: 256 },
  }
  readonly port: SwitchPort
  readonly #adapter: NetAdapter
  readonly #programs: NetProgram[] = []

  /** Plugs the adapter in. Throws a RangeError for an option out of its range, or an address that is taken. */
  constructor(options: NetVspOptions) {
    const { port, mtuBytes = NETWORK_MTU_DEFAULT } = options
    const { maxSubChannels = NETWORK_SUB_CHANNELS_MAX } = options
    const adapter = new NetAdapter({
      address: parseMacAddress(port.address),
      name: port.name ?? 'Network Adapter',
      mtuBytes: inRange('mtuBytes', mtuBytes, NETWORK_MTU_MIN, NETWORK_MTU_MAX),
      linkBitsPerSecond: options.linkBitsPerSecond ?? LINK_BITS_PER_SECOND,
      maxSubChannels: inRange('maxSubChannels', maxSubChannels, 0, SUB_CHANNELS_LIMIT),
      mayChangeAddress: port.macSpoofing ?? false,
    })
    this.#adapter = adapter
    this.port = options.switch.connect(adapter, port)
    adapter.port = this.port
  }

  /** Called by the server, for the primary and each sub-channel. */
  open(channel: ServerChannel): OpenOutcome {
    const adapter = this.#adapter
    const index = channel.subChannelIndex
    const isPrimary = index === 0
    if (isPrimary !== (adapter.primary === null) || index > adapter.maxSubChannels) {
      return { refused: OPEN_REFUSED }
    }
    const program = new NetProgram(channel, adapter)
    const left = this.#programs.filter((one) => one.state !== 'over')
    this.#programs.splice(0, this.#programs.length, ...left, program)
    adapter.opened(program)
    return program
  }

  /** Pulls the cable, or plugs it in: the guest is told. */
  setLink(isUp: boolean): void {
    const adapter = this.#adapter
    if (adapter.isLinkUp === isUp) return
    this.port.setLink(isUp)
    if (!adapter.isRndisUp) return
    adapter.owesLink = true
    adapter.primary?.channel.wake()
  }

  /** The link has another speed: the guest is told, in the units that it asks for it in. Throws a RangeError for none. */
  setLinkSpeed(bitsPerSecond: number): void {
    if (!(bitsPerSecond >= 100)) {
      throw new RangeError(`bitsPerSecond must be at least 100, got ${bitsPerSecond}`)
    }
    const adapter = this.#adapter
    if (adapter.linkBitsPerSecond === bitsPerSecond) return
    adapter.linkBitsPerSecond = bitsPerSecond
    if (!adapter.isRndisUp) return
    adapter.owesLinkSpeed = true
    adapter.primary?.channel.wake()
  }

  /** There is another network behind the link: the guest asks for its addresses again. */
  networkChanged(): void {
    const adapter = this.#adapter
    if (!adapter.isRndisUp) return
    adapter.owesNetworkChange = true
    adapter.primary?.channel.wake()
  }

  /** Channels that were held back by the port's bandwidth go on. To be called at `nextDeadlineMs`. */
  wake(): void {
    for (const program of this.#programs) {
      if (program.waitsUntilMs < Number.POSITIVE_INFINITY) program.channel.wake()
    }
  }

  /** When `wake` is due, in the time of the switch's clock; Infinity: never. */
  nextDeadlineMs(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { state, waitsUntilMs } of this.#programs) {
      if (state !== 'over' && waitsUntilMs < earliest) earliest = waitsUntilMs
    }
    return earliest
  }

  /** Unplugs the adapter, when its offer has been revoked. */
  dispose(): void {
    this.port.disconnect()
  }

  inspect(): NetVspInspection {
    const adapter = this.#adapter
    const open = this.#programs.filter(({ state }) => state !== 'over')
    return {
      channels: open.map(({ channel, state, ignored }) => ({
        subChannelIndex: channel.subChannelIndex,
        state,
        ignored,
      })),
      nvspVersion: adapter.nvspVersion,
      packetFilter: adapter.packetFilter,
      isRssOn: adapter.rss.isEnabled,
      receiveBuffers: adapter.receiveBuffer?.count ?? 0,
      freeReceiveBuffers: adapter.receiveBuffer?.freeCount ?? 0,
      strayCompletions: adapter.receiveBuffer?.strayCompletions ?? 0,
      frames: adapter.transmitter.frames,
      malformed: adapter.transmitter.malformed,
    }
  }
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw new RangeError(`${name} must be a whole number from ${least} to ${most}, got ${value}`)
}
