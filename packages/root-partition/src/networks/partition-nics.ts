// The network adapters of one partition: ports of the root's switches, offered on the partition's bus.

import { parseGuid } from '@guestyard/hvdef'
import type { VirtualSwitch } from '@guestyard/network'
import type { VmDirectory } from '@guestyard/network/uplinks'
import { NetVsp, networkOffer, type NetVspInspection } from '@guestyard/network/vsp'
import type { VmbusServer } from '@guestyard/vmbus/server'

import { LINK_MBPS_MAX, NICS_MAX, type NicSpec } from './nic-spec.ts'

/** An adapter in `inspect`. */
export interface NicInspection extends NetVspInspection {
  readonly switch: string
  readonly address: string
}

export interface PartitionNicsOptions {
  readonly bus: VmbusServer
  readonly partitionId: number
  readonly vpCount: number
  readonly vmName: string
  /** The switch of this name, made if there is none. */
  readonly switchOf: (name: string) => VirtualSwitch
  /** Who gives names on that switch, or null. */
  readonly directoryOf: (name: string) => VmDirectory | null
}

interface Attached {
  readonly spec: NicSpec
  readonly address: string
  readonly vsp: NetVsp
}

/** First half of an address: Microsoft's. The other is the partition's number and the adapter's. */
const ADDRESS_PREFIX = '00:15:5d'
/** Sub-channels at most, whatever VPs there are. */
const SUB_CHANNELS_MAX = 8
const MBPS = 1_000_000

/** Root thread only. */
export class PartitionNics {
  readonly #options: PartitionNicsOptions
  readonly #attached: Attached[] = []

  constructor(options: PartitionNicsOptions) {
    this.#options = options
  }

  /** Plugs an adapter in and offers it. Why it can't, in one line; null when it is there. */
  attach(spec: NicSpec): string | null {
    const { bus, partitionId, vpCount, vmName, switchOf, directoryOf } = this.#options
    const number = this.#attached.length
    if (number === NICS_MAX) return `nics: a partition has ${NICS_MAX} adapters at most`
    const address = spec.address ?? addressOf(partitionId, number)
    const { switch: name, mtuBytes, linkMbps, ...port } = spec
    let vsp: NetVsp
    try {
      vsp = new NetVsp({
        switch: switchOf(name),
        port: { name: `partition ${partitionId} nic ${number}`, ...port, address },
        maxSubChannels: Math.min(vpCount - 1, SUB_CHANNELS_MAX),
        ...(mtuBytes === undefined ? {} : { mtuBytes }),
        ...(linkMbps === undefined ? {} : { linkBitsPerSecond: checkedMbps(linkMbps) * MBPS }),
      })
    } catch (error) {
      if (error instanceof RangeError) return `nics.${number}: ${error.message}`
      throw error
    }
    this.#attached.push({ spec, address, vsp })
    directoryOf(name)?.add(address, vmName)
    bus.offer(networkOffer(instanceOf(number)), vsp)
    return null
  }

  /** The partition is over, and its channels are closed: every adapter is unplugged. */
  close(): void {
    for (const { spec, address, vsp } of this.#attached) {
      this.#options.directoryOf(spec.switch)?.remove(address)
      vsp.dispose()
    }
  }

  /** Adapters that were held back by their bandwidth, and are due by then, go on. */
  wakeDue(nowMs: number): void {
    for (const { vsp } of this.#attached) if (vsp.nextDeadlineMs() <= nowMs) vsp.wake()
  }

  /** When `wakeDue` is to be called; Infinity: never. */
  nextDeadlineMs(): number {
    let dueMs = Number.POSITIVE_INFINITY
    for (const { vsp } of this.#attached) dueMs = Math.min(dueMs, vsp.nextDeadlineMs())
    return dueMs
  }

  /** Pulls an adapter's cable, or plugs it in. False when there is no such adapter. */
  setLink(number: number, isUp: boolean): boolean {
    const found = this.#attached[number]
    found?.vsp.setLink(isUp)
    return found !== undefined
  }

  /** Changes the speed of an adapter's link, as its guest is told. Why it can't, in one line; null when it is so. */
  setLinkSpeed(number: number, mbps: number): string | null {
    const found = this.#attached[number]
    if (found === undefined) return `no network adapter ${number}`
    if (!isLinkMbps(mbps)) return linkProblem(mbps)
    found.vsp.setLinkSpeed(mbps * MBPS)
    return null
  }

  inspect(): readonly NicInspection[] {
    return this.#attached.map(({ spec, address, vsp }) => ({
      switch: spec.switch,
      address,
      ...vsp.inspect(),
    }))
  }
}

function isLinkMbps(mbps: number): boolean {
  return Number.isSafeInteger(mbps) && mbps >= 1 && mbps <= LINK_MBPS_MAX
}

function linkProblem(mbps: number): string {
  return `linkMbps must be a whole number from 1 to ${LINK_MBPS_MAX}, got ${mbps}`
}

function checkedMbps(mbps: number): number {
  if (isLinkMbps(mbps)) return mbps
  throw new RangeError(linkProblem(mbps))
}

function addressOf(partitionId: number, number: number): string {
  const digits = [(partitionId >> 8) & 0xff, partitionId & 0xff, number]
  return [ADDRESS_PREFIX, ...digits.map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

function instanceOf(number: number): ReturnType<typeof parseGuid> {
  return parseGuid(`5b1d8f2a-6c2e-4f0b-9d53-${number.toString(16).padStart(12, '0')}`)
}
