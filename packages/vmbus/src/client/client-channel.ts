// HOT
// The guest's end of a channel, from the open on. Its driver sees rings and `signal`; the client moves the
// state.
//
//   opening ──▶ open ──▶ closing ──▶ closed
//      └──────▶ failed ◀──── (refused by the host: its ring is torn down first)

import type { GuestMemory } from '@guestyard/guestmem'
import type { IncomingRing, OutgoingRing, RingPair } from '@guestyard/ring'
import { ActiveEntry } from '../active-list.ts'
import type { ActiveList } from '../active-list.ts'
import type { Channel, ChannelProgram } from '../channel.ts'
import type { ChannelOffer } from './channel-offer.ts'
import type { ClientTransport } from './transport.ts'

export type ClientChannelState = 'opening' | 'open' | 'closing' | 'closed' | 'failed'

/** Why an open came to nothing: the host's non-zero status, or what happened first. */
export type OpenFailure =
  | number
  | 'gpadl-refused' //      the host did not take the rings' pages
  | 'rescinded'
  | 'closed' //             by this end, before the host was asked
  | 'failed' //             see `ClientChannel.fail`
  | 'post-failed' //        a message could not be posted for good

/** Why a channel ended: asked for by this end, or not. `failed`: see `ClientChannel.fail`. */
export type CloseReason = 'closed' | 'rescinded' | 'failed'

/** Told about one channel. Called from within `receiveMessage` and `poll`; may call the client. */
export interface ChannelListener {
  /** The host has opened it. Returns the program that the client polls, if it is to poll one. */
  opened(channel: ClientChannel): ChannelProgram | undefined
  /** It never opened. */
  failed?(channel: ClientChannel, reason: OpenFailure): void
  /** It was open and is over; its pages are free. */
  closed?(channel: ClientChannel, reason: CloseReason): void
  /** `modifyChannel` was answered: the VP it was moved to, or undefined for a refusal. */
  modified?(channel: ClientChannel, targetVp: number | undefined): void
}

/** What the channel asks of its client. */
export interface ClientChannelOwner {
  close(channel: ClientChannel): void
}

export interface ClientChannelOptions {
  readonly owner: ClientChannelOwner
  readonly transport: ClientTransport
  readonly active: ActiveList
  readonly offer: ChannelOffer
  readonly listener: ChannelListener
  readonly rings: RingPair
  readonly targetVp: number
  readonly userDefined: Uint8Array
  readonly pfns: ArrayLike<number>
}

export class ClientChannel implements Channel {
  readonly relid: number
  readonly offer: ChannelOffer
  readonly incoming: IncomingRing
  readonly outgoing: OutgoingRing
  readonly memory: GuestMemory
  readonly userDefined: Uint8Array
  readonly listener: ChannelListener
  /** Pages of the rings. */
  readonly pfns: ArrayLike<number>
  /** Written by the client alone, as is everything below. */
  state: ClientChannelState
  targetVp: number
  entry: ActiveEntry | undefined
  ringGpadlId: number
  /** OPENCHANNEL is on its way, and its result is awaited. */
  openSent: boolean
  /** `close` came while the open was under way. */
  closeWanted: boolean
  /** The close messages are on their way: the sub-channels are gone. */
  closeSent: boolean
  /** The host has let go of the rings, or never had them. */
  ringGone: boolean
  /** The offer is gone. */
  rescinded: boolean
  /** Why the open came to nothing, while the rings are torn down. */
  refusal: OpenFailure | undefined
  /** Why `fail` was called. */
  failure: number | string | undefined
  /** The VP of a MODIFYCHANNEL that is not answered. */
  modifyingTo: number | undefined
  readonly #rings: RingPair
  readonly #owner: ClientChannelOwner
  readonly #transport: ClientTransport
  readonly #active: ActiveList
  readonly #connectionId: number

  constructor(options: ClientChannelOptions) {
    this.relid = options.offer.relid
    this.offer = options.offer
    this.incoming = options.rings.incoming
    this.outgoing = options.rings.outgoing
    this.memory = options.transport.memory
    this.userDefined = options.userDefined
    this.listener = options.listener
    this.pfns = options.pfns
    this.state = 'opening'
    this.targetVp = options.targetVp
    this.entry = undefined
    this.ringGpadlId = 0
    this.openSent = false
    this.closeWanted = false
    this.closeSent = false
    this.ringGone = false
    this.rescinded = false
    this.refusal = undefined
    this.failure = undefined
    this.modifyingTo = undefined
    this.#rings = options.rings
    this.#owner = options.owner
    this.#transport = options.transport
    this.#active = options.active
    this.#connectionId = options.offer.connectionId
  }

  signal(): void {
    if (this.state === 'open') this.#transport.signalEvent(this.#connectionId, 0)
  }

  /** Puts the program on the list of those that are polled. */
  wake(): void {
    if (this.entry !== undefined) this.#active.add(this.entry)
  }

  /** Polls this program from now on, or none. The one before is not closed: it has ended by itself. */
  run(program: ChannelProgram | undefined): void {
    if (this.state !== 'open') return
    if (this.entry !== undefined) this.#active.remove(this.entry)
    this.entry = program === undefined ? undefined : new ActiveEntry(program, this)
    this.wake()
  }

  /** The host broke the channel, or the driver cannot go on: the program is closed, then the channel. */
  fail(reason: number | string): void {
    if (this.state !== 'open' && this.state !== 'opening') return
    this.failure ??= reason
    this.#owner.close(this)
  }

  /** Stops the program: the client calls it once the channel is no longer open. */
  stop(): void {
    const { entry } = this
    if (entry === undefined) return
    this.entry = undefined
    this.#active.remove(entry)
    entry.program.close()
  }

  /** Ends all access to the rings: their pages go back to the guest. */
  closeRings(): void {
    this.#rings.close()
  }
}
