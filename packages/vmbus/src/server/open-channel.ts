// HOT
// The host's end of one opening of a channel: what its device holds. It lives from the guest's open until
// the device has stopped, and is then dead: nothing it offers reaches the guest any more.
//
//   opening ──▶ running ──▶ closing ──▶ over
//      └──▶ abandoned ───────┘  (the guest went before the device answered)

import { HV_VP_INDEX_ANY, HvStatus, assert } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'
import type { DmaDomain } from '@guestyard/guestmem'
import type { IncomingRing, OutgoingRing, RingPair } from '@guestyard/ring'
import type { ActiveEntry, ActiveList } from '../active-list.ts'
import type { ChannelProgram } from '../channel.ts'
import type { MappedGpadl, OpenRefused, ServerChannel } from './device.ts'
import type { Gpadl, Gpadls } from './gpadls.ts'
import type { ChannelInterrupt, ServerTransport } from './transport.ts'

export type OpenChannelLife = 'opening' | 'abandoned' | 'running' | 'closing' | 'over'

/** What a device asks of the channel machine. */
export interface OpenChannelOwner {
  completeOpen(channel: OpenChannel, outcome: ChannelProgram | OpenRefused): void
  completeClose(channel: OpenChannel): void
  fail(channel: OpenChannel, reason: number | string): void
  offerSubChannels(channel: OpenChannel, count: number): number
  subChannelCount(channel: OpenChannel): number
}

export interface OpenChannelOptions {
  readonly owner: OpenChannelOwner
  readonly transport: ServerTransport
  readonly active: ActiveList
  readonly gpadls: Gpadls
  readonly ringGpadl: Gpadl
  readonly relid: number
  readonly subChannelIndex: number
  readonly classId: Guid
  readonly instanceId: Guid
  readonly domain: DmaDomain
  readonly busVersion: number
  readonly rings: RingPair
  readonly targetVp: number
  readonly userDefined: Uint8Array
  readonly downstreamPageOffset: number
}

export class OpenChannel implements ServerChannel {
  readonly relid: number
  readonly subChannelIndex: number
  readonly classId: Guid
  readonly instanceId: Guid
  readonly busVersion: number
  readonly incoming: IncomingRing
  readonly outgoing: OutgoingRing
  readonly domain: DmaDomain
  readonly userDefined: Uint8Array
  readonly downstreamPageOffset: number
  /** Written by the channel machine alone, as are the next two. */
  life: OpenChannelLife
  /** Set while running. */
  entry: ActiveEntry | undefined
  /** Why the device gave the channel up before it had answered the open. */
  failure: number | string | undefined
  readonly #owner: OpenChannelOwner
  /** Null for a channel that wants no interrupts. */
  readonly #interrupt: ChannelInterrupt | null
  #targetVp: number
  readonly #active: ActiveList
  readonly #gpadls: Gpadls
  readonly #rings: RingPair
  readonly #ringGpadl: Gpadl
  // What the device has mapped, each a use of its own.
  readonly #mapped: Map<MappedGpadl, Gpadl>

  constructor(options: OpenChannelOptions) {
    this.relid = options.relid
    this.subChannelIndex = options.subChannelIndex
    this.classId = options.classId
    this.instanceId = options.instanceId
    this.busVersion = options.busVersion
    this.incoming = options.rings.incoming
    this.outgoing = options.rings.outgoing
    this.domain = options.domain
    this.userDefined = options.userDefined
    this.downstreamPageOffset = options.downstreamPageOffset
    this.life = 'opening'
    this.entry = undefined
    this.failure = undefined
    this.#owner = options.owner
    this.#targetVp = options.targetVp
    this.#interrupt =
      options.targetVp === HV_VP_INDEX_ANY
        ? null
        : options.transport.openInterrupt(options.relid, options.targetVp)
    this.#active = options.active
    this.#gpadls = options.gpadls
    this.#rings = options.rings
    this.#ringGpadl = options.ringGpadl
    this.#mapped = new Map()
    this.#ringGpadl.revoked = () => this.#ringsRevoked()
  }

  get ringGpadlId(): number {
    return this.#ringGpadl.id
  }

  /** GPADLs that its device has mapped, beside that of the rings. */
  get mappedCount(): number {
    return this.#mapped.size
  }

  get targetVp(): number {
    return this.#targetVp
  }

  signal(): void {
    if (this.#interrupt !== null) this.#interrupt.raise()
  }

  /** MODIFYCHANNEL: interrupts go to another VP. False when there are none, or no such VP. */
  retarget(vp: number): boolean {
    if (this.#interrupt === null || this.#interrupt.retarget(vp) !== HvStatus.SUCCESS) return false
    this.#targetVp = vp
    return true
  }

  wake(): void {
    if (this.entry !== undefined) this.#active.add(this.entry)
  }

  get subChannelCount(): number {
    return this.life === 'over' ? 0 : this.#owner.subChannelCount(this)
  }

  offerSubChannels(count: number): number {
    return this.#owner.offerSubChannels(this, count)
  }

  gpadl(gpadlId: number): MappedGpadl | undefined {
    if (this.life === 'over') return undefined
    const gpadl = this.#gpadls.use(this.relid, gpadlId)
    if (gpadl === undefined) return undefined
    const mapped: MappedGpadl = {
      gpadlId,
      ranges: gpadl.ranges,
      release: () => this.#unmap(mapped),
    }
    this.#mapped.set(mapped, gpadl)
    return mapped
  }

  completeOpen(outcome: ChannelProgram | OpenRefused): void {
    this.#owner.completeOpen(this, outcome)
  }

  completeClose(): void {
    this.#owner.completeClose(this)
  }

  fail(reason: number | string): void {
    this.#owner.fail(this, reason)
  }

  /** The device has stopped: ends every use of the guest's memory. Called by the channel machine, once. */
  end(): void {
    assert(this.life !== 'over', 'A channel ends once.')
    this.life = 'over'
    this.entry = undefined
    this.#interrupt?.close()
    this.#rings.close()
    for (const mapped of this.#mapped.keys()) this.#unmap(mapped)
    this.#ringGpadl.revoked = undefined
    this.#gpadls.release(this.#ringGpadl)
  }

  /** The guest has lost pages of the rings: they are touched no more, and the channel has failed. */
  #ringsRevoked(): void {
    this.#rings.close()
    this.fail("its rings are no longer the guest's memory")
  }

  #unmap(mapped: MappedGpadl): void {
    const gpadl = this.#mapped.get(mapped)
    if (gpadl === undefined) return
    this.#mapped.delete(mapped)
    this.#gpadls.release(gpadl)
  }
}
