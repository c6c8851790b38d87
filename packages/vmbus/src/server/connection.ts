// Contact, offers and unload: the connection's side of the table in connection-state.ts.

import {
  InitiateContactMessage,
  VMBUS_SINT,
  VmbusConnectionState,
  VmbusVersion,
  assertNever,
  usesMessageConnectionV5,
} from '@guestyard/hvdef'
import type { AfterDisconnect, ConnectionState, Contact } from './connection-state.ts'
import type { GuestError, VmbusServerEvent } from './events.ts'
import { allOffersDelivered, unloadResponse, versionAccepted, versionRefused } from './messages.ts'
import type { OutgoingMessages } from './outgoing-messages.ts'

/** What the connection needs from the server. */
export interface ConnectionServices {
  readonly outgoing: OutgoingMessages
  readonly versions: readonly number[]
  /** True when the guest has such a VP now. */
  hasVp(vp: number): boolean
  report(event: VmbusServerEvent): void
  /** Offers every channel. */
  offerAll(): void
  /** Every channel leaves the guest. */
  disconnectChannels(): void
  /** Devices that have not stopped. */
  devicesInUse(): number
  /** No device runs: forget the guest's memory. */
  forgetMemory(): void
}

export class Connection {
  #state: ConnectionState = { is: 'disconnected' }
  // Channels are leaving one by one: the last one's device may stop before all have left.
  #leaving = false
  readonly #services: ConnectionServices

  constructor(services: ConnectionServices) {
    this.#services = services
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** Version in force, 0 without a connection. */
  get version(): number {
    return this.#state.is === 'connected' ? this.#state.version : 0
  }

  /** The guest has asked for offers on this connection. */
  get offering(): boolean {
    return this.#state.is === 'connected' && this.#state.offersSent
  }

  /** Queues a message for the VP of this connection. Without one, whoever it was for is gone. */
  send(message: Uint8Array): void {
    const state = this.#state
    if (state.is === 'connected') this.#services.outgoing.push(state.targetVp, message)
  }

  /** INITIATE_CONTACT: at any time, from any VP, the end of whatever there was before. */
  contact(contact: Contact): void {
    this.#leave({ does: 'negotiate', contact })
  }

  /** UNLOAD. */
  unload(): GuestError | undefined {
    const state = this.#state
    switch (state.is) {
      case 'disconnected':
      case 'disconnecting':
        return 'not-connected'
      case 'connecting':
      case 'connected':
        this.#leave({ does: 'unload-response', targetVp: state.targetVp })
        return undefined
      default:
        return assertNever(state)
    }
  }

  /** The guest was reset, or its partition goes away. */
  reset(): void {
    this.#leave({ does: 'rest' })
  }

  /** REQUESTOFFERS, once a connection. */
  requestOffers(): GuestError | undefined {
    const state = this.#state
    if (state.is !== 'connected' || state.offersSent) return 'wrong-state'
    this.#state = { ...state, offersSent: true }
    this.#services.offerAll()
    this.send(allOffersDelivered())
    return undefined
  }

  /** The queue was flushed: a VERSION_RESPONSE that has left makes the connection. */
  flushed(): void {
    const state = this.#state
    if (state.is !== 'connecting' || this.#services.outgoing.length > 0) return
    const { version, targetVp } = state
    this.#state = { is: 'connected', version, targetVp, offersSent: false }
    this.#services.report({ is: 'connected', version, targetVp })
  }

  /** A device has stopped. */
  drained(): void {
    if (this.#state.is === 'disconnecting' && !this.#leaving) this.#finishLeaving(this.#state.next)
  }

  #leave(next: AfterDisconnect): void {
    switch (this.#state.is) {
      case 'disconnected':
        this.#afterDisconnect(next)
        return
      case 'disconnecting':
        this.#state = { is: 'disconnecting', next }
        return
      case 'connecting':
      case 'connected':
        this.#state = { is: 'disconnecting', next }
        this.#services.outgoing.clear()
        this.#leaving = true
        this.#services.disconnectChannels()
        this.#leaving = false
        this.#finishLeaving(next)
        return
      default:
        assertNever(this.#state)
    }
  }

  #finishLeaving(next: AfterDisconnect): void {
    if (this.#services.devicesInUse() > 0) return
    this.#services.forgetMemory()
    this.#state = { is: 'disconnected' }
    this.#services.report({ is: 'disconnected' })
    this.#afterDisconnect(next)
  }

  #afterDisconnect(next: AfterDisconnect): void {
    switch (next.does) {
      case 'rest':
        return
      case 'unload-response':
        this.#services.outgoing.push(next.targetVp, unloadResponse())
        return
      case 'negotiate':
        this.#negotiate(next.contact)
        return
      default:
        assertNever(next)
    }
  }

  #negotiate(contact: Contact): void {
    const { outgoing, versions } = this.#services
    const { version } = contact
    // Before 3.0 every message goes to VP 0. A VP that does not exist gets its answer there, too.
    const honoursVp = version >= VmbusVersion.WIN8_1
    const vpExists = this.#services.hasVp(contact.targetVp)
    const targetVp = honoursVp && vpExists ? contact.targetVp : 0
    if (!versions.includes(version)) {
      outgoing.push(targetVp, versionRefused())
      this.#services.report({ is: 'version-refused', version })
      return
    }
    const possible = (vpExists || !honoursVp) && isServed(contact)
    if (!possible) {
      outgoing.push(targetVp, versionAccepted(version, VmbusConnectionState.UNKNOWN_FAILURE))
      this.#services.report({ is: 'version-refused', version })
      return
    }
    outgoing.push(targetVp, versionAccepted(version, VmbusConnectionState.SUCCESS))
    this.#state = { is: 'connecting', version, targetVp }
  }
}

/** Reads INITIATE_CONTACT, at least 40 bytes. Before 5.0 the SINT is always that of VMBus. */
export function readContact(view: DataView): Contact {
  const message = InitiateContactMessage.decode(view)
  const { version, targetVp, parentToChildMonitorGpa, childToParentMonitorGpa } = message
  const halfMonitored = (parentToChildMonitorGpa === 0n) !== (childToParentMonitorGpa === 0n)
  if (!usesMessageConnectionV5(version)) {
    return { version, targetVp, targetSint: VMBUS_SINT, targetVtl: 0, halfMonitored }
  }
  const { targetSint, targetVtl } = message
  return { version, targetVp, targetSint, targetVtl, halfMonitored }
}

// One SINT and one VTL are served; the VTL byte means something from 5.1 on.
function isServed(contact: Contact): boolean {
  const vtl = contact.version >= VmbusVersion.WIN10_RS4 ? contact.targetVtl : 0
  return contact.targetSint === VMBUS_SINT && vtl === 0 && !contact.halfMonitored
}
