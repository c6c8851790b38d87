// Contact and unload, from the guest's side.
//
//   disconnected ──connect──▶ contacting ──▶ connected ──unload──▶ leaving ──▶ unloading ──▶ disconnected
//        ▲                        │                     channels close   UNLOAD, RESPONSE
//        └── no version, or none that works

import {
  HvStatus,
  VMBUS_MESSAGE_CONNECTION_ID,
  VMBUS_MESSAGE_CONNECTION_ID_V5,
  VmbusConnectionState,
  VmbusVersion,
  assert,
  assertNever,
  usesMessageConnectionV5,
} from '@guestyard/hvdef'
import type { ConnectFailure, VmbusClientEvent } from './channel-offer.ts'
import { initiateContact, requestOffers, unload } from './messages.ts'
import type { PostQueue } from './post-queue.ts'

export type ClientState =
  | { readonly is: 'disconnected' }
  /** The version at `attempt` of the list was asked for. */
  | { readonly is: 'contacting'; readonly attempt: number }
  | {
      readonly is: 'connected'
      readonly version: number
      readonly messageConnectionId: number
      readonly offersDelivered: boolean
    }
  /** Channels are closing before the bus is left. */
  | { readonly is: 'leaving'; readonly version: number; readonly messageConnectionId: number }
  /** UNLOAD is on its way. */
  | { readonly is: 'unloading'; readonly version: number }

export interface ClientConnectionServices {
  readonly posts: PostQueue
  readonly versions: readonly number[]
  readonly messageVp: number
  report(event: VmbusClientEvent): void
  closeChannels(): void
  channelsInUse(): number
  /** The bus is left: offers and what is left of channels go. */
  forgetChannels(): void
}

export class ClientConnection {
  #state: ClientState = { is: 'disconnected' }
  readonly #services: ClientConnectionServices

  constructor(services: ClientConnectionServices) {
    this.#services = services
  }

  get state(): ClientState {
    return this.#state
  }

  /** Version in force, 0 without a connection. */
  get version(): number {
    const state = this.#state
    return state.is === 'connected' || state.is === 'leaving' ? state.version : 0
  }

  /** Version whose messages are legal now: the one in force, or the one asked for. */
  get versionSpoken(): number {
    const state = this.#state
    switch (state.is) {
      case 'disconnected':
        return 0
      case 'contacting':
        return this.#services.versions[state.attempt] ?? 0
      case 'connected':
      case 'leaving':
      case 'unloading':
        return state.version
      default:
        return assertNever(state)
    }
  }

  connect(): void {
    assert(this.#state.is === 'disconnected', 'A client connects while it is disconnected.')
    this.#attempt(0)
  }

  unload(): void {
    const state = this.#state
    switch (state.is) {
      case 'connected': {
        const { version, messageConnectionId } = state
        this.#state = { is: 'leaving', version, messageConnectionId }
        this.#services.closeChannels()
        this.channelEnded()
        return
      }
      case 'contacting':
        // Nothing is shared with the host yet, and its answer to the contact will be ignored.
        this.#rest()
        return
      case 'disconnected':
      case 'leaving':
      case 'unloading':
        return
      default:
        assertNever(state)
    }
  }

  /** Queues a message of the connection. `failed` gets the status if it cannot be posted for good. */
  post(payload: Uint8Array, failed: (status: number) => void = ignore): void {
    const state = this.#state
    if (state.is !== 'connected' && state.is !== 'leaving') return
    this.#post(state.messageConnectionId, payload, failed)
  }

  /** VERSION_RESPONSE. */
  versionResponse(response: {
    readonly versionSupported: number
    readonly connectionState: number
    readonly messageConnectionId: number
  }): boolean {
    const state = this.#state
    if (state.is !== 'contacting') return false
    const version = this.versionSpoken
    if (response.versionSupported === 0) {
      this.#nextVersion(state.attempt)
      return true
    }
    if (response.connectionState !== VmbusConnectionState.SUCCESS) {
      this.#fail('host-failure')
      return true
    }
    const messageConnectionId = usesMessageConnectionV5(version)
      ? response.messageConnectionId
      : VMBUS_MESSAGE_CONNECTION_ID
    this.#state = { is: 'connected', version, messageConnectionId, offersDelivered: false }
    this.post(requestOffers())
    this.#services.report({ is: 'connected', version })
    return true
  }

  /** ALLOFFERS_DELIVERED. */
  offersDelivered(): boolean {
    const state = this.#state
    if (state.is !== 'connected' || state.offersDelivered) return false
    this.#state = { ...state, offersDelivered: true }
    this.#services.report({ is: 'offers-delivered' })
    return true
  }

  /** UNLOAD_RESPONSE. */
  unloadResponse(): boolean {
    if (this.#state.is !== 'unloading') return false
    this.#rest()
    return true
  }

  /** A channel is over; the last one lets the bus be left. */
  channelEnded(): void {
    const state = this.#state
    if (state.is !== 'leaving' || this.#services.channelsInUse() > 0) return
    const { version, messageConnectionId } = state
    this.#state = { is: 'unloading', version }
    this.#post(messageConnectionId, unload(), () => this.#rest())
    // Hosts before 3.0 do not answer; nothing is shared any more, so that nothing is to wait for.
    if (version < VmbusVersion.WIN8_1) this.#rest({ keepPosts: true })
  }

  #attempt(attempt: number): void {
    const { versions, messageVp, posts } = this.#services
    const version = versions[attempt]
    if (version === undefined) {
      this.#fail('no-common-version')
      return
    }
    this.#state = { is: 'contacting', attempt }
    posts.push({
      connectionId: usesMessageConnectionV5(version)
        ? VMBUS_MESSAGE_CONNECTION_ID_V5
        : VMBUS_MESSAGE_CONNECTION_ID,
      payload: initiateContact(version, messageVp),
      failed: (status) => this.#contactFailed(attempt, status),
      isContact: true,
    })
  }

  // A host that lacks the connection does not speak the version.
  #contactFailed(attempt: number, status: number): void {
    const state = this.#state
    if (state.is !== 'contacting' || state.attempt !== attempt) return
    if (status === HvStatus.INVALID_CONNECTION_ID) this.#nextVersion(attempt)
    else this.#fail('post-failed')
  }

  #nextVersion(attempt: number): void {
    const version = this.#services.versions[attempt] ?? 0
    this.#services.report({ is: 'version-refused', version })
    this.#attempt(attempt + 1)
  }

  #fail(reason: ConnectFailure): void {
    this.#state = { is: 'disconnected' }
    this.#services.report({ is: 'connect-failed', reason })
  }

  #rest(options: { readonly keepPosts: boolean } = { keepPosts: false }): void {
    this.#services.forgetChannels()
    this.#state = { is: 'disconnected' }
    if (!options.keepPosts) this.#services.posts.clear()
    this.#services.report({ is: 'unloaded' })
  }

  #post(connectionId: number, payload: Uint8Array, failed: (status: number) => void): void {
    this.#services.posts.push({
      connectionId,
      payload,
      isContact: false,
      failed: (status) => {
        const messageType = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true)
        this.#services.report({ is: 'post-failed', messageType, status })
        failed(status)
      },
    })
  }
}

function ignore(): void {
  // Most messages have nothing to undo: the event has told the owner.
}
