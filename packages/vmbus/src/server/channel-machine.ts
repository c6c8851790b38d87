// The channels of one guest: moves each by the table in channel-state.ts, tells its device, and sends what
// the guest is owed. The connection (vmbus-server.ts) decides when a message may reach this far.
//
// Two lives meet here. The state is the guest's view of the channel; `opened` is the device's. Whatever the
// guest does, its memory counts as in use until the device has stopped ("drained"): only then does an id
// become free, is a rescind sent, or a teardown acknowledged.

import {
  VMBUS_CHANNELS_MAX,
  VMBUS_STATUS_FAILURE,
  VMBUS_STATUS_SUCCESS,
  assert,
  assertNever,
} from '@guestyard/hvdef'
import { ActiveEntry } from '../active-list.ts'
import type { ChannelProgram } from '../channel.ts'
import type { BusServices } from './bus-services.ts'
import { errorOf, stepChannel } from './channel-state.ts'
import type { OpenOutcome, OpenRefused } from './device.ts'
import type { GuestError } from './events.ts'
import { makeOpenChannel } from './open-request.ts'
import { ChannelTable, HostChannel, channelName } from './host-channel.ts'
import type { OfferedDevice, OpenRequest } from './host-channel.ts'
import { offerChannel, openChannelResult, rescindChannelOffer } from './messages.ts'
import type { OpenChannel, OpenChannelOwner } from './open-channel.ts'

export class ChannelMachine implements OpenChannelOwner {
  readonly table: ChannelTable
  readonly #bus: BusServices
  // Running channels by id, for the signal path.
  readonly #entries: (ActiveEntry | undefined)[]
  readonly #records = new Map<OpenChannel, HostChannel>()

  constructor(bus: BusServices) {
    this.#bus = bus
    this.table = new ChannelTable(bus.limits.channels)
    this.#entries = Array.from({ length: VMBUS_CHANNELS_MAX + 1 })
  }

  /** Devices that have not stopped. */
  get devicesInUse(): number {
    return this.#records.size
  }

  /** The guest signals a channel. False when no open channel has that id. */
  signal(relid: number): boolean {
    if (relid < 1 || relid > VMBUS_CHANNELS_MAX) return false
    const entry = this.#entries[relid]
    if (entry === undefined) return false
    this.#bus.active.add(entry)
    return true
  }

  /** Adds a channel, or brings back one that is revoked and not yet released. */
  add(offered: OfferedDevice, primary: HostChannel | undefined, index: number): HostChannel {
    const known = this.table.find(offered.classId, offered.instanceId, index)
    if (known !== undefined) {
      assert(known.state === 'revoked', 'Class and instance are unique among the offers.')
      known.state = 'reoffered'
      known.offered = offered
      known.primary = primary
      known.generation += 1
      return known
    }
    const record = new HostChannel(offered, primary, index)
    this.table.add(record)
    if (this.#bus.offering) this.#present(record)
    return record
  }

  /** REQUESTOFFERS: offers everything, in order. */
  offerAll(): void {
    for (const record of this.table.sorted()) {
      if (record.state === 'client-released') this.#present(record)
    }
  }

  /** OPENCHANNEL. */
  open(relid: number, request: OpenRequest): GuestError | undefined {
    const record = this.table.known(relid)
    if (record === undefined) return 'unknown-channel'
    const outcome = stepChannel(record.state, 'open')
    if (outcome !== 'opening' && outcome !== 'closing-reopen') return errorOf(outcome)
    record.state = outcome
    record.request = request
    return outcome === 'opening' ? this.#beginOpen(record) : undefined
  }

  /** CLOSECHANNEL: has no answer. */
  close(relid: number): GuestError | undefined {
    const record = this.table.known(relid)
    if (record === undefined) return 'unknown-channel'
    const outcome = stepChannel(record.state, 'close')
    if (outcome !== 'closing') return errorOf(outcome)
    record.state = outcome
    this.#stop(record)
    return undefined
  }

  /** RELID_RELEASED. */
  release(relid: number): GuestError | undefined {
    const record = this.table.known(relid)
    if (record === undefined) return 'unknown-channel'
    return this.#giveUp(record, 'release')
  }

  /** MODIFYCHANNEL: interrupts go to another VP from now on. */
  modify(relid: number, targetVp: number): GuestError | undefined {
    const record = this.table.known(relid)
    if (record === undefined) return 'unknown-channel'
    if (record.state !== 'open') return 'wrong-state'
    const channel = record.opened
    return channel?.retarget(targetVp) === true ? undefined : 'bad-target'
  }

  /** The owner takes a device away. Sub-channels go first. */
  revoke(record: HostChannel): void {
    if (record.state === 'revoked' || record.removeWhenDrained) return
    for (const sub of this.table.subChannelsOf(record)) this.revoke(sub)
    const before = record.state
    const outcome = stepChannel(before, 'revoke')
    if (outcome === 'removed') return this.#remove(record)
    record.state = outcome
    if (before === 'reoffered') return
    record.rescindOwed = true
    this.#stop(record)
  }

  /** The connection ends: no channel is known to a guest any more, once the devices have stopped. */
  disconnect(): void {
    for (const record of this.table.sorted()) this.#giveUp(record, 'disconnect')
  }

  completeOpen(channel: OpenChannel, outcome: ChannelProgram | OpenRefused): void {
    this.#settle(channel, outcome)
  }

  completeClose(channel: OpenChannel): void {
    if (channel.life === 'closing') this.#finish(channel)
  }

  fail(channel: OpenChannel, reason: number | string): void {
    if (channel.life === 'opening') channel.failure ??= reason
    if (channel.life !== 'running') return
    const record = this.#recordOf(channel)
    this.#bus.report({ is: 'channel-failed', reason, ...channelName(record) })
    this.#stop(record)
  }

  offerSubChannels(channel: OpenChannel, count: number): number {
    const primary = this.#recordOf(channel)
    const running = channel.life === 'running' || channel.life === 'opening'
    if (primary.primary !== undefined || !running) return 0
    let offered = 0
    for (let index = 1; index <= this.#bus.limits.subChannels && offered < count; index += 1) {
      const { classId, instanceId } = primary.offered
      const known = this.table.find(classId, instanceId, index)
      if (known !== undefined && known.state !== 'revoked') continue
      if (known === undefined && this.table.relidsInUse >= this.#bus.limits.channels) break
      this.add(primary.offered, primary, index)
      offered += 1
    }
    return offered
  }

  subChannelCount(channel: OpenChannel): number {
    return this.table.subChannelCountOf(this.#recordOf(channel))
  }

  // The guest is offered the channel under an id of its own, if one is free.
  #present(record: HostChannel): void {
    record.awaitsRelid = !this.table.assignRelid(record)
    if (record.awaitsRelid) return
    record.connectionId = this.#bus.transport.connectChannel(record.relid)
    record.state = 'closed'
    this.#sendOffer(record)
  }

  #sendOffer(record: HostChannel): void {
    const { offered, relid, connectionId, subChannelIndex } = record
    this.#bus.send(offerChannel({ ...offered, relid, connectionId, subChannelIndex }))
  }

  #beginOpen(record: HostChannel): GuestError | undefined {
    const channel = makeOpenChannel(this.#bus, this, record)
    if (channel === undefined) {
      this.#refuse(record, VMBUS_STATUS_FAILURE)
      return 'bad-open'
    }
    record.opened = channel
    this.#records.set(channel, record)
    const outcome: OpenOutcome = record.offered.device.open(channel)
    if (outcome !== 'pending') this.#settle(channel, outcome)
    return undefined
  }

  // The device has answered an open, perhaps too late.
  #settle(channel: OpenChannel, outcome: ChannelProgram | OpenRefused): void {
    assert(
      channel.life === 'opening' || channel.life === 'abandoned',
      'A device answers an open once.',
    )
    if ('refused' in outcome) {
      this.#finish(channel, outcome.refused)
      return
    }
    const record = this.#recordOf(channel)
    if (channel.life === 'abandoned' || channel.failure !== undefined) {
      this.#closeProgram(channel, outcome)
      return
    }
    const entry = new ActiveEntry(outcome, channel)
    channel.life = 'running'
    channel.entry = entry
    record.state = stepChannel(record.state, 'opened')
    this.#entries[record.relid] = entry
    this.#sendResult(record, VMBUS_STATUS_SUCCESS)
    this.#bus.active.add(entry)
    this.#bus.report({ is: 'channel-open', ...channelName(record) })
  }

  // Tells the device to stop; `#drained` follows, now or later.
  #stop(record: HostChannel): void {
    const channel = record.opened
    if (channel === undefined) {
      this.#drained(record)
      return
    }
    switch (channel.life) {
      case 'opening':
        channel.life = 'abandoned'
        return
      case 'running': {
        const { entry } = channel
        assert(entry !== undefined, 'A running channel has a program.')
        for (const sub of this.table.subChannelsOf(record)) this.revoke(sub)
        this.#bus.active.remove(entry)
        this.#entries[record.relid] = undefined
        this.#closeProgram(channel, entry.program)
        return
      }
      case 'abandoned':
      case 'closing':
        return
      case 'over':
        assert(false, 'A channel that is over has left its record.')
    }
  }

  #closeProgram(channel: OpenChannel, program: ChannelProgram): void {
    channel.life = 'closing'
    channel.entry = undefined
    const result = program.close()
    // `completeClose` may have been called within `close`; life is then over already.
    if (result !== 'pending') this.completeClose(channel)
  }

  #finish(channel: OpenChannel, status: number = VMBUS_STATUS_FAILURE): void {
    const record = this.#recordOf(channel)
    this.#records.delete(channel)
    record.opened = undefined
    channel.end()
    if (record.state === 'opening') this.#refuse(record, status)
    else this.#drained(record)
    this.#bus.drained()
  }

  #refuse(record: HostChannel, status: number): void {
    record.state = stepChannel(record.state, 'refused')
    // A zero would tell the guest that the channel is open.
    const told = status === VMBUS_STATUS_SUCCESS ? VMBUS_STATUS_FAILURE : status
    this.#sendResult(record, told)
    this.#bus.report({ is: 'channel-refused', status: told, ...channelName(record) })
  }

  #sendResult(record: HostChannel, status: number): void {
    const { request } = record
    assert(request !== undefined, 'A result answers a request.')
    record.request = undefined
    this.#bus.send(openChannelResult(record.relid, request.openId, status))
  }

  // The device has stopped, or never ran.
  #drained(record: HostChannel): void {
    if (record.removeWhenDrained) return this.#remove(record)
    const state = stepChannel(record.state, 'drained')
    switch (state) {
      case 'closed':
        record.state = state
        this.#bus.report({ is: 'channel-closed', ...channelName(record) })
        return
      case 'opening':
        record.state = state
        this.#beginOpen(record)
        return
      case 'open':
        return
      case 'client-released':
        this.#clientReleased(record)
        return
      case 'revoked':
      case 'reoffered':
        this.#rescind(record)
        return
      default:
        assertNever(state)
    }
  }

  #rescind(record: HostChannel): void {
    const { deferred } = record
    if (record.rescindOwed) {
      record.rescindOwed = false
      record.request = undefined
      this.#bus.gpadls.revokeChannel(record.relid)
      if (deferred === undefined) this.#bus.send(rescindChannelOffer(record.relid))
      this.#bus.report({ is: 'channel-closed', ...channelName(record) })
    }
    if (deferred === undefined) return
    record.deferred = undefined
    this.#giveUp(record, deferred)
  }

  // The guest has released the channel, or is gone.
  #giveUp(record: HostChannel, event: 'release' | 'disconnect'): GuestError | undefined {
    const inUse = record.opened !== undefined
    if (inUse && (record.state === 'revoked' || record.state === 'reoffered')) {
      record.deferred = event
      return undefined
    }
    const before = record.state
    const outcome = stepChannel(before, event)
    switch (outcome) {
      case 'client-released':
        this.#clientReleased(record)
        return undefined
      case 'closed':
        this.#bus.gpadls.dropChannel(record.relid)
        record.state = outcome
        this.#sendOffer(record)
        return undefined
      case 'removed':
        this.#remove(record)
        return undefined
      case 'closing-client-release':
      case 'opening-client-release':
        record.state = outcome
        record.request = undefined
        if (before !== outcome) this.#stop(record)
        return undefined
      case 'unknown':
      case 'error':
        return errorOf(outcome)
      default:
        return assertNever(outcome)
    }
  }

  #clientReleased(record: HostChannel): void {
    record.state = 'client-released'
    record.request = undefined
    record.awaitsRelid = false
    this.#unassign(record)
    if (record.primary !== undefined) this.#remove(record)
  }

  #remove(record: HostChannel): void {
    if (record.opened !== undefined) {
      record.removeWhenDrained = true
      return
    }
    record.state = 'client-released'
    this.#unassign(record)
    this.table.delete(record)
    const { domain } = record.offered
    if (this.table.usesDomain(domain)) return
    const gone = this.#bus.transport.iommu.remove(domain)
    assert(gone, 'A device without channels has nothing mapped.')
  }

  #unassign(record: HostChannel): void {
    if (record.relid === 0) return
    this.#bus.gpadls.dropChannel(record.relid)
    this.#bus.transport.disconnectChannel(record.relid)
    this.table.freeRelid(record)
    if (!this.#bus.offering) return
    const waiting = this.table.sorted().find((other) => other.awaitsRelid)
    if (waiting !== undefined) this.#present(waiting)
  }

  #recordOf(channel: OpenChannel): HostChannel {
    const record = this.#records.get(channel)
    assert(record !== undefined, 'A channel that is not over has a record.')
    return record
  }
}
