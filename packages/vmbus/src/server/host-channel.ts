// One offered channel, primary or sub-channel, and the table of all of them. A record outlives connections;
// its channel id does not: it is taken when the guest is offered the channel, and free again when the guest
// has released it, or is gone, and the device has stopped.

import { VMBUS_CHANNELS_MAX, assert } from '@guestyard/hvdef'
import type { DmaDomain } from '@guestyard/guestmem'
import type { Guid } from '@guestyard/hvdef'
import type { ChannelStateName } from './channel-state.ts'
import { isKnownToGuest } from './channel-state.ts'
import type { VspDevice } from './device.ts'
import type { ChannelName } from './events.ts'
import type { OpenChannel } from './open-channel.ts'

/** What the guest asked for in OPENCHANNEL, copied. */
export interface OpenRequest {
  readonly openId: number
  readonly ringGpadlId: number
  readonly targetVp: number
  readonly downstreamPageOffset: number
  readonly userDefined: Uint8Array
}

/** The parts of an offer that its owner chose. */
export interface OfferedDevice {
  readonly classId: Guid
  readonly instanceId: Guid
  readonly flags: number
  readonly mmioMegabytes: number
  readonly userDefined: Uint8Array
  readonly device: VspDevice
  /** What the device may reach of the guest's memory: one for the device, sub-channels included. */
  readonly domain: DmaDomain
}

export class HostChannel {
  readonly subChannelIndex: number
  /** Undefined on a primary. */
  primary: HostChannel | undefined
  offered: OfferedDevice
  /** Counts the times this record was offered anew, so that an old offer's `revoke` finds out. */
  generation = 0
  state: ChannelStateName = 'client-released'
  /** 0 while the guest has not been offered the channel. */
  relid = 0
  /** What the guest signals. */
  connectionId = 0
  /** The guest should be offered the channel, and no id was free. */
  awaitsRelid = false
  /** The open that is under way, or that waits for a close. */
  request: OpenRequest | undefined = undefined
  /** The device's side: set from the open until the device has stopped. */
  opened: OpenChannel | undefined = undefined
  /** Revoked, but the guest is told only when the device has stopped. */
  rescindOwed = false
  /** What the guest did to a revoked channel before the device had stopped. */
  deferred: 'release' | 'disconnect' | undefined = undefined
  /** The owner revoked it when the guest did not know it any more. */
  removeWhenDrained = false

  constructor(offered: OfferedDevice, primary: HostChannel | undefined, subChannelIndex: number) {
    this.offered = offered
    this.primary = primary
    this.subChannelIndex = subChannelIndex
  }
}

export class ChannelTable {
  readonly #records = new Set<HostChannel>()
  readonly #byRelid: (HostChannel | undefined)[] = Array.from({ length: VMBUS_CHANNELS_MAX + 1 })
  readonly #limit: number
  #relidsInUse = 0

  constructor(limit: number) {
    this.#limit = Math.min(limit, VMBUS_CHANNELS_MAX)
  }

  get size(): number {
    return this.#records.size
  }

  get relidsInUse(): number {
    return this.#relidsInUse
  }

  add(record: HostChannel): void {
    this.#records.add(record)
  }

  delete(record: HostChannel): void {
    assert(record.relid === 0, 'A channel that is removed has no id.')
    this.#records.delete(record)
  }

  /** True while a channel of the device of this domain is left. */
  usesDomain(domain: DmaDomain): boolean {
    for (const record of this.#records) if (record.offered.domain === domain) return true
    return false
  }

  /** Every record, in the order in which guests are offered them: class, instance, index. */
  sorted(): HostChannel[] {
    return [...this.#records].toSorted(byIdentity)
  }

  subChannelsOf(primary: HostChannel): HostChannel[] {
    return [...this.#records].filter((record) => record.primary === primary)
  }

  /** Sub-channels of `primary` that are offered, or are about to be. */
  subChannelCountOf(primary: HostChannel): number {
    const subs = this.subChannelsOf(primary)
    return subs.filter((sub) => sub.state !== 'revoked' && !sub.removeWhenDrained).length
  }

  /** The channel of these GUIDs and index that is not on its way out. */
  find(classId: Guid, instanceId: Guid, subChannelIndex: number): HostChannel | undefined {
    for (const record of this.#records) {
      if (record.removeWhenDrained || record.subChannelIndex !== subChannelIndex) continue
      const { offered } = record
      if (offered.classId === classId && offered.instanceId === instanceId) return record
    }
    return undefined
  }

  /** The channel that a guest's message names, if the guest may name it. */
  known(relid: number): HostChannel | undefined {
    if (relid < 1 || relid > VMBUS_CHANNELS_MAX) return undefined
    const record = this.#byRelid[relid]
    return record !== undefined && isKnownToGuest(record.state) ? record : undefined
  }

  /** Gives the channel the lowest free id. False when there is none. */
  assignRelid(record: HostChannel): boolean {
    assert(record.relid === 0, 'A channel has one id at a time.')
    if (this.#relidsInUse >= this.#limit) return false
    let relid = 1
    while (this.#byRelid[relid] !== undefined) relid += 1
    this.#byRelid[relid] = record
    record.relid = relid
    this.#relidsInUse += 1
    return true
  }

  freeRelid(record: HostChannel): void {
    assert(record.relid !== 0, 'A channel that gives back its id has one.')
    this.#byRelid[record.relid] = undefined
    record.relid = 0
    this.#relidsInUse -= 1
  }
}

function byIdentity(a: HostChannel, b: HostChannel): number {
  if (a.offered.classId !== b.offered.classId) return a.offered.classId < b.offered.classId ? -1 : 1
  if (a.offered.instanceId !== b.offered.instanceId) {
    return a.offered.instanceId < b.offered.instanceId ? -1 : 1
  }
  return a.subChannelIndex - b.subChannelIndex
}

/** The channel in events. */
export function channelName(record: HostChannel): ChannelName {
  const { relid, subChannelIndex, offered } = record
  return { relid, subChannelIndex, classId: offered.classId, instanceId: offered.instanceId }
}
